"""Reject requests to a local port that a foreign web page could have sent.

Any page in the browser of the user can send requests to loopback. A page whose host name resolves to loopback can also
read the answers (DNS rebinding). Browsers declare the origin of a request in `Host`, `Origin` and `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/), and pages cannot forge these headers. Other programs send only `Host`.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from local.emulator.cors import matches
from local.emulator.wsgi import Application, Environ, StartResponse, answer_json

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HTTP_PORT = 80
_OWN_SITES = frozenset({"same-origin", "same-site", "none"})  # none: the user typed the address
_HEADERS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
_BUCKET = r"[a-z0-9][a-z0-9-]+"


class Gate:
    """A WSGI application that passes on own requests and answers foreign ones with 403.

    Args:
        application: Answers own requests.
        port: The port of the server; a `Host` with another port is foreign.
        own: The origins of the local run, whose pages may always send requests.
        buckets: Whether subdomains of `localhost` are accepted: clients of S3 put the bucket there.
    """

    def __init__(self, application: Application, port: int, own: Iterable[str], *, buckets: bool = False) -> None:
        self._application = application
        self._hosts = frozenset(_host_values(port))
        self._bucket_host = re.compile(rf"{_BUCKET}\.localhost:{port}") if buckets else None
        self._own = list(own)
        self._origins: list[str] = []

    def accept(self, origins: Iterable[str]) -> None:
        """Accept the pages of these origins too, and of no others; `*` matches any characters."""
        self._origins = list(origins)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if reason := self._refusal(environ):
            return answer_json(start_response, HTTPStatus.FORBIDDEN, {"message": f"Refused: {reason}."}, _HEADERS)
        return self._application(environ, start_response)

    def _refusal(self, environ: Environ) -> str:
        """Explain why a request is refused; empty if it is not."""
        host = str(environ.get("HTTP_HOST", "")).lower()
        if host not in self._hosts and not (self._bucket_host and self._bucket_host.fullmatch(host)):
            return f"the Host {host!a} is not one of {', '.join(sorted(self._hosts))}. Use one of these addresses"
        origin = environ.get("HTTP_ORIGIN")
        if origin is None and environ.get("HTTP_SEC_FETCH_SITE", "none") not in _OWN_SITES:
            # Requests for images and links have no Origin; only the referrer may name the page.
            origin = _origin_of(environ.get("HTTP_REFERER", ""))
        if origin is None or any(matches(pattern, origin) for pattern in [*self._own, *self._origins]):
            return ""
        return (
            f"the CORS settings of the template do not list the origin {origin!a}, so its pages may not send requests"
        )


def own_origins(port: int) -> list[str]:
    """Return the origins of a local port."""
    return [f"http://{host}" for host in _host_values(port)]


def _host_values(port: int) -> list[str]:
    """Return the values of `Host` for a port of loopback; the default port of HTTP may be omitted."""
    return [f"{name}:{port}" for name in _NAMES] + (list(_NAMES) if port == _HTTP_PORT else [])


def _origin_of(url: str) -> str:
    """Return the origin of a URL; `null`, as in browsers, if it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else "null"
