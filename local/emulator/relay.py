"""Lets containers call the AWS endpoint, which listens on this machine's loopback, while a `with` block lasts.

A container may be anybody's program. So the relay reads each request as a whole, judges it, and writes it anew: what it
forwards is what it has judged. It forwards calls of AWS services and nothing that is for tests alone.
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

_RESERVED = ("_local", "moto-api")  # beginnings of paths: the controls of tests, and moto's own API
_MOST_DECODINGS = 8
_OF_ONE_CONNECTION = frozenset({
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


@contextlib.contextmanager
def relay(network: IPv4Network | IPv6Network, port: int, name: str = "") -> Iterator[str]:
    """Listen on this machine's end of a network and forward requests to a loopback port.

    Args:
        network: Docker's bridge; its first address is this machine's. A connection from elsewhere is closed at once.
        port: The loopback port.
        name: What containers call this machine; its address if not given.

    Yields:
        The host and port to connect to.

    Raises:
        OSError: The address is not this machine's.
    """
    with _Server(network, port, name) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.host
        finally:
            server.shutdown()


def is_reserved(target: str) -> bool:
    """Tell whether any reading of a request's target leads to a path that is only for tests."""
    path = target.partition("?")[0]
    for _ in range(_MOST_DECODINGS):
        path, encoded = unquote(path), path
        if path == encoded:
            break
    else:
        return True  # nobody encodes a name so often but to hide it
    readings = (path.replace("\\", "/"), normpath("/" + path.replace("\\", "/")))
    return any(_first_name(reading).startswith(_RESERVED) for reading in readings)


def _first_name(path: str) -> str:
    names = (name.strip().lower() for name in path.split("/"))
    return next((name for name in names if name not in ("", ".", "..")), "")


class _Server(ThreadingHTTPServer):
    """Serves containers of one network."""

    daemon_threads = True

    def __init__(self, network: IPv4Network | IPv6Network, port: int, name: str) -> None:
        self.network = network
        self.target = port
        address = str(next(network.hosts()))
        super().__init__((address, 0), _Handler)
        self.host = f"{name or address}:{self.server_address[1]}"

    def verify_request(self, _: socket | tuple[bytes, socket], client_address: Any) -> bool:
        """Tell whether a connection comes from the network."""
        return ip_address(client_address[0]) in self.network

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    """Forwards one request and ends the connection, so that nothing can follow a request that was judged."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def forward(self) -> None:
        """Answer one request."""
        self.close_connection = True
        try:
            body = read_body(self.headers, self.rfile)
        except BodyError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
            return
        if self.headers.get_all("Host") != [self.server.host]:
            self._answer(HTTPStatus.FORBIDDEN, f"This relay is only called {self.server.host}.")
        elif not self.path.startswith("/") or is_reserved(self.path):
            self._answer(HTTPStatus.FORBIDDEN, "This relay forwards calls of AWS services and nothing else.")
        else:
            self._forward(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = forward  # noqa: N815 (the base's names)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _forward(self, body: bytes) -> None:
        connection = HTTPConnection("127.0.0.1", self.server.target)
        with contextlib.closing(connection):
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                connection.putheader("Host", f"127.0.0.1:{self.server.target}")
                for name, value in self.headers.items():
                    if name.lower() not in _OF_ONE_CONNECTION:
                        connection.putheader(name, value)
                if body or "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                data = answer.read()
            except ValueError as error:  # a target or a header that HTTP does not have
                self._answer(HTTPStatus.BAD_REQUEST, f"The request is malformed: {error}.")
                return
            except (OSError, HTTPException):
                return  # the endpoint has hung up without an answer, and so does this
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_ONE_CONNECTION - {"content-length"}:
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
