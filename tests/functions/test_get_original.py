"""functions/get_original"""

import json
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from image_pipeline.keys import original_path
from tests.conftest import UPLOADS_BUCKET, aws_client, put_upload
from tests.functions.conftest import load_handler

KEY = {"lambda": {"keyId": "0000EXAMPLE0"}}


def event(path, authorizer=KEY):
    context = {"requestId": "request-1", "http": {"method": "GET", "path": path}}
    context |= {"authorizer": authorizer} if authorizer else {}
    return {"rawPath": path, "headers": {}, "requestContext": context}


@pytest.mark.parametrize("image_key", ["uploads/a.jpg", "uploads/a/ü ?.jpg", "uploads/%41", "uploads/x/original"])
def test_the_url_is_for_the_current_version(handler, image_key):
    """The URL downloads an attachment with the name of the file; the path still refers to the same upload."""
    put_upload(image_key, b"old")
    put_upload(image_key, b"new")
    answer = handler(event(unquote(original_path(image_key))))
    body = json.loads(answer["body"])
    assert (answer["statusCode"], answer["headers"]["cache-control"]) == (200, "no-store")
    url = urlsplit(body["url"])
    query = parse_qs(url.query)
    head = aws_client("s3").head_object(Bucket=UPLOADS_BUCKET, Key=image_key)
    assert unquote(url.path).endswith(f"/{image_key}")
    assert query["versionId"] == [head["VersionId"]]
    assert query["response-content-disposition"][0].startswith("attachment; filename=")
    assert body.keys() == {"url", "urlExpiresAt"}


@pytest.mark.parametrize("authorizer", [None, {}, {"lambda": None}])
def test_a_request_without_a_key_gets_no_original(handler, authorizer):
    """The answer is 403 even if the route has lost its authorizer."""
    put_upload("uploads/a.jpg", b"x")
    assert handler(event("/images/uploads/a.jpg/original", authorizer))["statusCode"] == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/uploads/no.jpg/original", 404),
        ("/images/uploads/../a.jpg/original", 400),
        ("/images/uploads//original", 400),
        ("/images/uploads/" + "x" * 2000 + "/original", 400),
        ("/images/uploads/a.jpg/originals", 404),
    ],
)
def test_other_paths_have_no_original(handler, path, status):
    """Hostile and unknown names get a problem document."""
    put_upload("uploads/a.jpg", b"x")
    assert handler(event(path))["statusCode"] in (status, 405)


def test_a_name_with_folders_is_redirected_to_the_route_that_needs_a_key():
    """The open route signs no URL."""
    path = "/images/uploads/a/b c.jpg/original"
    answer = load_handler("get_status")(event(path, None))
    assert (answer["statusCode"], answer["headers"]["location"]) == (308, original_path("uploads/a/b c.jpg"))
    assert unquote(answer["headers"]["location"]).count("/") == 4
