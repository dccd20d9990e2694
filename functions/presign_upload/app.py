"""Answer `POST /images/presigned` with a form and a URL to upload an image directly to S3."""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import bodies, presign, problems, scopes
from image_pipeline.observability import caller, logger

client = aws.clients("s3")


@problems.answers_problems("The upload cannot be signed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.UPLOAD)
    config = settings.load_for_presigning(os.environ)
    request = presign.parse(bodies.read_json(event), config.max_upload_bytes)
    access.check(request.image_key)
    signed = presign.sign(
        client,
        config.uploads_bucket,
        request,
        max_bytes=config.max_upload_bytes,
        seconds=config.presigned_upload_seconds,
        now=datetime.now(UTC),
    )
    logger.info("upload signed", caller=caller(event))
    status_url = config.status_api_url + keys.status_path(request.image_key)
    return problems.answer(200, {"imageKey": request.image_key, "statusUrl": status_url, **signed})
