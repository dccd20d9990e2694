"""Manage the API keys of a stack. A secret is printed once, when it is created; it cannot be read later."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from image_pipeline.api import apikeys, scopes
from image_pipeline.errors import InvalidKeyError
from image_pipeline_cli.stack import Stack

MAX_NAME_CHARACTERS = 100
MAX_DAYS = 3650

_CACHED = "API Gateway may accept {} for up to five minutes"


def create(stack: Stack, options: argparse.Namespace) -> int:
    """Create a key and print it."""
    access = scopes.Access(frozenset(options.scope or scopes.SCOPES), options.folder)
    key = apikeys.create(
        stack.client, table=_table(stack), name=options.name, expires_days=options.expires_days, access=access
    )
    return _print(key, f"Created key {key.key_id}", options.json)


def rotate(stack: Stack, options: argparse.Namespace) -> int:
    """Replace the secret of a key and print the key.

    Raises:
        ApiKeyUnusableError: There is no such key, or it is revoked or expired.
    """
    key = apikeys.rotate(stack.client, table=_table(stack), key_id=options.key_id)
    return _print(key, f"Rotated key {key.key_id}. {_CACHED.format('the old secret')}", options.json)


def revoke(stack: Stack, options: argparse.Namespace) -> int:
    """Revoke a key.

    Raises:
        ApiKeyUnusableError: There is no such key.
    """
    apikeys.revoke(stack.client, table=_table(stack), key_id=options.key_id)
    sentence = f"Revoked key {options.key_id}. {_CACHED.format('it')}."
    print(json.dumps({"revoked": options.key_id}) if options.json else sentence)
    return 0


def show(stack: Stack, options: argparse.Namespace) -> int:
    """List all keys."""
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "keyId": record.key_id,
            "name": record.name,
            "state": "EXPIRED" if record.state == apikeys.ACTIVE and record.is_expired(now) else record.state,
            "createdAt": record.created_at,
            "lastRotated": record.last_rotated,
            "expiresAt": record.expires_at,
            "scopes": [scope for scope in scopes.SCOPES if scope in record.access.scopes],
            "folder": record.access.folder,
        }
        for record in apikeys.list_keys(stack.client, _table(stack))
    ]
    if options.json:
        print(json.dumps({"keys": rows}))
        return 0
    for row in rows:
        dates = {name: str(row[name])[:10] for name in ("createdAt", "lastRotated", "expiresAt") if row[name]}
        rotated = f", rotated {dates['lastRotated']}" if row["lastRotated"] != row["createdAt"] else ""
        expires = f", expires {dates['expiresAt']}" if "expiresAt" in dates else ""
        limits = f", only {', '.join(row['scopes']) or 'nothing'}" if len(row["scopes"]) < len(scopes.SCOPES) else ""
        limits += f", only in {row['folder']}" if row["folder"] else ""
        about = f"created {dates['createdAt']}{rotated}{expires}{limits}"
        print(f"{row['keyId']}  {row['state']:<7}  {row['name']} ({about})")
    if not rows:
        print("There are no API keys.")
    return 0


def name(text: str) -> str:
    """Validate the name of a key, for argparse."""
    if not (text.isprintable() and 0 < len(text) <= MAX_NAME_CHARACTERS):
        raise argparse.ArgumentTypeError(f"{text!a} is not a name of 1 to {MAX_NAME_CHARACTERS} printable characters")
    return text


def folder(text: str) -> str:
    """Validate the folder of a key, for argparse, and return its key prefix."""
    try:
        return scopes.folder_key(text)
    except InvalidKeyError as error:
        raise argparse.ArgumentTypeError(f"{error.message} {error.hint}") from error


def days(text: str) -> int:
    """Validate a number of days, for argparse."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DAYS):
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from 1 to {MAX_DAYS}")
    return int(text)


def _table(stack: Stack) -> str:
    return stack.outputs["ApiKeyTableName"]


def _print(key: apikeys.ApiKey, sentence: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"keyId": key.key_id, "key": key.text}))
    else:
        print(f"{sentence}. Store this key now; it cannot be shown again:\n{key.text}")
    return 0
