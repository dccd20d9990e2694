"""functions/serve_page"""

import base64
import json

import pytest

from image_pipeline.api import webpage
from tests.conftest import ROOT, THUMBNAILS_BUCKET, UPLOADS_BUCKET


@pytest.fixture
def ask(handler):
    """Send a request for a file, or for the index."""

    def ask(digest=None, file=None, **headers):
        event = {"rawPath": "/", "headers": {name.replace("_", "-"): value for name, value in headers.items()}}
        return handler(event if digest is None else {**event, "pathParameters": {"digest": digest, "file": file}})

    return ask


def digest_of(index):
    """The digest in the first URL of the index."""
    return base64.b64decode(index["body"]).decode().partition('"page/')[2].partition("/")[0]


def test_the_page_of_the_repository_is_served(ask):
    """The index contains the stack's name, and its files are served under the digest."""
    index = ask()
    text = base64.b64decode(index["body"]).decode()
    assert index["statusCode"] == 200
    assert '<meta name="image-pipeline:stack" content="image-pipeline">' in text
    assert '<meta name="image-pipeline:authorization" content="key">' in text
    answer = ask(digest_of(index), "app.js")
    assert answer["statusCode"] == 200
    source = (ROOT / "web" / "app.js").read_text()
    assert base64.b64decode(answer["body"]).decode() == webpage.condensed(source)


def test_the_policy_names_the_buckets_of_the_stack(ask):
    """The policy contains the addresses that presigned URLs have."""
    policy = ask()["headers"]["content-security-policy"]
    assert f"connect-src 'self' https://{UPLOADS_BUCKET}.s3.eu-west-1.amazonaws.com;" in policy
    assert f"img-src 'self' blob: https://{THUMBNAILS_BUCKET}.s3.eu-west-1.amazonaws.com;" in policy


def test_a_browser_that_has_the_page_gets_304(ask):
    """The handler passes the header If-None-Match on."""
    tag = ask(accept_encoding="gzip")["headers"]["etag"]
    assert ask(accept_encoding="gzip", if_none_match=tag)["statusCode"] == 304


@pytest.mark.parametrize("file", ["none.js", "../app.py", "../../serve_page/app.py", "%2e%2e/app.py", "index.html"])
def test_an_unknown_file_is_404(ask, file):
    """The answer is neither cached, because a later deployment may have the file, nor displayed as a page."""
    answer = ask(digest_of(ask()), file)
    assert answer["statusCode"] == 404
    assert answer["headers"]["cache-control"] == "no-store"
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert "Reload" in json.loads(answer["body"])["message"]


def test_the_digest_of_another_deployment_is_404(ask):
    """A page that was opened before a deployment gets no newer files."""
    assert ask("0" * 20, "app.js")["statusCode"] == 404
