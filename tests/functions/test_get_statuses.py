"""functions/get_statuses"""

import json

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.api import statuses
from tests.conftest import THUMBNAILS_BUCKET, put_record
from tests.functions.conftest import load_handler

RENDITION = {
    "name": "web",
    "format": "JPEG",
    "width": 2,
    "height": 1,
    "sizeBytes": 3,
    "bucket": THUMBNAILS_BUCKET,
    "key": "thumbnails/a/1/web.jpg",
}


@pytest.fixture(autouse=True)
def _client():
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


def event(body):
    return {"headers": {}, "body": body, "requestContext": {"requestId": "request-1"}}


@pytest.fixture
def ask(handler):
    """Request statuses, and return the status code and the body."""

    def ask(body):
        answer = handler(event(body if isinstance(body, str) else json.dumps(body)))
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def test_each_key_is_answered_once_in_the_order_of_the_request(ask):
    """Keys without a record are missing, and a repeated key changes nothing."""
    put_record("uploads/b")
    put_record("uploads/ä ?//../x")
    image_keys = ["uploads/ä ?//../x", "uploads/no", "uploads/b", "uploads/no", "uploads/b", "uploads/"]
    status, body = ask({"imageKeys": image_keys})
    assert status == 200
    assert [record["imageKey"] for record in body["statuses"]] == ["uploads/ä ?//../x", "uploads/b"]
    assert body["missing"] == ["uploads/no", "uploads/"]


def test_each_status_equals_that_of_the_status_api(ask):
    """Internal attributes and internal errors are removed, and URLs are added."""
    error = {"code": "StorageUnavailableError", "message": "arn:aws:secret", "hint": "h", "step": "StoreResults"}
    put_record("uploads/failed.jpg", status="FAILED", error=error, recipeId="r", uploadOrder="1")
    put_record("uploads/done.jpg", status="COMPLETED", image={"width": 2, "height": 1}, renditions=[RENDITION])
    _, body = ask({"imageKeys": ["uploads/failed.jpg", "uploads/done.jpg"]})
    get_status = load_handler("get_status")
    for record in body["statuses"]:
        path = f"/images/{record['imageKey']}/status"
        http = {"method": "GET", "path": path}
        answer = get_status({"rawPath": path, "requestContext": {"requestId": "request-1", "http": http}})
        assert without_signatures(record) == without_signatures(json.loads(answer["body"]))
    assert "secret" not in json.dumps(body)
    assert body["statuses"][1]["renditions"][0]["url"].startswith("https://")


def without_signatures(record):
    """A status without the parts that depend on the time of the request."""
    record = {name: value for name, value in record.items() if name != "srcsets"}
    varying = ("url", "urlExpiresAt")
    record["renditions"] = [
        {name: value for name, value in rendition.items() if name not in varying}
        for rendition in record.get("renditions", [])
    ]
    return record


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[]",
        "null",
        '"uploads/a"',
        "[" * 100_000,
        {},
        {"imageKeys": None},
        {"imageKeys": "uploads/a"},
        {"imageKeys": {}},
        {"imageKeys": []},
        {"imageKeys": ["uploads/a"], "wait": 1},
        '{"imageKeys": ["uploads/a"], "imageKeys": ["uploads/b"]}',
        {"imageKeys": ["uploads/a"] * 101},
        {"imageKeys": [f"uploads/{number}" for number in range(101)]},
    ],
    ids=lambda body: str(body)[:40],
)
def test_an_invalid_request_is_a_bad_request(ask, body):
    """The answer is a problem document."""
    status, problem = ask(body)
    assert (status, problem["title"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "name",
    [1, None, [], {}, True, "", "a.jpg", "Uploads/a.jpg", "thumbnails/a", "uploads/" + "x" * 1017, "uploads/\ud800"],
)
def test_an_impossible_key_is_reported(ask, name):
    """The problem contains the position of the key."""
    status, problem = ask({"imageKeys": ["uploads/a", name]})
    assert status == 400
    assert "imageKeys[1]" in problem["detail"]


def test_one_request_may_have_a_hundred_keys(ask):
    """The limit is inclusive."""
    status, body = ask({"imageKeys": [f"uploads/{number}" for number in range(100)]})
    assert (status, len(body["missing"])) == (200, 100)


def test_one_foreign_key_forbids_the_request(handler):
    """The caller does not learn whether the upload outside of its folder exists."""
    request = event(json.dumps({"imageKeys": ["uploads/shop/a", "uploads/other/a"]}))
    request["requestContext"]["authorizer"] = {"lambda": {"keyId": "k", "folder": "uploads/shop/"}}
    refusal = handler(request)
    put_record("uploads/other/a")
    assert handler(request) == refusal
    assert refusal["statusCode"] == 403


def test_an_answer_above_the_limit_of_lambda_is_refused(ask, monkeypatch):
    """The problem says to request fewer keys."""
    put_record("uploads/a")
    monkeypatch.setattr(statuses, "MAX_BYTES", 100)
    status, problem = ask({"imageKeys": ["uploads/a"]})
    assert (status, "fewer" in problem["detail"]) == (413, True)


def test_an_unavailable_table_is_a_503(ask):
    """The response is 503 with a problem document."""
    with Stubber(clients.client("dynamodb")) as stub:
        for _ in range(9):
            stub.add_client_error("batch_get_item", "InternalServerError", http_status_code=500)
        status, problem = ask({"imageKeys": ["uploads/a"]})
    assert (status, problem["title"]) == (503, "Service Unavailable")
