"""local/emulator/gate.py and one_host.py: responses to pages of other sites, and redirects of browsers."""

from __future__ import annotations

from typing import Any

import pytest

from local.emulator import presigned
from local.emulator.gate import Gate, own_origins
from local.emulator.one_host import OneHost

PORT = 8070
IMAGE = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "no-cors", "HTTP_SEC_FETCH_DEST": "image"}
BROWSER = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8", "HTTP_SEC_FETCH_SITE": "none"}


class Site:
    """An application that counts its requests, behind the gate."""

    def __init__(self, status: str = "200 OK", content_type: str = "image/jpeg", **options: Any) -> None:
        self.status, self.content_type, self.count = status, content_type, 0
        options = {"may_be_image": lambda _: True, **options}
        self._front = Gate(OneHost(self._answer, PORT), PORT, own_origins(PORT), **options)

    def _answer(self, _: Any, start_response: Any) -> list[bytes]:
        self.count += 1
        start_response(self.status, [("Content-Type", self.content_type)] if self.content_type else [])
        return [b"body"]

    def ask(self, method: str = "GET", uri: str = "/", host: str = f"127.0.0.1:{PORT}", **headers: str) -> Any:
        """Return status, headers and body."""
        path, _, query = uri.partition("?")
        environ = {"REQUEST_METHOD": method, "RAW_URI": uri, "PATH_INFO": path, "QUERY_STRING": query}
        started: list[Any] = []
        body = self._front({**environ, "HTTP_HOST": host, **headers}, lambda *arguments: started.extend(arguments))
        return int(started[0][:3]), dict(started[1]), b"".join(body)


@pytest.mark.parametrize(
    ("status", "content_type"), [("200 OK", "image/avif"), ("302 Found", ""), ("304 Not Modified", "")]
)
def test_a_page_of_any_site_can_show_an_image(status, content_type):
    """The answer reaches the browser, which does not let the page read it."""
    answer = Site(status, content_type).ask(**IMAGE)
    assert (answer[0], answer[2]) == (int(status[:3]), b"body")
    assert not [name for name in answer[1] if name.lower().startswith("access-control")]


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/javascript", "", "x-image/png"])
def test_a_page_of_another_site_gets_only_images(content_type):
    """A request that falsely claims to show an image is refused."""
    status, _, body = Site(content_type=content_type).ask(**IMAGE)
    assert (status, b"Refused" in body) == (403, True)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("DELETE", {}),
        ("HEAD", {}),
        ("GET", {"HTTP_SEC_FETCH_DEST": "script"}),
        ("GET", {"HTTP_SEC_FETCH_DEST": "document"}),
        ("GET", {"HTTP_SEC_FETCH_MODE": "cors"}),
        ("GET", {"HTTP_SEC_FETCH_MODE": "navigate"}),
        ("GET", {"HTTP_ORIGIN": "https://evil.example"}),
        ("GET", {"HTTP_HOST": f"evil.example:{PORT}"}),
    ],
)
def test_other_requests_of_another_site_have_no_effect(method, headers):
    """The gate refuses them before the application is called."""
    site = Site()
    assert site.ask(method, **IMAGE | headers)[0] == 403
    assert site.count == 0


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/bucket/a.jpg?X-Amz-Signature=1", 200),
        ("/bucket/a.jpg", 403),
        ("/bucket/?X-Amz-Signature=1", 403),
        ("/?Action=DeleteQueue&X-Amz-Signature=1", 403),
        ("/bucket/a.jpg?acl&X-Amz-Signature=1", 403),
    ],
)
def test_only_presigned_objects_of_the_aws_port_are_images(uri, expected):
    """Other calls may have an effect, even as a GET."""
    site = Site(may_be_image=presigned.is_for_object)
    assert site.ask(uri=uri, **IMAGE)[0] == expected
    assert site.count == (expected == 200)


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "[::1]"])
@pytest.mark.parametrize("uri", ["/", "/?status=FAILED&image=a%2Fb%20c.jpg", "//evil.example/a"])
def test_a_browser_is_redirected_to_one_host(host, uri):
    """The redirect keeps path and query and never leads to another server."""
    status, headers, _ = Site().ask(uri=uri, host=f"{host}:{PORT}", **BROWSER)
    assert (status, headers["Location"]) == (307, f"http://127.0.0.1:{PORT}{uri}")


@pytest.mark.parametrize(
    ("method", "host", "headers"),
    [
        ("GET", f"127.0.0.1:{PORT}", BROWSER),
        ("GET", f"localhost:{PORT}", {"HTTP_ACCEPT": "*/*"}),
        ("GET", f"localhost:{PORT}", {}),
        ("POST", f"localhost:{PORT}", BROWSER),
    ],
)
def test_other_programs_may_use_any_name(method, host, headers):
    """Only a browser that opens a page is redirected, and not in a circle."""
    assert Site().ask(method, host=host, **headers)[0] == 200


def test_a_foreign_page_is_not_redirected():
    """The gate refuses the page before any redirect."""
    assert Site().ask(host=f"localhost:{PORT}", **BROWSER | {"HTTP_SEC_FETCH_SITE": "cross-site"})[0] == 403
