"""API keys: `ip_<KeyId>_<secret>`. The table contains the SHA-256 of each secret, never the secret itself.

A secret has 256 random bits, so it cannot be guessed, however fast each guess is. A deliberately slow hash protects
passwords that people choose; here it would only slow down every request.
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

from image_pipeline import aws, times
from image_pipeline.api import scopes
from image_pipeline.errors import ApiKeyUnusableError

ACTIVE, REVOKED = "ACTIVE", "REVOKED"

_ALPHABET = digits + ascii_letters
_ID_CHARACTERS = 12
_SECRET_BITS = 256
_SECRET_CHARACTERS = 43  # the minimum number of base-62 digits for 256 bits
_FORM = re.compile(rf"ip_([0-9A-Za-z]{{{_ID_CHARACTERS}}})_([0-9A-Za-z]{{{_SECRET_CHARACTERS}}})")


@dataclass(frozen=True)
class ApiKey:
    """A key, as its owner has it."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The text that the owner sends."""
        return f"ip_{self.key_id}_{self.secret}"


@dataclass(frozen=True)
class ApiKeyRecord:
    """A key, as the table stores it; times in ISO 8601, UTC."""

    key_id: str
    name: str
    secret_hash: str = field(repr=False)
    state: str
    created_at: str
    last_rotated: str
    expires_at: str | None
    access: scopes.Access = field(default_factory=scopes.Access)

    def is_expired(self, now: datetime) -> bool:
        """Return whether the key has expired."""
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now


class Verdict(StrEnum):
    """The result of checking a key."""

    VALID = "valid"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WRONG = "wrong secret"
    REVOKED = "revoked"
    EXPIRED = "expired"


def make(key_id: str | None = None) -> ApiKey:
    """Return a new key from the system's source of randomness; with `key_id`, a new secret for that key."""
    identifier = key_id or "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
    return ApiKey(identifier, _base62(secrets.randbits(_SECRET_BITS)))


def parse(text: str) -> ApiKey | None:
    """Parse a key; None when the text does not have the form of a key."""
    match = _FORM.fullmatch(text)
    return ApiKey(match[1], match[2]) if match else None


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verify(key: ApiKey, record: ApiKeyRecord, now: datetime) -> Verdict:
    """Check a key against its record, in a time that does not depend on the secret.

    Only a caller that knows the secret learns that a key is revoked or expired.
    """
    if not hmac.compare_digest(hash_secret(key.secret), record.secret_hash):
        return Verdict.WRONG
    if record.state != ACTIVE:
        return Verdict.REVOKED
    return Verdict.EXPIRED if record.is_expired(now) else Verdict.VALID


def authenticate(client: aws.Client, *, table: str, text: str, now: datetime) -> tuple[Verdict, ApiKeyRecord | None]:
    """Check the key that a caller sends.

    Returns:
        The verdict, and the record when a key with this KeyId exists.

    Raises:
        botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: the request to DynamoDB failed.
    """
    key = parse(text)
    if key is None:
        return Verdict.MALFORMED, None
    record = _read(client, table=table, key_id=key.key_id)
    if record is None:
        return Verdict.UNKNOWN, None
    return verify(key, record, now), record


def create(
    client: aws.Client,
    *,
    table: str,
    name: str,
    expires_days: int | None = None,
    access: scopes.Access = scopes.Access(),  # noqa: B008 (it cannot be changed)
) -> ApiKey:
    """Create a key and store it.

    Args:
        client: returns the client of a service.
        table: the table of the keys.
        name: the owner or purpose of the key.
        expires_days: the number of days until the key expires; None if it never expires.
        access: the rights of the key; all by default.
    """
    key = make()
    now = datetime.now(UTC)
    item = {
        "KeyId": key.key_id,
        "name": name,
        "secretHash": hash_secret(key.secret),
        "state": ACTIVE,
        "createdAt": times.iso(now),
        "lastRotated": times.iso(now),
        **({"expiresAt": times.iso(now + timedelta(days=expires_days))} if expires_days else {}),
        **access.to_fields(),
    }
    client("dynamodb").put_item(
        TableName=table,
        Item={name: {"S": value} for name, value in item.items()},
        ConditionExpression="attribute_not_exists(KeyId)",
    )
    return key


def list_keys(client: aws.Client, table: str) -> list[ApiKeyRecord]:
    """Return all keys, oldest first."""
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    records = [_from_item(item) for page in pages for item in page["Items"]]
    return sorted(records, key=lambda record: (record.created_at, record.key_id))


def rotate(client: aws.Client, *, table: str, key_id: str) -> ApiKey:
    """Give a key a new secret. The old secret stops working immediately.

    Raises:
        ApiKeyUnusableError: the key does not exist, is revoked, or has expired.
    """
    key = make(key_id)
    _update(
        client,
        table=table,
        key_id=key_id,
        expression="SET secretHash = :hash, lastRotated = :now",
        condition="#state = :active AND (attribute_not_exists(expiresAt) OR expiresAt > :now)",
        values={":hash": hash_secret(key.secret), ":now": times.now(), ":active": ACTIVE},
    )
    return key


def revoke(client: aws.Client, *, table: str, key_id: str) -> None:
    """Revoke a key permanently. Revoking it again changes nothing.

    Raises:
        ApiKeyUnusableError: the key does not exist.
    """
    _update(
        client,
        table=table,
        key_id=key_id,
        expression="SET #state = :revoked",
        condition="attribute_exists(#state)",
        values={":revoked": REVOKED},
    )


def _update(
    client: aws.Client, *, table: str, key_id: str, expression: str, condition: str, values: dict[str, str]
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
            f"The API key {key_id!a} does not exist, is revoked, or has expired.",
            "List the keys, or create a new one.",
        ) from None


def _read(client: aws.Client, *, table: str, key_id: str) -> ApiKeyRecord | None:
    # A consistent read, so that a revoked key stops working immediately.
    response = client("dynamodb").get_item(TableName=table, Key={"KeyId": {"S": key_id}}, ConsistentRead=True)
    return _from_item(response["Item"]) if "Item" in response else None


def _from_item(item: dict[str, Any]) -> ApiKeyRecord:
    return ApiKeyRecord(
        key_id=item["KeyId"]["S"],
        name=item["name"]["S"],
        secret_hash=item["secretHash"]["S"],
        state=item["state"]["S"],
        created_at=item["createdAt"]["S"],
        last_rotated=item["lastRotated"]["S"],
        expires_at=item["expiresAt"]["S"] if "expiresAt" in item else None,
        access=scopes.Access.from_fields(*(item[name]["S"] if name in item else None for name in ("scopes", "folder"))),
    )


def _base62(number: int) -> str:
    text = ""
    for _ in range(_SECRET_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        text = _ALPHABET[digit] + text
    return text
