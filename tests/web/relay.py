"""The API under another address: a test can stop this server, or give the page another host."""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

_OF_THE_CONNECTION = frozenset({"connection", "date", "keep-alive", "server", "transfer-encoding"})


class Relay:
    """Forwards all requests to the API as if they were for its own address.

    Args:
        api_url: The address of the API.
        host: A name of this machine, for the address of the relay.
    """

    def __init__(self, api_url: str, host: str = "127.0.0.1") -> None:
        self._api_url = api_url
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()
        self.url = f"http://{host}:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Answer requests, always on the same port."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self._api_url))
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Close the port; may be called twice."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()


def _handler(api_url: str) -> type[BaseHTTPRequestHandler]:
    host = urlsplit(api_url).netloc

    class Handler(BaseHTTPRequestHandler):
        def _forward(self) -> None:
            headers = {**self.headers, "Host": host}
            if "Origin" in headers:
                headers["Origin"] = api_url
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            connection = http.client.HTTPConnection(host)
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_THE_CONNECTION:
                    self.send_header(name, value)
            with suppress(ConnectionError):  # the tab was closed meanwhile
                self.end_headers()
                self.wfile.write(data)

        def do_GET(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            self._forward()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return Handler
