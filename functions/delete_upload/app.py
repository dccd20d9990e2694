"""Answer `DELETE /images/uploads/{filename}`: the rest follows as after any deletion."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import problems
from image_pipeline.errors import InvalidRequestError
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads


@problems.told("The upload cannot be deleted just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    (bucket,) = settings.required(os.environ, "UPLOADS_BUCKET")
    image_key, etag = keys.upload_key(event["rawPath"]), event["headers"].get("if-match", "*").strip()
    if not etag:
        raise InvalidRequestError("If-Match is empty.", "Send the upload's etag, or leave the header out.")
    uploads.delete(aws.client, bucket, image_key, None if etag == "*" else etag)
    logger.info("upload deleted", caller=caller(event))
    return problems.answer(202, {"imageKey": image_key}, location=keys.status_path(image_key))
