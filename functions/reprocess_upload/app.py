"""Answer the requests that process an upload again: `POST /images/uploads/{filename}/reprocess` and `…/restore`, which
undoes its deletion, and `PUT …/focus`, which chooses the point that its crops must show.

One function serves all of these paths, because a greedy variable must come last in a route.
"""

import os
from collections.abc import Callable
from typing import Any, TypedDict

from image_pipeline import aws, keys, settings
from image_pipeline.api import bodies, problems, scopes
from image_pipeline.imaging import focus
from image_pipeline.observability import caller, logger
from image_pipeline.store import uploads

client = aws.clients("dynamodb", "s3", "stepfunctions")


class UploadArguments(TypedDict):
    """The keyword arguments that the functions of `uploads` share."""

    bucket: str
    table: str
    state_machine: str
    image_key: str
    cooldown_seconds: int


@problems.answers_problems("The upload cannot be processed at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    suffix, scope, answer = _action(event)
    access = scopes.authorize(event, scope)
    bucket, table, state_machine = settings.required(os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "PROCESS_IMAGE_ARN")
    image_key = keys.upload_key(event["rawPath"], suffix)
    access.check(image_key)
    upload = UploadArguments(
        bucket=bucket,
        table=table,
        state_machine=state_machine,
        image_key=image_key,
        cooldown_seconds=settings.reprocess_cooldown(os.environ),
    )
    return answer(event, upload)


def _action(event: dict[str, Any]) -> tuple[str, str, Callable[[dict[str, Any], UploadArguments], dict[str, Any]]]:
    """Return the end of the path, the scope and the function of a request."""
    if event["requestContext"]["http"]["method"] == "PUT":
        return keys.FOCUS_SUFFIX, scopes.UPLOAD, _set_focus
    if event["rawPath"].endswith(keys.RESTORE_SUFFIX):
        return keys.RESTORE_SUFFIX, scopes.DELETE, _restore
    return keys.REPROCESS_SUFFIX, scopes.DELETE, _reprocess


def _reprocess(event: dict[str, Any], upload: UploadArguments) -> dict[str, Any]:
    execution_arn = uploads.reprocess(client, **upload)
    logger.info("upload reprocessed", caller=caller(event))
    return _started(upload["image_key"], execution_arn)


def _set_focus(event: dict[str, Any], upload: UploadArguments) -> dict[str, Any]:
    fields = bodies.read_json(event, example='{"x": 0.3, "y": 0.4}')
    is_removed = fields == {"x": None, "y": None}
    point = None if is_removed else focus.Point.from_json(fields).to_json()
    execution_arn = uploads.set_focus(client, point=point, **upload)
    logger.info("focus set", caller=caller(event))
    return _started(upload["image_key"], execution_arn)


def _started(image_key: str, execution_arn: str) -> dict[str, Any]:
    body = {"imageKey": image_key, "executionId": execution_arn.split(":")[7]}  # the ARN of Express has one part more
    return problems.answer(202, body, location=keys.status_path(image_key))


def _restore(event: dict[str, Any], upload: UploadArguments) -> dict[str, Any]:
    image_key = upload["image_key"]
    version_id = uploads.restore(client, **upload)
    logger.info("upload restored", caller=caller(event), version_id=version_id)
    return problems.answer(202, {"imageKey": image_key, "versionId": version_id}, location=keys.status_path(image_key))
