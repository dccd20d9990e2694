"""Decides which requests a local port takes: none that a foreign web page could have sent.

A page in the browser of whoever runs this can send requests to loopback, and one whose host name is made to resolve to
loopback can also read the answers (DNS rebinding). Browsers say where a request comes from, and pages cannot forge
that: in `Host`, in `Origin`, and in `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/). Programs send their own
`Host` and neither of the others.
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
    """A WSGI application that passes on what is not foreign, and answers 403 to the rest.

    Args:
        application: What the requests are for.
        port: Where it is served; a `Host` that names another is foreign.
        origins: The origins whose pages may send requests; `*` in one stands for any characters.
        buckets: Whether names below `localhost` are hosts, too: S3's clients put the bucket there.
    """

    def __init__(self, application: Application, port: int, origins: Iterable[str], *, buckets: bool = False) -> None:
        self._application = application
        self._hosts = frozenset(_spellings(port))
        self._bucket_host = re.compile(rf"{_BUCKET}\.localhost:{port}") if buckets else None
        self._origins = list(origins)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if reason := self._objection(environ):
            return answer_json(start_response, HTTPStatus.FORBIDDEN, {"message": f"Refused: {reason}."}, _HEADERS)
        return self._application(environ, start_response)

    def _objection(self, environ: Environ) -> str:
        """Say why a request is refused; empty when it is not."""
        host = str(environ.get("HTTP_HOST", "")).lower()
        if host not in self._hosts and not (self._bucket_host and self._bucket_host.fullmatch(host)):
            return f"the Host {host!a} is not one of {', '.join(sorted(self._hosts))}. Use one of these addresses"
        origin = environ.get("HTTP_ORIGIN")
        if origin is None and environ.get("HTTP_SEC_FETCH_SITE", "none") not in _OWN_SITES:
            # Pictures and links of a page carry no Origin; if the browser names the page at all, it does it here.
            origin = _origin_of(environ.get("HTTP_REFERER", ""))
        if origin is None or any(matches(each, origin) for each in self._origins):
            return ""
        return f"the CORS settings of the template do not list the origin {origin!a}, so its pages may not ask here"


def own_origins(port: int) -> list[str]:
    """List the origins of pages that a local port serves."""
    return [f"http://{spelling}" for spelling in _spellings(port)]


def _spellings(port: int) -> list[str]:
    """List the values of `Host` that mean a port of loopback; the port of HTTP goes without saying."""
    return [f"{name}:{port}" for name in _NAMES] + (list(_NAMES) if port == _HTTP_PORT else [])


def _origin_of(url: str) -> str:
    """Give the origin of a URL; `null`, as browsers write it, when it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else "null"
