"""Answer `GET /images/uploads/{filename}/status` with the record of the upload."""

import json
import os
from typing import Any

from image_pipeline import settings, status
from image_pipeline.errors import InvalidKeyError, StorageUnavailableError
from image_pipeline.observability import logger

HEADERS = {"content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff"}
NOT_FOUND = "Image details not found for the given image identifier."


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    logger.set_correlation_id(event["requestContext"]["requestId"])
    try:
        record = status.find(event["rawPath"], settings.load_for_status(os.environ))
    except InvalidKeyError as error:
        return _answer(400, {"message": str(error).replace("\n", " ")})
    except StorageUnavailableError:
        logger.exception("status not read")
        return _answer(503, {"message": "The status cannot be read just now. Try again in a few seconds."})
    return _answer(404, {"message": NOT_FOUND}) if record is None else _answer(200, record)


def _answer(status_code: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status_code, "headers": HEADERS, "body": json.dumps(body, ensure_ascii=False)}
