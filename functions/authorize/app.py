"""Tell API Gateway whether an API key is valid, and what it permits.

When DynamoDB is unavailable, fail, which denies the request.
"""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.api import apikeys
from image_pipeline.observability import logger

client = aws.clients("dynamodb", create=aws.authorizer_client)


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    logger.set_correlation_id(event["requestContext"]["requestId"])
    (table,) = settings.required(os.environ, "API_KEY_TABLE")
    verdict, record = apikeys.authenticate(client, table=table, text=event["identitySource"][0], now=datetime.now(UTC))
    logger.info("key checked", verdict=verdict, key_id=record and record.key_id)
    if record is None or verdict is not apikeys.Verdict.VALID:
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"keyId": record.key_id, **record.access.to_fields()}}
