"""Answer `POST /images/presigned` with a form and a URL by which S3 itself takes the picture."""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import intake, presign, problems
from image_pipeline.observability import caller, logger


@problems.told("The upload cannot be signed just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load_for_presigning(os.environ)
    wish = presign.read(intake.json_body(event), config.max_upload_bytes)
    bounds = config.max_upload_bytes, config.presigned_upload_seconds
    signed = presign.sign(aws.signing_client, config.uploads_bucket, wish, *bounds, datetime.now(UTC))
    logger.info("upload signed", caller=caller(event))
    status_url = config.status_api_url + keys.status_path(wish.image_key)
    return problems.answer(200, {"imageKey": wish.image_key, "statusUrl": status_url, **signed})
