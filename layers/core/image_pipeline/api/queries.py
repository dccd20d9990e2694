"""Read the query parameters of a request. API Gateway would join the values of a repeated parameter with commas."""

from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

from image_pipeline.errors import InvalidRequestError


def read(event: dict[str, Any]) -> dict[str, str]:
    """Return the query parameters of a request.

    Args:
        event: the request, in payload format 2.0.

    Raises:
        InvalidRequestError: a parameter occurs more than once.
    """
    counts = Counter(name for name, _ in parse_qsl(event.get("rawQueryString", ""), keep_blank_values=True))
    for name, count in counts.items():
        if count > 1:
            raise InvalidRequestError(
                f"The parameter {name[:80]!a} occurs {count} times.",
                "Send it once; in a URL, encode a & in a value as %26.",
            )
    parameters: dict[str, str] = event.get("queryStringParameters") or {}
    return parameters
