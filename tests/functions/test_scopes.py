"""Every function of the API enforces scopes and folders."""

import base64
import json

import pytest

from tests.conftest import LISTING_TABLE, UPLOADS_BUCKET, aws_client, put_record, put_upload
from tests.functions.conftest import load_handler
from tests.pictures import photo

# function, scope, method, path with {name}, body with {name}
REQUESTS = {
    "list": ("list_images", "read", "GET", "/images", None),
    "status": ("get_status", "read", "GET", "/images/uploads/{name}/status", None),
    "original": ("get_original", "read", "GET", "/images/uploads/{name}/original", None),
    "rendition": ("get_status", "read", "GET", "/images/uploads/{name}/renditions/web", None),
    "statuses": ("get_statuses", "read", "POST", "/images/statuses", '{"imageKeys": ["uploads/{name}"]}'),
    "upload": ("upload_image", "upload", "POST", "/images", None),
    "presign": ("presign_upload", "upload", "POST", "/images/presigned", '{"name": "{name}"}'),
    "delete": ("delete_upload", "delete", "DELETE", "/images/uploads/{name}", None),
    "restore": ("reprocess_upload", "delete", "POST", "/images/uploads/{name}/restore", None),
    "focus": ("reprocess_upload", "upload", "PUT", "/images/uploads/{name}/focus", '{"x": 0.3, "y": 0.4}'),
    "reprocess": ("reprocess_upload", "delete", "POST", "/images/uploads/{name}/reprocess", None),
}
NAMED = sorted(REQUESTS.keys() - {"list"})
AUTHORIZERS = {
    "key": lambda scopes: {"lambda": {"keyId": "0000EXAMPLE0", "scopes": scopes}},
    "token": lambda scopes: {"jwt": {"claims": {"sub": "x", "scope": scopes}}},
}


def ask(request, authorizer, name="shop/a.jpg"):
    """Return the status and the body of the answer."""
    function, _, method, path, body = REQUESTS[request]
    path = path.replace("{name}", name)
    event = {
        "rawPath": path,
        "headers": {},
        "requestContext": {
            "requestId": "request-1",
            "http": {"method": method, "path": path},
            "authorizer": authorizer,
        },
    }
    if body:
        event["body"] = body.replace("{name}", name)
    if request == "upload":
        event |= {"body": base64.b64encode(photo(60, 40)).decode(), "isBase64Encoded": True}
        event["queryStringParameters"] = {"name": name}
    answer = load_handler(function)(event)
    return answer["statusCode"], json.loads(answer["body"])


def versions():
    return aws_client("s3").list_object_versions(Bucket=UPLOADS_BUCKET).keys() & {"Versions", "DeleteMarkers"}


@pytest.mark.parametrize("authorizer", AUTHORIZERS.values(), ids=AUTHORIZERS)
@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_missing_scope_is_reported(request_name, authorizer):
    """The answer is 403 with a problem document, and nothing is changed."""
    scope = REQUESTS[request_name][1]
    other_scopes = " ".join({"read", "upload", "delete"} - {scope})
    for scopes in (other_scopes, "", "openid"):
        status, body = ask(request_name, authorizer(scopes))
        assert (status, body["title"]) == (403, "Forbidden")
        assert f"`{scope}`" in body["detail"]
    assert versions() == set()


@pytest.mark.parametrize("authorizer", AUTHORIZERS.values(), ids=AUTHORIZERS)
@pytest.mark.parametrize("request_name", REQUESTS)
def test_one_scope_is_enough(request_name, authorizer):
    """A request needs only one scope."""
    status, _ = ask(request_name, authorizer(REQUESTS[request_name][1]))
    assert status in (200, 202, 404)


@pytest.mark.parametrize("name", ["other/a.jpg", "shopping/a.jpg", "a.jpg", "shop"])
@pytest.mark.parametrize("request_name", NAMED)
def test_a_foreign_folder_is_forbidden_and_reveals_nothing(request_name, name):
    """The answer for an upload that exists equals that for one that does not."""
    shop = {"lambda": {"keyId": "0000EXAMPLE0", "folder": "uploads/shop/"}}
    answer = ask(request_name, shop, name)
    put_upload(f"uploads/{name}", b"x")
    put_record(f"uploads/{name}")
    assert ask(request_name, shop, name) == answer
    assert answer[0] == 403
    s3 = aws_client("s3")
    assert len(s3.list_object_versions(Bucket=UPLOADS_BUCKET, Prefix=f"uploads/{name}")["Versions"]) == 1
    assert "DeleteMarkers" not in s3.list_object_versions(Bucket=UPLOADS_BUCKET)


def test_a_folder_key_lists_only_its_folder():
    """Images of other folders are on no page."""
    from image_pipeline import aws
    from image_pipeline.feeds import indexing

    for number, key in enumerate(["uploads/shop/a", "uploads/shopping/b", "uploads/c", "uploads/shop/d/e"]):
        record = {"ImageKey": key, "status": "FAILED", "upload": {"uploadedAt": f"2026-11-21T12:00:0{number}Z"}}
        indexing.apply(aws.client, table=LISTING_TABLE, image_key=key, record=record, order="1")
    shop = {"lambda": {"keyId": "0000EXAMPLE0", "folder": "uploads/shop/"}}
    status, page = ask("list", shop)
    assert status == 200
    assert [image["imageKey"] for image in page["images"]] == ["uploads/shop/d/e", "uploads/shop/a"]
    assert len(ask("list", {"lambda": {"keyId": "0000EXAMPLE0"}})[1]["images"]) == 4
