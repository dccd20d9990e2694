"""Answer `POST /images`: the picture in the body becomes an upload, and the rest follows as after any."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import intake, problems
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads


@problems.told("The upload cannot be stored just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load_for_intake(os.environ)
    picture = intake.receive(event, config.image_formats)
    what = picture.image_key, picture.data, picture.content_type
    version = uploads.store(aws.client, config.uploads_bucket, *what, overwrite=picture.overwrite)
    # The execution that follows has another id: the version is what both have in their logs.
    logger.info("upload stored", caller=caller(event), size_bytes=len(picture.data), version_id=version)
    path = keys.status_path(picture.image_key)
    body = {
        "imageKey": picture.image_key,
        "status": "PROCESSING",
        "statusUrl": config.status_api_url + path,
        "versionId": version,
        "sizeBytes": len(picture.data),
        "contentType": picture.content_type,
    }
    return problems.answer(202, body, location=path)
