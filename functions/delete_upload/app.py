"""Answer `DELETE /images/uploads/{filename}`: delete the upload. S3's event about it starts the clean-up."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import problems, scopes
from image_pipeline.errors import InvalidRequestError
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads

client = aws.clients("s3")


@problems.answers_problems("The upload cannot be deleted at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.DELETE)
    (bucket,) = settings.required(os.environ, "UPLOADS_BUCKET")
    image_key = keys.upload_key(event["rawPath"])
    access.check(image_key)
    etag = event["headers"].get("if-match", "*").strip()
    if not etag:
        raise InvalidRequestError("If-Match is empty.", "Send the upload's etag, or omit the header.")
    uploads.delete(client, bucket=bucket, image_key=image_key, etag=None if etag == "*" else etag)
    logger.info("upload deleted", caller=caller(event))
    return problems.answer(202, {"imageKey": image_key}, location=keys.status_path(image_key))
