"""Answer `POST /images/uploads/{filename}/reprocess`: process an unchanged upload again."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import problems, scopes
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads


@problems.answers_problems("The upload cannot be processed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.DELETE)
    bucket, table, state_machine = settings.required(os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "PROCESS_IMAGE_ARN")
    image_key = keys.upload_key(event["rawPath"], keys.REPROCESS_SUFFIX)
    access.check(image_key)
    execution_arn = uploads.reprocess(
        aws.client,
        bucket=bucket,
        table=table,
        state_machine=state_machine,
        image_key=image_key,
        cooldown_seconds=settings.reprocess_cooldown(os.environ),
    )
    logger.info("upload reprocessed", caller=caller(event))
    body = {"imageKey": image_key, "executionId": execution_arn.split(":")[7]}  # the ARN of Express has one part more
    return problems.answer(202, body, location=keys.status_path(image_key))
