"""functions/refuse_request"""

import json

import pytest


@pytest.fixture
def ask(handler):
    """Send a request, and return the status, headers and body."""

    def ask(method, path):
        answer = handler({"rawPath": path, "requestContext": {"http": {"method": method, "path": path}}})
        return answer["statusCode"], answer["headers"], json.loads(answer.get("body") or "null")

    return ask


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH", "HEAD", "TRACE"])
def test_a_method_that_the_path_does_not_accept_is_405(ask, method):
    """The response contains the accepted methods."""
    status, headers, body = ask(method, "/images/uploads/a/b.jpg")
    assert (status, body["status"], body["title"]) == (405, 405, "Method Not Allowed")
    assert headers["allow"] == "DELETE, OPTIONS"
    assert headers["content-type"] == "application/problem+json"
    assert {"DELETE,", f"{method}."} <= set(body["message"].split())


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
def test_an_unknown_path_is_404(ask, method):
    """The response points to the documentation of all paths."""
    status, headers, body = ask(method, "/wp-login.php")
    assert (status, body["status"], "allow" in headers) == (404, 404, False)
    assert "docs/openapi.yaml" in body["message"]


def test_options_are_answered(ask):
    """OPTIONS gets no body and no CORS headers."""
    status, headers, body = ask("OPTIONS", "/images")
    assert (status, headers["allow"], body) == (204, "GET, POST, OPTIONS", None)
    assert not [name for name in headers if name.startswith("access-control")]
