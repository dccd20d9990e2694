"""Checks of what happens to an upload later: a duplicate event, an overwrite, a deletion, a restoration."""

import json
import time
from typing import Any

from image_pipeline import keys
from image_pipeline.errors import UploadNotFoundError
from image_pipeline.settings import WorkflowType
from image_pipeline.store import records
from image_pipeline.workflow import executions
from image_pipeline_cli import follow
from image_pipeline_cli.checks import Check, CheckFailedError
from image_pipeline_cli.verify.images import check_image
from image_pipeline_cli.verify.samples import BLUE, FIRST, GREEN, RED, WHITE, SampleImage, jpeg
from image_pipeline_cli.verify.session import ObservedOutcome, Session
from image_pipeline_cli.verify.temporary import PREFIX

_MIRRORED = (GREEN, RED, WHITE, BLUE)
_REPLACED = SampleImage("overwrite", "replaced.jpg", "JPEG", jpeg)
_REPLACEMENT = SampleImage("overwrite", "replaced.jpg", "JPEG", jpeg, _MIRRORED)
_SUCCEEDED = "SUCCEEDED"


def check_duplicate(session: Session) -> str:
    """Check that a duplicate event changes nothing."""
    before = session.outcome(FIRST.file_name)
    execution = _send_again(session, before["upload"])
    if session.stack.workflow is WorkflowType.STANDARD:
        status = _end_of(session, execution)
        if status != _SUCCEEDED:
            raise CheckFailedError(
                f"The execution of the duplicate is {status} instead of {_SUCCEEDED}.",
                "See FailureRateAlarm in docs/operations.md.",
            )
    # An Express execution cannot be described. Its first step claims the record. When a later upload has its outcome,
    # the duplicate has claimed the record, or never will.
    _upload(session, _REPLACED)
    after = follow.read(session.stack, [before["imageKey"]])[before["imageKey"]]
    if after["execution"]["id"] != before["execution"]["id"]:
        raise CheckFailedError(
            "The upload was processed a second time.",
            "The workflow that is deployed is not that of this command: build and deploy again.",
        )
    return "A duplicate event changed nothing."


def check_overwrite(session: Session) -> str:
    """Check that a second upload of a name replaces the renditions of the first one."""
    if not session.status_of(_REPLACED.file_name):  # `check_duplicate` uploads it, unless it fails before
        _upload(session, _REPLACED)
    _upload(session, _REPLACEMENT)
    check_image(session, _REPLACEMENT)
    return "The second upload replaced the first one."


def check_delete(session: Session) -> str:
    """Check that a deletion over HTTP ends the record and removes the renditions."""
    session.need_key()
    body = session.outcome(_REPLACEMENT.file_name)
    image_key = body["imageKey"]
    session.expect(session.call("DELETE", _path(image_key)), 202, "DELETE …")
    if not session.wait_until(lambda: _status(session, image_key) == "DELETED"):
        raise CheckFailedError(
            f"The record is {_status(session, image_key)} instead of DELETED.",
            "Check that the rules ImageDeleted are enabled with `image-pipeline doctor`.",
        )
    session.outcomes.append(ObservedOutcome(follow.read(session.stack, [image_key])[image_key]))
    if not session.wait_until(lambda: not _renditions(session, image_key)):
        raise CheckFailedError(
            f"{len(_renditions(session, image_key))} versions of renditions still exist.",
            "See FailedDeletionsAlarm in docs/operations.md.",
        )
    return "The record is DELETED and its renditions are gone."


def check_restore(session: Session) -> str:
    """Check that a restored upload is processed again."""
    session.need_key()
    image_key = session.outcome(_REPLACEMENT.file_name)["imageKey"]
    at = time.monotonic()
    session.expect(session.call("POST", _path(image_key) + keys.RESTORE_SUFFIX), 202, "POST …/restore")
    head = follow.head(session.stack.client("s3"), session.bucket, image_key)
    if head is None:
        raise UploadNotFoundError("The upload was not restored.", "See ApiErrorsAlarm in docs/operations.md.")
    sent = session.remember(_REPLACEMENT.file_name, head.get("VersionId"), head["ETag"], at)
    session.wait([sent], session.times.alone)
    check_image(session, _REPLACEMENT)
    return "The upload was processed again."


def _send_again(session: Session, upload: dict[str, Any]) -> str:
    """Start the workflow with the event of an upload once more, as a duplicate delivery of EventBridge does.

    Only S3 itself can put an event of S3 on the bus.

    Returns:
        The ARN of the execution.
    """
    execution = session.stack.client("stepfunctions").start_execution(
        stateMachineArn=session.stack.outputs["ProcessImageStateMachineArn"],
        name=f"{PREFIX}{time.time_ns()}",
        input=json.dumps(executions.created_event(upload)),
    )
    return str(execution["executionArn"])


def _upload(session: Session, sample: SampleImage) -> None:
    session.wait([session.put(sample.file_name, sample.encode())], session.times.alone)
    session.outcome(sample.file_name)


def _end_of(session: Session, execution: str) -> str:
    states = session.stack.client("stepfunctions")

    def status() -> str:
        return str(states.describe_execution(executionArn=execution)["status"])

    session.wait_until(lambda: status() != "RUNNING")
    return status()


def _path(image_key: str) -> str:
    return keys.status_path(image_key).removesuffix(keys.STATUS_SUFFIX)


def _status(session: Session, image_key: str) -> str:
    table = session.stack.outputs["ImageTableName"]
    return str(records.read_claim(session.stack.client, table=table, image_key=image_key).get("status"))


def _renditions(session: Session, image_key: str) -> list[object]:
    bucket = session.stack.outputs["ThumbnailsBucketName"]
    prefix = keys.rendition_prefix(image_key)
    answer = session.stack.client("s3").list_object_versions(Bucket=bucket, Prefix=prefix)
    return [*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())]


CHECKS: tuple[Check[Session], ...] = (
    Check("duplicate event", check_duplicate, ("states:StartExecution", "states:DescribeExecution")),
    Check("overwrite", check_overwrite, ("s3:PutObject",)),
    Check("delete", check_delete, ("s3:ListBucketVersions",)),
    Check("restore", check_restore, ("s3:GetObject",)),
)
