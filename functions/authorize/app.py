"""Tell API Gateway whether the API key of a request is good. Where that cannot be told, fail: nobody gets in."""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.api import apikeys
from image_pipeline.observability import logger


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    logger.set_correlation_id(event["requestContext"]["requestId"])
    (table,) = settings.required(os.environ, "API_KEY_TABLE")
    verdict, key_id = apikeys.judge(aws.hurried_client, table, event["identitySource"][0], datetime.now(UTC))
    logger.info("key judged", verdict=verdict, key_id=key_id)
    if verdict is not apikeys.Verdict.VALID:
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"keyId": key_id}}
