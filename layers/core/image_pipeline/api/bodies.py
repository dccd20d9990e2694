"""Decode the body of a request, as API Gateway passes it in payload format 2.0."""

import base64
import binascii
import json
from collections import Counter
from typing import Any

from image_pipeline.errors import InvalidRequestError


def read(event: dict[str, Any]) -> bytes:
    """Return the body of a request.

    Raises:
        InvalidRequestError: the body cannot be decoded.
    """
    text = event.get("body") or ""
    try:
        return base64.b64decode(text) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidRequestError("The body of the request cannot be decoded.", "Send the request again.") from error


def read_json(event: dict[str, Any], example: str = '{"name": "beach.jpg"}') -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Args:
        event: the request.
        example: an object that the request may contain, as JSON, for the hint of an error.

    Raises:
        InvalidRequestError: the body is not a JSON object, or contains a field twice.
    """
    try:
        fields = json.loads(read(event), object_pairs_hook=_unique_fields)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidRequestError("The body of the request is not a JSON object.", f"Send an object such as {example}.")
    return fields


def _unique_fields(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object without repeated fields, because parsers differ in which of them they keep."""
    counts = Counter(name for name, _ in fields)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise InvalidRequestError(f"The body contains the field {repeated[0][:80]!a} more than once.", "Send it once.")
    return dict(fields)
