"""The HTTP server of both local ports: it reads a request whole before anything looks at it, and logs none."""

import io
import logging
import socket
import threading
from contextlib import suppress
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from local.emulator.request_body import BodyError, read_body
from local.emulator.wsgi import Application, Environ

_LOOPBACK = "127.0.0.1"
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 1 << 20
_LOG = logging.getLogger(__name__)


class Handler(MotoRequestHandler):
    """Serves one request after the other on a connection.

    Werkzeug's own handler closes every connection after its first request, because it cannot tell where an unread body
    ends. Here all of it is read first: new connections, each with a thread, were half of the server's work.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # the headers and the body of an answer leave together

    def handle_expect_100(self) -> bool:
        """Let the client send the body that it holds back."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request."""
        try:
            self.environ = environ = self._whole_request()
        except (BodyError, ValueError) as error:
            self._refuse(str(error))
            return
        except ConnectionError:
            self.close_connection = True
            return
        try:
            status, headers, data = _run(self.server.app, environ)
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
        """Log nothing: werkzeug's own would parse the target, also one that cannot be parsed."""

    def _whole_request(self) -> Environ:
        """Read the rest of the request and describe it, with its body in memory.

        Raises:
            BodyError: The body is incomplete or malformed.
            ValueError: The target is not a path. Proxies are asked for whole URLs; nothing here is a proxy.
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
        """Answer 400 and end the connection: where its next request begins is not known."""
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
        """Take what is still coming for a moment: closing over unread bytes would make the client lose the answer."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_LINGER_SECONDS)
        taken = 0
        while taken < _LINGER_BYTES and (piece := self.rfile.read1(1 << 16)):
            taken += len(piece)


def serve(application: Application, port: int) -> int:
    """Bind a loopback port (0: any free one) and answer on it from a thread.

    Returns:
        The port.

    Raises:
        OSError: The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_LOOPBACK, port))
        listener.listen(128)
        server: BaseWSGIServer = make_server(
            _LOOPBACK, port, application, threaded=True, request_handler=Handler, fd=listener.fileno()
        )
    finally:
        listener.close()  # the server has a duplicate
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return int(server.socket.getsockname()[1])


def _run(application: Application, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status, headers and body of an answer; a bug is a 500 and a line in the server's log."""
    started: list[Any] = []
    try:
        answer = application(environ, lambda *arguments: started.extend(arguments))
        try:
            data = b"".join(answer)
        finally:
            getattr(answer, "close", lambda: None)()
    except ConnectionError:
        raise
    except Exception:
        _LOG.exception("%s %s broke the server.", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        return "500 Internal Server Error", [("Content-Type", "text/plain")], b"The local server has a bug."
    return started[0], started[1], data
