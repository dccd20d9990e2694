"""Answer `GET /images/uploads/{filename}/original` with a URL that downloads the upload."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import originals, problems, scopes
from image_pipeline.observability import caller, logger

client = aws.clients("s3")


@problems.answers_problems("The original cannot be signed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.READ, needs_key=True)
    (bucket,) = settings.required(os.environ, "UPLOADS_BUCKET")
    seconds = settings.load_for_status(os.environ).rendition_url_seconds
    image_key = keys.upload_key(event["rawPath"], keys.ORIGINAL_SUFFIX)
    access.check(image_key)
    signed = originals.sign(client, bucket=bucket, image_key=image_key, seconds=seconds)
    logger.info("original signed", caller=caller(event))
    return problems.answer(200, signed)
