"""The query parameters of a request. API Gateway joins the values of a repeated one with commas: nobody meant that."""

from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

from image_pipeline.errors import InvalidRequestError


def read(event: dict[str, Any]) -> dict[str, str]:
    """Read the parameters of a request, each of which may be given once.

    Args:
        event: of the request, payload format 2.0.

    Raises:
        InvalidRequestError: a parameter is given more than once.
    """
    counts = Counter(name for name, _ in parse_qsl(event.get("rawQueryString", ""), keep_blank_values=True))
    for name, count in counts.items():
        if count > 1:
            raise InvalidRequestError(
                f"The parameter {name[:80]!a} is given {count} times.",
                "Send it once; in a URL, a & that belongs to a value is %26.",
            )
    parameters: dict[str, str] = event.get("queryStringParameters") or {}
    return parameters
