"""functions/presign_upload"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.functions.conftest import load_handler


@pytest.fixture
def ask():
    handler = load_handler("presign_upload")

    def ask(body):
        event = {"headers": {}, "body": body, "requestContext": {"requestId": "request-1"}}
        answer = handler(event)
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def test_a_form_and_a_url_are_signed(ask):
    """The signature expires as configured, and the response contains the status URL."""
    status, body = ask('{"name": "ü.jpg", "contentType": "image/jpeg"}')
    assert status == 200
    assert body.keys() == {"imageKey", "statusUrl", "expiresAt", "post", "put"}
    assert body["imageKey"] == body["post"]["fields"]["key"] == "uploads/ü.jpg"
    assert body["statusUrl"] == "https://api.example/images/uploads/%C3%BC.jpg/status"
    lifetime = datetime.fromisoformat(body["expiresAt"]) - datetime.now(UTC)
    assert timedelta(seconds=880) < lifetime <= timedelta(seconds=900)
    assert body["post"].keys() == {"url", "fields", "curl"}
    assert body["put"].keys() == {"url", "headers", "curl"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"name": "../x.jpg", "contentType": "image/jpeg"}', 400),
        ('{"name": "x.jpg", "contentType": "image/jpeg", "sizeBytes": 150000000}', 200),
        ('{"name": "x.jpg", "contentType": "image/jpeg", "sizeBytes": 150000001}', 413),
        ('{"name": "\\ud800.jpg", "contentType": "image/jpeg"}', 400),
    ],
)
def test_an_invalid_request_is_a_problem(ask, body, status):
    """An invalid request is a problem document."""
    assert ask(body)[0] == status
