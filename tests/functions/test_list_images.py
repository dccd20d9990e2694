"""functions/list_images"""

import base64
import gzip
import json

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.feeds import indexing
from tests.conftest import LISTING_TABLE


@pytest.fixture(autouse=True)
def _client():
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


@pytest.fixture
def ask(handler):
    """Request a page, and return the status and the body."""

    def ask(**parameters):
        event = {"rawPath": "/images", "requestContext": {"requestId": "request-1"}}
        if parameters:
            event["queryStringParameters"] = {name.rstrip("_"): value for name, value in parameters.items()}
        answer = handler(event)
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def put(key, second):
    upload = {"uploadedAt": f"2026-11-21T12:00:0{second}Z"}
    record = {"ImageKey": key, "status": "COMPLETED", "upload": upload, "labels": [{"name": "Sea"}]}
    indexing.apply(clients.client, table=LISTING_TABLE, image_key=key, record=record, order="1")


def test_an_empty_listing_has_no_images(ask):
    """The answer is a list without images, not an error."""
    assert ask() == (200, {"images": [], "cursor": None})


def test_a_list_is_compressed_on_request(handler):
    """A page of the list is mostly signed URLs, which resemble each other."""
    put("uploads/1", 1)
    event = {"rawPath": "/images", "requestContext": {"requestId": "request-1"}}
    plain = handler(event)
    packed = handler({**event, "headers": {"accept-encoding": "gzip, br"}})
    assert packed["headers"]["content-encoding"] == "gzip"
    assert packed["headers"]["vary"] == "accept-encoding"
    assert packed["isBase64Encoded"]
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]


def test_a_repeated_parameter_is_a_bad_request(handler):
    """API Gateway would join two labels into `a,b`."""
    event = {
        "rawPath": "/images",
        "requestContext": {"requestId": "request-1"},
        "rawQueryString": "label=a&label=b",
        "queryStringParameters": {"label": "a,b"},
    }
    assert handler(event)["statusCode"] == 400


def test_a_cursor_returns_the_next_page(ask):
    """Newest first."""
    for second in range(3):
        put(f"uploads/{second}", second)
    status, first = ask(limit="2", label="sea", status="COMPLETED", from_="2026-11-21", to="2026-11-22")
    _, second = ask(
        limit="2", label="sea", status="COMPLETED", from_="2026-11-21", to="2026-11-22", cursor=first["cursor"]
    )
    assert status == 200
    assert [image["imageKey"] for image in first["images"] + second["images"]] == [
        "uploads/2", "uploads/1", "uploads/0",
    ]  # fmt: skip
    assert second["cursor"] is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"stauts": "FAILED"},
        {"status": "FAILED,COMPLETED"},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "٣"},
        {"limit": "1.5"},
        {"limit": "9" * 5000},
        {"limit": ""},
        {"from_": "now"},
        {"cursor": ""},
        {"cursor": "nonsense"},
        {"label": ""},
        {"prefix": ""},
        {"prefix": "x" * 2000},
    ],
)
def test_an_invalid_request_is_a_bad_request(ask, parameters):
    """The response is 400 with the rule and a hint."""
    status, body = ask(**parameters)
    assert (status, body["title"]) == (400, "Bad Request")
    assert "\n" not in body["detail"]
    assert len(body["detail"]) < 400


def test_a_folder_is_listed_with_its_rendition_urls(ask):
    """The answer contains URLs of renditions, but not their locations in S3."""
    rendition = {"name": "web", "format": "JPEG", "width": 3, "height": 2, "bucket": "b-1", "key": "thumbnails/web.jpg"}
    record = {
        "ImageKey": "uploads/summer/a.jpg",
        "status": "COMPLETED",
        "image": {"width": 30, "height": 20},
        "renditions": [rendition],
    }
    indexing.apply(clients.client, table=LISTING_TABLE, image_key=record["ImageKey"], record=record, order="1")
    put("uploads/a.jpg", 1)
    status, body = ask(prefix="summer")
    (image,) = body["images"]
    assert (status, image["imageKey"]) == (200, "uploads/summer/a.jpg")
    assert image["srcsets"] == {"image/jpeg": f"{image['renditionUrl']} 3w"}
    assert "renditions" not in image


def test_an_unavailable_table_is_a_503(ask):
    """The response is 503 without details of AWS."""
    with Stubber(clients.client("dynamodb")) as stub:
        stub.add_client_error("query", "ThrottlingException", "table listing-table", 400)
        status, body = ask()
    assert status == 503
    assert "listing-table" not in body["detail"]
