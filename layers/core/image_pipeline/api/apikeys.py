"""API keys: `ip_<KeyId>_<secret>`. Their table has the SHA-256 of each secret, and never the secret.

A secret is 256 random bits, which nobody can guess, however fast each guess is. A hash that is slow on purpose protects
passwords that people choose; here it would only make every request slower.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from string import ascii_letters, digits
from typing import Any

from image_pipeline import aws
from image_pipeline.errors import ApiKeyUnusableError

ACTIVE, REVOKED = "ACTIVE", "REVOKED"

_ALPHABET = digits + ascii_letters
_ID_CHARACTERS = 12
_SECRET_BITS = 256
_SECRET_CHARACTERS = 43  # the fewest of 62 kinds that hold 256 bits
_FORM = re.compile(rf"ip_([0-9A-Za-z]{{{_ID_CHARACTERS}}})_([0-9A-Za-z]{{{_SECRET_CHARACTERS}}})")


@dataclass(frozen=True)
class ApiKey:
    """A key as its owner has it."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """What the owner sends."""
        return f"ip_{self.key_id}_{self.secret}"


@dataclass(frozen=True)
class ApiKeyRecord:
    """A key as the table has it; times in ISO 8601, UTC."""

    key_id: str
    name: str
    secret_hash: str = field(repr=False)
    state: str
    created_at: str
    last_rotated: str
    expires_at: str | None

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now


class Verdict(StrEnum):
    """What a presented key is worth."""

    VALID = "valid"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WRONG = "wrong secret"
    REVOKED = "revoked"
    EXPIRED = "expired"


def make(key_id: str | None = None) -> ApiKey:
    """A new key from the system's source of randomness; with `key_id`, a new secret for that key."""
    identifier = key_id or "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
    return ApiKey(identifier, _base62(secrets.randbits(_SECRET_BITS)))


def parse(text: str) -> ApiKey | None:
    """The key that a text spells; None when it spells none."""
    found = _FORM.fullmatch(text)
    return ApiKey(found[1], found[2]) if found else None


def hashed(secret: str) -> str:
    """The SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verify(key: ApiKey, record: ApiKeyRecord, now: datetime) -> Verdict:
    """Judge a key by its record, in a time that tells nothing of the secret.

    Only who knows the secret learns that a key is revoked or expired.
    """
    if not hmac.compare_digest(hashed(key.secret), record.secret_hash):
        return Verdict.WRONG
    if record.state != ACTIVE:
        return Verdict.REVOKED
    return Verdict.EXPIRED if record.expired(now) else Verdict.VALID


def judge(client: aws.Client, table: str, text: str, now: datetime) -> tuple[Verdict, str | None]:
    """Judge what a caller presents as a key.

    Returns:
        The verdict, and the KeyId when there is such a key.

    Raises:
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: DynamoDB did not serve the call.
    """
    key = parse(text)
    if key is None:
        return Verdict.MALFORMED, None
    record = _read(client, table, key.key_id)
    if record is None:
        return Verdict.UNKNOWN, None
    return verify(key, record, now), key.key_id


def create(client: aws.Client, table: str, name: str, expires_days: int | None = None) -> ApiKey:
    """Make a key and store it.

    Args:
        client: gives clients.
        table: of the keys.
        name: what its owner or purpose is called.
        expires_days: for how many days it works; None for ever.
    """
    key, now = make(), datetime.now(UTC)
    item = {
        "KeyId": key.key_id,
        "name": name,
        "secretHash": hashed(key.secret),
        "state": ACTIVE,
        "createdAt": _iso(now),
        "lastRotated": _iso(now),
        **({"expiresAt": _iso(now + timedelta(days=expires_days))} if expires_days else {}),
    }
    client("dynamodb").put_item(
        TableName=table,
        Item={name: {"S": value} for name, value in item.items()},
        ConditionExpression="attribute_not_exists(KeyId)",
    )
    return key


def listed(client: aws.Client, table: str) -> list[ApiKeyRecord]:
    """Every key, oldest first."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    records = [_from_item(item) for page in pages for item in page["Items"]]
    return sorted(records, key=lambda record: (record.created_at, record.key_id))


def rotate(client: aws.Client, table: str, key_id: str) -> ApiKey:
    """Give a key a new secret; the old one is worth nothing from now on.

    Raises:
        ApiKeyUnusableError: there is no such key, or it is revoked or expired.
    """
    key, now = make(key_id), _iso(datetime.now(UTC))
    values = {":hash": hashed(key.secret), ":now": now, ":active": ACTIVE}
    usable = "#state = :active AND (attribute_not_exists(expiresAt) OR expiresAt > :now)"
    _update(client, table, key_id, "SET secretHash = :hash, lastRotated = :now", usable, values)
    return key


def revoke(client: aws.Client, table: str, key_id: str) -> None:
    """End a key for good; doing it again changes nothing.

    Raises:
        ApiKeyUnusableError: there is no such key.
    """
    _update(client, table, key_id, "SET #state = :revoked", "attribute_exists(#state)", {":revoked": REVOKED})


def _update(
    client: aws.Client, table: str, key_id: str, expression: str, condition: str, values: dict[str, str]
) -> None:
    try:
        client("dynamodb").update_item(
            TableName=table,
            Key={"KeyId": {"S": key_id}},
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
        )
    except aws.AwsError as error:
        if aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        raise ApiKeyUnusableError(
            f"There is no API key {key_id!a}, or it is revoked or expired.",
            "Look at the list of keys, or create a new one.",
        ) from None


def _read(client: aws.Client, table: str, key_id: str) -> ApiKeyRecord | None:
    # Consistent, so that a key that was just revoked is refused.
    answer = client("dynamodb").get_item(TableName=table, Key={"KeyId": {"S": key_id}}, ConsistentRead=True)
    return _from_item(answer["Item"]) if "Item" in answer else None


def _from_item(item: dict[str, Any]) -> ApiKeyRecord:
    return ApiKeyRecord(
        key_id=item["KeyId"]["S"],
        name=item["name"]["S"],
        secret_hash=item["secretHash"]["S"],
        state=item["state"]["S"],
        created_at=item["createdAt"]["S"],
        last_rotated=item["lastRotated"]["S"],
        expires_at=item["expiresAt"]["S"] if "expiresAt" in item else None,
    )


def _iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _base62(number: int) -> str:
    text = ""
    for _ in range(_SECRET_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        text = _ALPHABET[digit] + text
    return text
