"""image_pipeline.api.apikeys"""

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st

from image_pipeline.api import apikeys
from image_pipeline.api.apikeys import ApiKey, ApiKeyRecord, Verdict
from image_pipeline.api.scopes import Access
from image_pipeline.errors import ApiKeyUnusableError
from tests.conftest import API_KEY_TABLE, aws_client

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BASE62 = string.digits + string.ascii_letters
keys = st.builds(ApiKey, st.text(BASE62, min_size=12, max_size=12), st.integers(0, 2**256 - 1).map(apikeys._base62))


def record(key, **changes):
    at = "2026-11-20T12:00:00.000Z"
    fields = ApiKeyRecord(key.key_id, "somebody", apikeys.hash_secret(key.secret), "ACTIVE", at, at, None)
    return replace(fields, **changes)


# ---- Without AWS


def test_keys_never_repeat_and_have_the_form_of_keys():
    """A key has an id of 12 and a secret of 43 characters, and every position varies."""
    api_keys = [apikeys.make() for _ in range(200)]
    assert len({key.key_id for key in api_keys}) == len({key.secret for key in api_keys}) == 200
    assert all(len(key.text) == len("ip_") + 12 + 1 + 43 and key.text.isascii() for key in api_keys)
    assert all(len(set(places)) > 10 for places in zip(*(key.secret for key in api_keys), strict=True))


@given(keys)
def test_a_parsed_key_equals_the_formatted_key(key):
    """Formatting and parsing a key are inverse, for any random bits."""
    assert apikeys.parse(key.text) == key
    assert apikeys.verify(key, record(key), NOW) is Verdict.VALID


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_different_secrets_have_different_texts(first, second):
    """The text contains all 256 bits."""
    assert (apikeys._base62(first) == apikeys._base62(second)) == (first == second)
    assert sum(BASE62.index(digit) * 62**place for place, digit in enumerate(reversed(apikeys._base62(first)))) == first


@given(st.text())
@example("")
@example("ip__")
@example("ip_000000000000_" + "0" * 43 + "\n")
@example(" ip_000000000000_" + "0" * 43)
@example("ip_000000000000_" + "0" * 43 + ",ip_000000000000_" + "0" * 43)
@example("ip_000000000000_" + "٣" * 43)
@example("IP_000000000000_" + "0" * 43)
def test_any_other_text_is_not_a_key(text):
    """An invalid text is not an error."""
    assert apikeys.parse(text) is None


@given(keys, keys)
def test_a_key_is_valid_only_with_its_secret(key, other_key):
    """Only the right secret is valid, even if the id is right."""
    presented = ApiKey(key.key_id, other_key.secret)
    expected = Verdict.VALID if key.secret == other_key.secret else Verdict.WRONG
    assert apikeys.verify(presented, record(key), NOW) is expected


@given(keys)
def test_a_printed_key_does_not_contain_its_secret(key):
    """The secret does not appear in logs, tracebacks or debuggers."""
    assert key.secret not in f"{key} {key!r} {record(key)!r}"
    assert apikeys.hash_secret(key.secret) not in repr(record(key))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"state": "REVOKED"}, Verdict.REVOKED),
        ({"state": "whatever"}, Verdict.REVOKED),
        ({"expires_at": "2026-11-21T12:00:00.000Z"}, Verdict.EXPIRED),
        ({"expires_at": "2026-11-21T12:00:00.001Z"}, Verdict.VALID),
    ],
)
def test_an_ended_key_is_not_valid(changes, verdict):
    """A caller without the secret does not learn that the key has ended."""
    key, stranger = apikeys.make("0" * 12), apikeys.make("0" * 12)
    assert apikeys.verify(key, record(key, **changes), NOW) is verdict
    assert apikeys.verify(stranger, record(key, **changes), NOW) is Verdict.WRONG


def test_secrets_are_compared_in_constant_time(monkeypatch):
    """Hashes are compared with `hmac.compare_digest`."""
    compared = []
    monkeypatch.setattr(apikeys.hmac, "compare_digest", lambda *pair: compared.append(pair) or True)
    key = apikeys.make()
    apikeys.verify(key, record(key), NOW)
    assert compared == [(apikeys.hash_secret(key.secret),) * 2]


# ---- With a table

table = pytest.mark.usefixtures("aws")


def authenticate(text, now=None):
    verdict, record = apikeys.authenticate(aws_client, table=API_KEY_TABLE, text=text, now=now or datetime.now(UTC))
    return verdict, record and record.key_id


@table
def test_a_created_key_is_valid_and_its_secret_is_not_stored():
    """A reader of the table cannot obtain a key."""
    key = apikeys.create(aws_client, table=API_KEY_TABLE, name="Zoë's scanner")
    assert authenticate(key.text) == (Verdict.VALID, key.key_id)
    (item,) = aws_client("dynamodb").scan(TableName=API_KEY_TABLE)["Items"]
    assert key.secret not in str(item)
    (stored,) = apikeys.list_keys(aws_client, API_KEY_TABLE)
    assert (stored.key_id, stored.name, stored.state) == (key.key_id, "Zoë's scanner", "ACTIVE")
    assert stored.expires_at is None
    assert stored.created_at == stored.last_rotated


