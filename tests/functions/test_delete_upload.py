"""functions/delete_upload"""

import json

import pytest

from tests.conftest import UPLOADS_BUCKET, aws_client, put_upload


def event(path, **headers):
    http = {"method": "DELETE", "path": path}
    return {
        "rawPath": path,
        "headers": headers,
        "requestContext": {"requestId": "request-1", "http": http, "authorizer": {"lambda": {"keyId": "key-1"}}},
    }


def stored_keys():
    return [item["Key"] for item in aws_client("s3").list_objects_v2(Bucket=UPLOADS_BUCKET).get("Contents", [])]


def test_a_deletion_is_accepted_with_the_status_path(handler, caplog):
    """The response is 202 with the status path, and the log contains the caller."""
    put_upload("uploads/ä/what?.jpg", b"x")
    answer = handler(event("/images/uploads/%C3%A4%2Fwhat%3F%2Ejpg"))
    assert answer["statusCode"] == 202
    assert answer["headers"]["location"] == "/images/uploads/%25C3%25A4%252Fwhat%253F%252Ejpg/status"
    assert json.loads(answer["body"]) == {"imageKey": "uploads/ä/what?.jpg"}
    assert stored_keys() == []
    assert [record.caller for record in caplog.records if record.getMessage() == "upload deleted"] == ["key-1"]


def test_if_match_protects_a_newer_upload(handler):
    """A wrong etag causes 412, and `*` matches any upload."""
    put_upload("uploads/a.jpg", b"x")
    answer = handler(event("/images/uploads/a.jpg", **{"if-match": '"0123"'}))
    assert (answer["statusCode"], stored_keys()) == (412, ["uploads/a.jpg"])
    answer = handler(event("/images/uploads/a.jpg", **{"if-match": "*"}))
    assert (answer["statusCode"], stored_keys()) == (202, [])


@pytest.mark.parametrize("condition", ["", " "])
def test_an_empty_if_match_deletes_nothing(handler, condition):
    """An empty If-Match, as from an empty shell variable, must not delete anything."""
    put_upload("uploads/a.jpg", b"x")
    answer = handler(event("/images/uploads/a.jpg", **{"if-match": condition}))
    assert (answer["statusCode"], stored_keys()) == (400, ["uploads/a.jpg"])
    assert "If-Match" in json.loads(answer["body"])["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/uploads/no.jpg", 404),
        ("/images/uploads/../outside.txt", 400),
        ("/images/uploads/x/../../outside.txt", 400),
        ("/images/outside.txt", 404),
        ("/images/uploads/%2E%2E/outside.txt", 404),
        ("/images/uploads/%2E%2E%2Foutside%2Etxt", 404),
        ("/images/uploads//outside.txt", 400),
    ],
)
def test_no_path_leads_to_another_object(handler, path, status):
    """No path deletes an object outside uploads/ or with another name."""
    for key in ("outside.txt", "uploads/kept.jpg", "uploads/outside.txt/x"):
        put_upload(key, b"x")
    answer = handler(event(path))
    assert answer["statusCode"] == status
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert len(stored_keys()) == 3
