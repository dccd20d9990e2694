"""The HTTP server of both local ports; it reads each request completely before it is processed."""

import io
import socket
import threading
from contextlib import suppress
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from local.emulator.request_body import BodyError, read_body
from local.emulator.wsgi import Application, Environ, call

_LOOPBACK = "127.0.0.1"
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 1 << 20


class RequestHandler(MotoRequestHandler):
    """Serves consecutive requests on a connection.

    The handler of Werkzeug closes each connection after one request, because it does not know where an unread body
    ends. This one reads the body first: new connections, each with a thread, took half of the time of the server.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # send headers and body of an answer together

    def handle_expect_100(self) -> bool:
        """Ask the client to send the body."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request."""
        try:
            self.environ = environ = self._read_request()
        except (BodyError, ValueError) as error:
            self._refuse(str(error))
            return
        except ConnectionError:
            self.close_connection = True
            return
        try:
            status, headers, data = call(self.server.app, environ)
        except ConnectionError:
            self.close_connection = True
            return
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        for name, value in headers:
            self.send_header(name, value)
        without_body = code in ("204", "304")
        if not without_body and "content-length" not in {name.lower() for name, _ in headers}:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not without_body and self.command != "HEAD":
            self.wfile.write(data)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the method of Werkzeug fails for targets that it cannot parse."""

    def _read_request(self) -> Environ:
        """Read the rest of the request, and return its environment with the body in memory.

        Raises:
            BodyError: The body is incomplete or malformed.
            ValueError: The target is not a path. Only proxies accept URLs as targets.
        """
        if not self.path.startswith("/"):
            raise ValueError(f"The target of a request must be a path that begins with /, not {self.path[:80]!a}.")
        environ = self.make_environ()
        body = read_body(self.headers, self.rfile)
        environ["wsgi.input"] = io.BytesIO(body)
        if environ.pop("HTTP_TRANSFER_ENCODING", None):
            environ["CONTENT_LENGTH"] = str(len(body))
        return environ

    def _refuse(self, message: str) -> None:
        """Answer 400 and close the connection, because the start of the next request is unknown."""
        self.close_connection = True
        text = message.encode()
        with suppress(OSError):
            self.send_response(400)
            for name, value in (
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(text))),
                ("Connection", "close"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else text)
            self.wfile.flush()
            self._drain()

    def _drain(self) -> None:
        """Read remaining bytes for a moment: closing with unread bytes would make the client lose the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_LINGER_SECONDS)
        drained_bytes = 0
        while drained_bytes < _LINGER_BYTES and (piece := self.rfile.read1(1 << 16)):
            drained_bytes += len(piece)


def serve(application: Application, port: int) -> int:
    """Bind a loopback port (0: any free one) and answer on it from a thread.

    Returns:
        The port.

    Raises:
        OSError: The port is in use.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_LOOPBACK, port))
        listener.listen(128)
        server: BaseWSGIServer = make_server(
            _LOOPBACK, port, application, threaded=True, request_handler=RequestHandler, fd=listener.fileno()
        )
    finally:
        listener.close()  # the server has its own descriptor
    # A short interval would only be useful to stop the server, which runs until its process ends.
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 60}, daemon=True).start()
    return int(server.socket.getsockname()[1])