@table
def test_unknown_and_malformed_keys_have_different_errors_without_a_name():
    """Such a key has no KeyId to log."""
    assert authenticate(apikeys.make().text) == (Verdict.UNKNOWN, None)
    assert authenticate("x") == (Verdict.MALFORMED, None)


@table
def test_a_key_expires_after_its_days():
    """A key works until its expiry and not after it."""
    key = apikeys.create(aws_client, table=API_KEY_TABLE, name="n", expires_days=3)
    now = datetime.now(UTC)
    assert authenticate(key.text, now + timedelta(days=3, minutes=-1))[0] is Verdict.VALID
    assert authenticate(key.text, now + timedelta(days=3))[0] is Verdict.EXPIRED


@table
def test_rotation_keeps_the_id_and_ends_the_old_secret():
    """The name and the expiry of the key stay as well."""
    old = apikeys.create(aws_client, table=API_KEY_TABLE, name="n", expires_days=3)
    (old_record,) = apikeys.list_keys(aws_client, API_KEY_TABLE)
    new = apikeys.rotate(aws_client, table=API_KEY_TABLE, key_id=old.key_id)
    assert new.key_id == old.key_id
    assert authenticate(new.text)[0] is Verdict.VALID
    assert authenticate(old.text)[0] is Verdict.WRONG
    (new_record,) = apikeys.list_keys(aws_client, API_KEY_TABLE)
    assert new_record == replace(
        old_record, secret_hash=apikeys.hash_secret(new.secret), last_rotated=new_record.last_rotated
    )
    assert new_record.last_rotated >= old_record.last_rotated


@table
def test_a_revoked_key_stays_revoked():
    """A revoked key can be revoked again, but not rotated."""
    key = apikeys.create(aws_client, table=API_KEY_TABLE, name="n")
    for _ in range(2):
        apikeys.revoke(aws_client, table=API_KEY_TABLE, key_id=key.key_id)
    assert authenticate(key.text) == (Verdict.REVOKED, key.key_id)
    with pytest.raises(ApiKeyUnusableError):
        apikeys.rotate(aws_client, table=API_KEY_TABLE, key_id=key.key_id)


@table
def test_an_expired_key_is_not_rotated():
    """A new secret for an expired key would be useless."""
    key = apikeys.create(aws_client, table=API_KEY_TABLE, name="n", expires_days=1)
    aws_client("dynamodb").update_item(
        TableName=API_KEY_TABLE,
        Key={"KeyId": {"S": key.key_id}},
        UpdateExpression="SET expiresAt = :then",
        ExpressionAttributeValues={":then": {"S": "2026-01-01T00:00:00.000Z"}},
    )
    with pytest.raises(ApiKeyUnusableError):
        apikeys.rotate(aws_client, table=API_KEY_TABLE, key_id=key.key_id)


@table
@pytest.mark.parametrize("change", [apikeys.rotate, apikeys.revoke])
def test_a_missing_record_is_not_changed(change):
    """No key is created."""
    with pytest.raises(ApiKeyUnusableError):
        change(aws_client, table=API_KEY_TABLE, key_id="nobody")
    assert apikeys.list_keys(aws_client, API_KEY_TABLE) == []


@table
def test_a_table_that_cannot_be_read_is_an_error():
    """A read error is not a verdict."""
    with pytest.raises(ClientError):
        apikeys.authenticate(aws_client, table="no-such-table", text=apikeys.make().text, now=NOW)


@table
@pytest.mark.parametrize(
    "access", [Access(), Access(frozenset({"read", "upload"})), Access(folder="uploads/shop/"), Access(frozenset())]
)
def test_a_key_keeps_its_rights(access):
    """The table stores them, and a rotation does not change them."""
    key = apikeys.create(aws_client, table=API_KEY_TABLE, name="somebody", access=access)
    apikeys.rotate(aws_client, table=API_KEY_TABLE, key_id=key.key_id)
    (record,) = apikeys.list_keys(aws_client, API_KEY_TABLE)
    assert record.access == access


@table
def test_a_key_of_an_earlier_release_has_all_rights():
    """A record without scopes and folder has all rights, and so has a new key that is not limited."""
    apikeys.create(aws_client, table=API_KEY_TABLE, name="somebody")
    (item,) = aws_client("dynamodb").scan(TableName=API_KEY_TABLE)["Items"]
    assert not {"scopes", "folder"} & item.keys()
    (record,) = apikeys.list_keys(aws_client, API_KEY_TABLE)
    assert record.access == Access()
