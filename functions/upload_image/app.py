"""Answer `POST /images`: store the image in the body as an upload. S3's event about it starts the workflow."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import intake, problems, scopes
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads

client = aws.clients("s3")


@problems.answers_problems("The upload cannot be stored at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.UPLOAD)
    config = settings.load_for_intake(os.environ)
    upload = intake.receive(event, config.image_formats)
    access.check(upload.image_key)
    version_id = uploads.store(
        client,
        bucket=config.uploads_bucket,
        image_key=upload.image_key,
        data=upload.data,
        content_type=upload.content_type,
        overwrite=upload.overwrite,
        metadata=upload.metadata,
    )
    # The version id is in the logs of both this request and the execution that follows, whose ids differ.
    logger.info("upload stored", caller=caller(event), size_bytes=len(upload.data), version_id=version_id)
    path = keys.status_path(upload.image_key)
    body = {
        "imageKey": upload.image_key,
        "status": "PROCESSING",
        "statusUrl": config.status_api_url + path,
        "versionId": version_id,
        "sizeBytes": len(upload.data),
        "contentType": upload.content_type,
    }
    return problems.answer(202, body, location=path)
