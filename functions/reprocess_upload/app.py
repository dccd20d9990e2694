"""Answer `POST /images/uploads/{filename}/reprocess`: the upload is processed again as it is."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import problems
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads


@problems.told("The upload cannot be processed just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    where = settings.required(os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "PROCESS_IMAGE_ARN")
    image_key = keys.upload_key(event["rawPath"], keys.REPROCESS_SUFFIX)
    cooldown = settings.reprocess_cooldown(os.environ)
    execution = uploads.reprocess(aws.client, *where, image_key, cooldown_seconds=cooldown)
    logger.info("upload reprocessed", caller=caller(event))
    body = {"imageKey": image_key, "executionId": execution.split(":")[7]}  # Express adds a part
    return problems.answer(202, body, location=keys.status_path(image_key))
