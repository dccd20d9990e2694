"""functions/authorize"""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline import aws
from image_pipeline.api import apikeys
from image_pipeline.api.scopes import Access
from tests.conftest import API_KEY_TABLE, aws_client


def event(text):
    return {
        "version": "2.0",
        "type": "REQUEST",
        "identitySource": [text],
        "headers": {"x-api-key": text},
        "requestContext": {"requestId": "request-1"},
    }


@pytest.fixture
def key():
    return apikeys.create(aws_client, table=API_KEY_TABLE, name="somebody")


def test_a_valid_key_is_accepted_under_its_id(handler, key):
    """The next function receives the KeyId, not the key."""
    assert handler(event(key.text)) == {"isAuthorized": True, "context": {"keyId": key.key_id}}


def test_a_limited_key_is_accepted_with_its_limits(handler):
    """The next function receives the scopes and the folder, and enforces them."""
    access = Access(frozenset({"upload", "read"}), "uploads/shop/")
    key = apikeys.create(aws_client, table=API_KEY_TABLE, name="shop", access=access)
    context = {"keyId": key.key_id, "scopes": "read upload", "folder": "uploads/shop/"}
    assert handler(event(key.text)) == {"isAuthorized": True, "context": context}


def test_every_invalid_key_is_refused(handler, key):
    """All invalid keys get the same response."""
    unsaved = apikeys.make(key.key_id)
    rotated = apikeys.create(aws_client, table=API_KEY_TABLE, name="rotated")
    apikeys.rotate(aws_client, table=API_KEY_TABLE, key_id=rotated.key_id)
    revoked = apikeys.create(aws_client, table=API_KEY_TABLE, name="revoked")
    apikeys.revoke(aws_client, table=API_KEY_TABLE, key_id=revoked.key_id)
    for text in ("", "x", "Bearer " + key.text, key.text + "," + key.text, apikeys.make().text):
        assert handler(event(text)) == {"isAuthorized": False}
    for refused in (unsaved, rotated, revoked):
        assert handler(event(refused.text)) == {"isAuthorized": False}


def test_an_expired_key_is_refused(handler, key):
    """An expired key is refused even with the right secret."""
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    aws_client("dynamodb").update_item(
        TableName=API_KEY_TABLE,
        Key={"KeyId": {"S": key.key_id}},
        UpdateExpression="SET expiresAt = :past",
        ExpressionAttributeValues={":past": {"S": past}},
    )
    assert handler(event(key.text)) == {"isAuthorized": False}


@pytest.mark.parametrize("code", ["InternalServerError", "ThrottlingException", "AccessDeniedException"])
def test_an_unavailable_table_is_an_error(handler, key, code):
    """The error causes a 500; API Gateway would cache a denial."""
    with Stubber(aws.authorizer_client("dynamodb")) as stub:
        for _ in range(3):
            stub.add_client_error("get_item", code, http_status_code=500 if "Internal" in code else 400)
        with pytest.raises(ClientError):
            handler(event(key.text))


def test_no_log_contains_a_key(handler, key, caplog):
    """No log contains a valid or an invalid key, only the KeyId."""
    wrong = apikeys.make(key.key_id)
    caplog.set_level(logging.INFO)
    for api_key in (key, wrong):
        handler(event(api_key.text))
    authorizer_lines = [record for record in caplog.records if record.name == "stack"]
    assert [(record.verdict, record.key_id) for record in authorizer_lines] == [
        ("valid", key.key_id),
        ("wrong secret", key.key_id),
    ]
    for secret in (key.secret, wrong.secret, apikeys.hash_secret(key.secret), apikeys.hash_secret(wrong.secret)):
        assert not [record for record in caplog.records if secret in str(vars(record))]
