"""functions/get_status"""

import json

import pytest
from botocore.stub import Stubber

from image_pipeline import records
from tests.conftest import put_record


def event(path):
    return {"version": "2.0", "rawPath": path, "requestContext": {"requestId": "request-1"}}


def test_a_known_upload_is_answered_with_its_record(handler):
    """200 and JSON, not to be cached: it may change any moment."""
    put_record("uploads/Zürich 🏝.jpg")
    answer = handler(event("/images/uploads/Zürich 🏝.jpg/status"))
    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert answer["headers"] == {"content-type": "application/json", "cache-control": "no-store"}
    assert (body["ImageKey"], body["status"]) == ("uploads/Zürich 🏝.jpg", "PROCESSING")


def test_an_unknown_upload_is_not_found(handler):
    """The text is a contract."""
    answer = handler(event("/images/uploads/no.jpg/status"))
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"]) == {"message": "Image details not found for the given image identifier."}


@pytest.mark.parametrize(
    "path", ["/images/uploads/a.jpg", "/images/uploads/status", "/images/uploads/" + "x" * 2000 + "/status"]
)
def test_a_path_that_cannot_be_a_key_is_a_bad_request(handler, path):
    """400, with the rule and what to do."""
    answer = handler(event(path))
    assert answer["statusCode"] == 400
    assert "\n" not in json.loads(answer["body"])["message"]


def test_a_table_that_does_not_answer_is_told_without_its_inside(handler):
    """503 and no names of ours."""
    with Stubber(records._dynamodb()) as stub:
        for _ in range(3):
            stub.add_client_error("get_item", "ThrottlingException", http_status_code=400)
        answer = handler(event("/images/uploads/a.jpg/status"))
    assert answer["statusCode"] == 503
    assert "table" not in answer["body"].lower()
    assert "dynamo" not in answer["body"].lower()
