"""Parse requests for the statuses of many uploads, and bound the size of the answer."""

import json
from typing import Any

from image_pipeline import keys
from image_pipeline.errors import InvalidKeyError, InvalidRequestError

EXAMPLE = '{"imageKeys": ["uploads/beach.jpg"]}'
MAX_KEYS = 100
"""As many as DynamoDB reads in one request."""
MAX_BYTES = 5_500_000
"""The limit of an answer in bytes. With its headers and as escaped JSON it must stay below Lambda's 6,291,556 bytes."""


def parse(fields: dict[str, Any]) -> list[str]:
    """Return the different keys that a request names, in their order.

    Raises:
        InvalidRequestError: a field is missing, unknown, or invalid.
        InvalidKeyError: a text cannot be the key of an upload.
    """
    if unknown := fields.keys() - {"imageKeys"}:
        raise InvalidRequestError(f"The field {min(unknown)[:80]!a} is unknown.", f"Send {EXAMPLE}.")
    image_keys = fields.get("imageKeys")
    if not isinstance(image_keys, list):
        raise InvalidRequestError("imageKeys is missing or not a list.", f"Send {EXAMPLE}.")
    if not 1 <= len(image_keys) <= MAX_KEYS:
        raise InvalidRequestError(
            f"imageKeys has {len(image_keys):,} keys, not 1 to {MAX_KEYS}.", "Ask for more keys with several requests."
        )
    for index, image_key in enumerate(image_keys):
        if not isinstance(image_key, str):
            raise InvalidRequestError(f"imageKeys[{index}] is not a string.", f"Send {EXAMPLE}.")
        if not keys.is_upload(image_key):
            raise InvalidKeyError(
                f"imageKeys[{index}] is {image_key[:80]!a}, which cannot be the key of an upload.",
                f"A key starts with {keys.UPLOADS_PREFIX} and has at most {keys.MAX_KEY_BYTES:,} bytes of UTF-8.",
            )
    return list(dict.fromkeys(image_keys))


def fits(body: dict[str, Any]) -> bool:
    """Return whether Lambda can return an answer with this body, which it receives as escaped JSON."""
    return len(json.dumps(json.dumps(body, ensure_ascii=False), ensure_ascii=False).encode()) <= MAX_BYTES
