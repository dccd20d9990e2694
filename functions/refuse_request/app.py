"""Answer requests that no other route accepts: 405 with the accepted methods, or 404 when the path does not exist."""

from typing import Any

from image_pipeline.api import problems


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return problems.refusal(method=event["requestContext"]["http"]["method"], path=event["rawPath"])
