"""Forward calls from containers to the AWS endpoint, which listens on loopback.

A container may run untrusted code. So the relay reads each request completely, checks it and writes it again: it
forwards exactly what it has checked. It forwards calls of AWS services, but no controls for tests.
"""

import contextlib
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network, IPv6Network, ip_address
from posixpath import normpath
from socket import socket
from typing import Any
from urllib.parse import unquote

from local.emulator.request_body import BodyError, read_body

_RESERVED = ("_local", "moto-api")  # starts of paths: the controls for tests and the API of moto
_MOST_DECODINGS = 8
_CONNECTION_HEADERS = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


@contextlib.contextmanager
def relay(network: IPv4Network | IPv6Network, port: int, name: str = "") -> Iterator[str]:
    """Listen on the address of this machine in a network, and forward requests to a loopback port.

    Args:
        network: The bridge of Docker, whose first address is this machine. Other connections are closed at once.
        port: The loopback port.
        name: The host name of this machine in containers; its address by default.

    Yields:
        The host and port to connect to.

    Raises:
        OSError: The address does not belong to this machine.
    """
    with _RelayServer(network, port, name) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.host
        finally:
            server.shutdown()


def is_reserved(target: str) -> bool:
    """Return whether any interpretation of a target is a path that is reserved for tests."""
    path = target.partition("?")[0]
    for _ in range(_MOST_DECODINGS):
        decoded_path = unquote(path)
        if decoded_path == path:
            break
        path = decoded_path
    else:
        return True  # so many encodings can only hide a name
    interpretations = (path.replace("\\", "/"), normpath("/" + path.replace("\\", "/")))
    return any(_first_name(path).startswith(_RESERVED) for path in interpretations)


def _first_name(path: str) -> str:
    names = (name.strip().lower() for name in path.split("/"))
    return next((name for name in names if name not in ("", ".", "..")), "")


class _RelayServer(ThreadingHTTPServer):
    """Serves containers of one network."""

    daemon_threads = True

    def __init__(self, network: IPv4Network | IPv6Network, port: int, name: str) -> None:
        self.network = network
        self.target = port
        address = str(next(network.hosts()))
        super().__init__((address, 0), _RelayHandler)
        self.host = f"{name or address}:{self.server_address[1]}"

    def verify_request(self, _: socket | tuple[bytes, socket], client_address: Any) -> bool:
        """Return whether a connection comes from the network."""
        return ip_address(client_address[0]) in self.network

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing about clients that disconnect."""


class _RelayHandler(BaseHTTPRequestHandler):
    """Forwards one request and closes the connection, so that no unchecked request can follow."""

    protocol_version = "HTTP/1.1"
    server: _RelayServer

    def forward(self) -> None:
        """Answer one request."""
        self.close_connection = True
        try:
            body = read_body(self.headers, self.rfile)
        except BodyError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        if self.headers.get_all("Host") != [self.server.host]:
            self._answer(HTTPStatus.FORBIDDEN, f"The Host of this relay is {self.server.host}.")
        elif not self.path.startswith("/") or is_reserved(self.path):
            self._answer(HTTPStatus.FORBIDDEN, "This relay forwards only calls of AWS services.")
        else:
            self._forward(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = forward  # noqa: N815 (names of the base class)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _forward(self, body: bytes) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.target)
        with contextlib.closing(connection):
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                connection.putheader("Host", f"127.0.0.1:{self.server.target}")
                for name, value in self.headers.items():
                    if name.lower() not in _CONNECTION_HEADERS:
                        connection.putheader(name, value)
                if body or "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                data = answer.read()
            except ValueError as error:  # an invalid target or header
                self._answer(HTTPStatus.BAD_REQUEST, f"The request is malformed: {error}.")
                return
            except (OSError, HTTPException):
                return  # the endpoint closed the connection without an answer, so the relay does, too
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _CONNECTION_HEADERS - {"content-length"}:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, status: HTTPStatus, message: str) -> None:
        body = message.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
