"""BatchQueue: parse its messages, start an execution for each upload, and wait for the executions to end.

Waiting bounds the number of concurrent executions, because Lambda receives no further messages while a batch is
waiting.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from image_pipeline import aws, keys, pauses
from image_pipeline.errors import InvalidMessageError, PipelineError, StorageUnavailableError, UploadNotFoundError
from image_pipeline.observability import logger
from image_pipeline.store import records
from image_pipeline.store.uploads import UploadState

WAIT_SECONDS = 60
"""Slower executions continue but no longer occupy a slot."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0

_SEQUENCER = re.compile(r"[0-9A-Fa-f]{1,64}")
_FORMS = 'Send {"bucket": …, "key": …}, an S3 event notification, or an S3 event from EventBridge.'


class BatchResources(NamedTuple):
    """The resources of a stack that a batch uses."""

    bucket: str
    """The bucket of the uploads."""
    table: str
    """The table of the records."""
    state_machine: str
    """The ARN of the workflow."""


class UploadRef(NamedTuple):
    """One upload that a message names."""

    key: str
    version_id: str | None = None
    sequencer: str | None = None
    """The sequencer of S3's event; None when the message is not an event."""
    reprocess: bool = False
    """Whether to process the upload even if it was processed before."""


class BatchExecution(NamedTuple):
    """A started execution, and how the record shows that it has ended."""

    key: str
    name: str
    previous: str | None
    """The newest execution in the record before this one started; None if unknown."""

    def has_ended(self, record: Mapping[str, Any]) -> bool:
        """Return whether the record shows the outcome or the failure of this execution, or a later execution.

        Args:
            record: `status`, `execution` and `lastFailure` of the record, as plain JSON; empty if it was not read.
        """
        last = records.last_attempt(record)
        if last == self.name:
            return bool(record["status"] != "PROCESSING")
        return last not in (None, self.previous)


