"""Answer whatever no other route takes: 405 with what its path takes, 404 where there is no such path."""

from typing import Any

from image_pipeline.api import problems


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return problems.refusal(event["requestContext"]["http"]["method"], event["rawPath"])
