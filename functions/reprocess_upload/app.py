"""Answer `POST /images/uploads/{filename}/reprocess` and `…/restore`: process an upload again, or undo its deletion.

One function answers both, because a route cannot tell them apart: a greedy variable comes last.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import problems, scopes
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads

client = aws.clients("dynamodb", "s3", "stepfunctions")


@problems.answers_problems("The upload cannot be processed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.DELETE)
    restores = event["rawPath"].endswith(keys.RESTORE_SUFFIX)
    bucket, table, state_machine = settings.required(os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "PROCESS_IMAGE_ARN")
    image_key = keys.upload_key(event["rawPath"], keys.RESTORE_SUFFIX if restores else keys.REPROCESS_SUFFIX)
    access.check(image_key)
    change = partial(
        uploads.restore if restores else uploads.reprocess,
        client,
        bucket=bucket,
        table=table,
        state_machine=state_machine,
        image_key=image_key,
        cooldown_seconds=settings.reprocess_cooldown(os.environ),
    )
    return _restore(event, image_key, change) if restores else _reprocess(event, image_key, change)


def _reprocess(event: dict[str, Any], image_key: str, change: Callable[[], Any]) -> dict[str, Any]:
    execution_arn = change()
    logger.info("upload reprocessed", caller=caller(event))
    body = {"imageKey": image_key, "executionId": execution_arn.split(":")[7]}  # the ARN of Express has one part more
    return problems.answer(202, body, location=keys.status_path(image_key))


def _restore(event: dict[str, Any], image_key: str, change: Callable[[], Any]) -> dict[str, Any]:
    version_id = change()
    logger.info("upload restored", caller=caller(event), version_id=version_id)
    return problems.answer(202, {"imageKey": image_key, "versionId": version_id}, location=keys.status_path(image_key))
