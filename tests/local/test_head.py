"""HEAD requests that follow redirects, like those of link checkers and `curl -IL`."""

from __future__ import annotations

import pytest
import requests

from image_pipeline.keys import rendition_path, status_path
from tests.pictures import photo


def fetch(url: str, method: str, *, follow: bool = True) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body at the end of the redirects."""
    answer = requests.request(method, url, allow_redirects=follow, timeout=30)
    return answer.status_code, dict(answer.headers), answer.content


@pytest.fixture(scope="module")
def key(shared_pipeline):
    """A processed upload whose name must be encoded."""
    key = "uploads/head/é #1?.jpg"
    shared_pipeline.upload(key, photo(200, 150))
    shared_pipeline.wait_for(key)
    return key


@pytest.mark.parametrize("path", [status_path, lambda key: rendition_path(key, "web")], ids=["status", "rendition"])
def test_head_returns_the_headers_of_get(shared_pipeline, key, path):
    """HEAD has the same status, type and length at the end of the same redirects."""
    url = shared_pipeline.api_url + path(key)
    (status, headers, body), (head_status, head_headers, head_body) = (fetch(url, method) for method in ("GET", "HEAD"))
    assert (status, head_status, head_body) == (200, 200, b"")
    assert len(body) > 0

    def described(headers):
        lower = {name.lower(): value for name, value in headers.items()}
        return {name: lower.get(name) for name in ("content-type", "etag", "cache-control")}

    assert described(headers) == described(head_headers)


def test_each_redirect_accepts_its_own_method(shared_pipeline, key):
    """Like S3, the local run refuses a URL that is signed for another method."""
    for method, other in (("GET", "HEAD"), ("HEAD", "GET")):
        url = shared_pipeline.api_url + rendition_path(key, "web")
        status, headers, _ = fetch(url, method, follow=False)
        assert status == 302
        location = {name.lower(): value for name, value in headers.items()}["location"]
        assert (fetch(location, method)[0], fetch(location, other)[0]) == (200, 403)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/uploads/never/status", 404),
        ("/images/uploads/never/renditions/web", 404),
        ("/images/uploads/x/status?wait=x", 400),
        (f"/images/uploads/{'x' * 1100}/status", 400),
        ("/images/uploads/x", 405),
        ("/images", 405),
    ],
)
def test_head_is_refused_like_get(shared_pipeline, path, status):
    """Unknown, wrong and hostile requests have the same status, without a body."""
    assert fetch(shared_pipeline.api_url + path, "HEAD")[::2] == (status, b"")
