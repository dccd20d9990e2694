"""A web site whose pages run scripts in a real browser."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PAGE = b'<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title><body>'


class Site:
    """Serves an empty page on loopback."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def visit(self, browser: Browser, host: str, script: str) -> Any:
        """Open the page under a name of the site as a new visitor, and return the result of a script.

        Args:
            browser: A running browser, in which all names lead to loopback.
            host: Any name.
            script: The body of an async function in JavaScript.
        """
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"http://{host}:{self.port}/")
            return page.evaluate(f"async () => {{ {script}\n}}")


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(_PAGE)

    def do_POST(self) -> None:
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
