"""Open pages of a test web site in a real browser, and receive the results of their scripts."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conftest import chromium_path

_PATIENCE_SECONDS = 120
_PAGE = """<!doctype html><meta charset="utf-8"><body><script type="module">
let report;
try { report = await (async () => { SCRIPT })(); } catch (error) { report = { thrown: String(error) }; }
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
</script>"""


class Site:
    """Serves a page with a script on loopback and receives the result of the script."""

    def __init__(self) -> None:
        self.script = ""
        self._reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(_PAGE.replace("SCRIPT", site.script).encode())

            def do_POST(self) -> None:
                site._reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer(b"")

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def visit(self, host: str, script: str, profile: Path) -> Any:
        """Open the page in a browser, under a name of the site, and return the result of its script.

        Args:
            host: Any name; in this browser, all lead to loopback.
            script: The body of an async function in JavaScript.
            profile: An empty folder for the browser.
        """
        browser = chromium_path()
        self.script = script
        with subprocess.Popen(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--no-first-run", f"--user-data-dir={profile}", "--host-resolver-rules=MAP * 127.0.0.1"),
                f"http://{host}:{self.port}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                return self._reports.get(timeout=_PATIENCE_SECONDS)
            finally:
                process.terminate()
