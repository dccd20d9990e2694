"""Reject requests to a local port that a foreign web page could have sent.

Any page in the browser of the user can send requests to loopback. A page whose host name resolves to loopback can also
read the answers (DNS rebinding). Browsers declare the origin of a request in `Host`, `Origin` and `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/), and pages cannot forge these headers. Other programs send only `Host`.

A page of any site may show an image, as on AWS: it cannot read the pixels. Its browser declares such a request in
`Sec-Fetch-Dest`, and only an image is answered.
"""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
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
        may_be_image: Whether a GET has no effect and may be answered with an image, which any page may show.
    """

    def __init__(
        self,
        application: Application,
        port: int,
        own: Iterable[str],
        *,
        buckets: bool = False,
        may_be_image: Callable[[Environ], bool],
    ) -> None:
        self._application = application
        self._may_be_image = may_be_image
        self._hosts = frozenset(_host_values(port))
        self._bucket_host = re.compile(rf"{_BUCKET}\.localhost:{port}") if buckets else None
        self._own = list(own)
        self._origins: list[str] = []

    def accept(self, origins: Iterable[str]) -> None:
        """Accept the pages of these origins too, and of no others; `*` matches any characters."""
        self._origins = list(origins)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if reason := self._foreign_host(environ):
            return _refuse(start_response, reason)
        if reason := self._foreign_page(environ):
            if _is_for_image(environ) and self._may_be_image(environ):
                return self._answer_image(environ, start_response, reason)
            return _refuse(start_response, reason)
        return self._application(environ, start_response)

    def _answer_image(self, environ: Environ, start_response: StartResponse, reason: str) -> Iterable[bytes]:
        """Answer a request if the answer is an image or leads to one."""
        started: list[Any] = []
        body = b"".join(self._application(environ, lambda *arguments: started.extend(arguments)))
        status, headers = started[:2]
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
        if not (content_type.startswith("image/") or status.startswith("3")):
            return _refuse(start_response, reason)
        start_response(status, headers)
        return [body]

    def _foreign_host(self, environ: Environ) -> str:
        """Explain why the host is refused; empty if it is not."""
        host = str(environ.get("HTTP_HOST", "")).lower()
        if host not in self._hosts and not (self._bucket_host and self._bucket_host.fullmatch(host)):
            return f"the Host {host!a} is not one of {', '.join(sorted(self._hosts))}. Use one of these addresses"
        return ""

    def _foreign_page(self, environ: Environ) -> str:
        """Explain why the page that sent a request is refused; empty if it is not."""
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


def _refuse(start_response: StartResponse, reason: str) -> Iterable[bytes]:
    return answer_json(start_response, HTTPStatus.FORBIDDEN, {"message": f"Refused: {reason}."}, _HEADERS)


def _is_for_image(environ: Environ) -> bool:
    """Return whether a browser sent a request for an `<img>` without CORS, so that its page cannot read the answer."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and "HTTP_ORIGIN" not in environ
        and environ.get("HTTP_SEC_FETCH_DEST") == "image"
        and environ.get("HTTP_SEC_FETCH_MODE") == "no-cors"
    )


def _origin_of(url: str) -> str:
    """Return the origin of a URL; `null`, as in browsers, if it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "null"
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else "null"