def parse_message(body: str, bucket: str) -> list[UploadRef]:
    """Return the uploads that a message names; none for the test event that S3 sends for a new notification.

    Args:
        body: the body of the message.
        bucket: the bucket of the uploads; a message must not name another one.

    Raises:
        InvalidMessageError: the message does not name valid uploads of this bucket.
    """
    message = _json_object(body)
    if "Message" in message and "TopicArn" in message:
        message = _json_object(message["Message"])
    if message.get("Event") == "s3:TestEvent":
        return []
    try:
        if "Records" in message:
            return [_from_notification(record, bucket) for record in message["Records"]]
        if "detail" in message:
            return [_from_event(message, bucket)]
        return [
            _upload_ref(
                expected_bucket=bucket,
                bucket=message["bucket"],
                key=message["key"],
                version_id=message.get("versionId"),
                reprocess=message.get("reprocess", False),
            )
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidMessageError(
            f"The message does not name an object: {type(error).__name__} {error}.", _FORMS
        ) from error


def start(
    client: aws.Client, resources: BatchResources, messages: Iterable[Mapping[str, Any]]
) -> tuple[list[BatchExecution], list[str]]:
    """Start an execution for each upload that messages name, unless the upload needs none.

    A duplicate of a message starts nothing, because the name of the execution contains the message id and Step
    Functions accepts each name once.

    Args:
        client: returns the client of a service.
        resources: the resources of the stack.
        messages: `messageId` and `body` of each message, as Lambda delivers them.

    Returns:
        The executions, and the ids of the messages that failed.
    """
    executions: list[BatchExecution] = []
    failed_ids: list[str] = []
    for message in messages:
        message_id = message["messageId"]
        try:
            for number, upload in enumerate(parse_message(message["body"], resources.bucket)):
                if execution := _start(client, resources, upload, f"batch_{message_id}_{number}"):
                    executions.append(execution)
        except (PipelineError, *aws.AwsError) as error:
            failed_ids.append(message_id)
            logger.warning("message failed", message_id=message_id, error=type(error).__name__, reason=_reason(error))
        except Exception as error:  # a bug; the other messages are processed nevertheless
            failed_ids.append(message_id)
            logger.exception("message failed", message_id=message_id, error=type(error).__name__)
    return executions, failed_ids


def wait(
    client: aws.Client,
    table: str,
    executions: Iterable[BatchExecution],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[BatchExecution]:
    """Wait until the executions have ended, for `WAIT_SECONDS` at most.

    The records are read in batches, because Step Functions accepts only a few DescribeExecution requests per second.

    Args:
        client: returns the client of a service.
        table: the table of the records.
        executions: the executions.
        pause: waits for some seconds.
        clock: returns monotonic seconds.

    Returns:
        The executions that are still running.
    """
    running = list(executions)
    read_pauses = pauses.growing(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, growth=1.5)
    deadline = clock() + WAIT_SECONDS
    while running and clock() < deadline:
        pause(next(read_pauses))
        current = _read_records(client, table, {execution.key for execution in running}, pause)
        running = [execution for execution in running if not execution.has_ended(current.get(execution.key, {}))]
    return running


def _json_object(text: Any) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise InvalidMessageError("The message is not a JSON object.", _FORMS)
    return message


def _from_notification(record: Mapping[str, Any], bucket: str) -> UploadRef:
    if not str(record["eventName"]).startswith("ObjectCreated:"):
        raise InvalidMessageError(
            "The notification is not about a new object.", "Configure S3 to send only s3:ObjectCreated:* to BatchQueue."
        )
    s3_object = record["s3"]["object"]
    return _upload_ref(
        expected_bucket=bucket,
        bucket=record["s3"]["bucket"]["name"],
        key=keys.notified_key(s3_object["key"]),
        version_id=s3_object.get("versionId"),
        sequencer=s3_object["sequencer"],
    )


def _from_event(event: Mapping[str, Any], bucket: str) -> UploadRef:
    if event.get("detail-type") != "Object Created":
        raise InvalidMessageError(
            "The event is not about a new object.", "Configure the rule to match only Object Created."
        )
    detail = event["detail"]
    s3_object = detail["object"]
    return _upload_ref(
        expected_bucket=bucket,
        bucket=detail["bucket"]["name"],
        key=s3_object["key"],
        version_id=s3_object.get("version-id"),
        sequencer=s3_object["sequencer"],
        reprocess=detail.get("reprocess", False),
    )


def _upload_ref(
    *, expected_bucket: str, bucket: Any, key: Any, version_id: Any, sequencer: Any = None, reprocess: Any = False
) -> UploadRef:
    if bucket != expected_bucket:
        raise InvalidMessageError(
            f"The bucket is {bucket!a}, not {expected_bucket!a}.", "Send the message to the stack of that bucket."
        )
    if not isinstance(key, str) or not keys.is_upload(key):
        raise InvalidMessageError(
            f"The key must start with {keys.UPLOADS_PREFIX} and be UTF-8 of at most {keys.MAX_KEY_BYTES} bytes.",
            "Send only keys of uploads.",
        )
    has_valid_types = all(value is None or isinstance(value, str) for value in (version_id, sequencer))
    if not has_valid_types or reprocess not in (0, 1):
        raise InvalidMessageError("versionId, sequencer or reprocess has the wrong type.", _FORMS)
    if version_id and not keys.is_utf8(version_id):
        raise InvalidMessageError("versionId contains an unpaired surrogate.", "Send the versionId as S3 returned it.")
    if sequencer is not None and not _SEQUENCER.fullmatch(
        sequencer
    ):  # another text could sort after every later upload
        raise InvalidMessageError(
            "The sequencer is not 1 to 64 hexadecimal digits.", "Send the sequencer as S3 returned it."
        )
    return UploadRef(key=key, version_id=version_id, sequencer=sequencer, reprocess=bool(reprocess))


def _start(client: aws.Client, resources: BatchResources, upload: UploadRef, name: str) -> BatchExecution | None:
    """Start an execution with this name; return None when the upload needs none."""
    try:
        # Without a sequencer, an old version has no place in the order of events; only the newest version does.
        version_id = upload.version_id if upload.sequencer else None
        state = UploadState.read(
            client, bucket=resources.bucket, table=resources.table, key=upload.key, version_id=version_id
        )
    except UploadNotFoundError:
        logger.info("upload has vanished", execution=name)
        return None
    if upload.version_id not in (None, state.version_id):
        logger.info("upload has been replaced", execution=name)
        return None
    is_done = state.is_older(upload.sequencer) if upload.sequencer else state.is_claimed
    if (is_done and not upload.reprocess) or state.is_folder_marker:
        logger.info("nothing to do", execution=name)
        return None
    # Without a sequencer, the execution must take the place of the newest claim, as a reprocess does: it would
    # otherwise end as an older event.
    event = state.event(reprocess=upload.reprocess or upload.sequencer is None, sequencer=upload.sequencer)
    states = client("stepfunctions")
    previous = records.last_attempt(state.claim)
    try:
        states.start_execution(stateMachineArn=resources.state_machine, name=name, input=json.dumps(event))
    except states.exceptions.ExecutionAlreadyExists:
        previous = None
    return BatchExecution(key=upload.key, name=name, previous=previous)


def _read_records(
    client: aws.Client, table: str, image_keys: set[str], pause: Callable[[float], None]
) -> dict[str, records.Record]:
    """Return the records; none when DynamoDB is unavailable, because the next look reads them again."""
    try:
        items = records.read_many(
            client,
            table,
            [records.item_key(image_key) for image_key in sorted(image_keys)],
            attributes=("ImageKey", "status", "execution", "lastFailure"),
            consistent=True,
            pause=pause,
        )
    except StorageUnavailableError:
        return {}
    return {item["ImageKey"]: item for item in items}


def _reason(error: Exception) -> str:
    """Return the reason to log. Only the error of an invalid message is logged in full; others may name the upload."""
    if isinstance(error, InvalidMessageError):
        return error.message
    return aws.code_of(error.__cause__ if isinstance(error.__cause__, aws.AwsError) else error)  # type: ignore[arg-type]
