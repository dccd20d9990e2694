"""Messages of BatchQueue: which uploads they name, and their executions, started and waited for.

Waiting is what bounds how much is under way: Lambda fetches no further messages while a batch is being waited for.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from image_pipeline import aws, keys
from image_pipeline.errors import InvalidMessageError, PipelineError, UploadNotFoundError
from image_pipeline.observability import logger
from image_pipeline.store import records
from image_pipeline.store.uploads import Upload

WAIT_SECONDS = 60
"""What takes longer goes on by itself, and counts no more."""
_FIRST_LOOK_SECONDS, _MOST_SECONDS_BETWEEN_LOOKS = 0.5, 5.0
_ASKED_AT_ONCE = 100  # DynamoDB's limit of keys in a request

_SEQUENCER = re.compile(r"[0-9A-Fa-f]{1,64}")
_SHAPES = 'Send {"bucket": …, "key": …}, an event of S3, or one of EventBridge.'


@dataclass(frozen=True)
class Stack:
    """Where the uploads, the records and the workflow are."""

    bucket: str
    table: str
    machine: str
    """The workflow's ARN."""


@dataclass(frozen=True)
class Wanted:
    """One upload that a message names."""

    key: str
    version_id: str | None = None
    sequencer: str | None = None
    """Of S3's event, where the message is one."""
    again: bool = False
    """Whether it shall be processed although it has been."""


@dataclass(frozen=True)
class Started:
    """One execution, and how to see in the record that it has ended."""

    key: str
    name: str
    before: str | None
    """The execution that the record told of last before; None if that is not known."""

    def has_ended(self, record: Mapping[str, Any]) -> bool:
        """Whether the record shows its outcome or its failure, or tells of an execution that has come after it.

        Args:
            record: in DynamoDB's form.
        """
        last = records.last_attempt(records.from_item(record))
        if last == self.name:
            return bool(record["status"]["S"] != "PROCESSING")
        return last not in (None, self.before)


def wanted(body: str, bucket: str) -> list[Wanted]:
    """The uploads that a message names; none for S3's test of a new notification.

    Args:
        body: of the message.
        bucket: the only one whose objects may be named.

    Raises:
        InvalidMessageError: it names something else, or nothing.
    """
    message = _json(body)
    if "Message" in message and "TopicArn" in message:
        message = _json(message["Message"])
    if message.get("Event") == "s3:TestEvent":
        return []
    try:
        if "Records" in message:
            return [_of_notification(record, bucket) for record in message["Records"]]
        if "detail" in message:
            return [_of_event(message, bucket)]
        again = message.get("reprocess", False)
        return [_checked(bucket, message["bucket"], message["key"], message.get("versionId"), again=again)]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidMessageError(f"The message names no object: {type(error).__name__} {error}.", _SHAPES) from error


def start(client: aws.Client, stack: Stack, messages: Iterable[Mapping[str, Any]]) -> tuple[list[Started], list[str]]:
    """Start an execution for every upload that messages name and that needs one.

    A message that comes twice starts nothing new: its id is in the names, and Step Functions knows each name once.

    Args:
        client: gives clients.
        stack: where everything is.
        messages: `messageId` and `body` of each, as Lambda hands them over.

    Returns:
        The executions, and the ids of the messages that could not be served.
    """
    started: list[Started] = []
    failed: list[str] = []
    for message in messages:
        message_id = message["messageId"]
        try:
            for number, each in enumerate(wanted(message["body"], stack.bucket)):
                started += _start(client, stack, each, f"batch_{message_id}_{number}")
        except (PipelineError, *aws.AwsError) as error:
            failed.append(message_id)
            logger.warning("message failed", message_id=message_id, error=type(error).__name__, reason=_reason(error))
        except Exception as error:  # a fault of ours; the other messages are served all the same
            failed.append(message_id)
            logger.exception("message failed", message_id=message_id, error=type(error).__name__)
    return started, failed


def wait(
    client: aws.Client,
    table: str,
    started: Iterable[Started],
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Started]:
    """Wait until the executions have ended, for `WAIT_SECONDS` at most.

    The records are asked, many at once: Step Functions answers only a few such questions a second.

    Args:
        client: gives clients.
        table: of the records.
        started: the executions.
        pause: lets seconds pass.
        clock: gives seconds that only grow.

    Returns:
        Those that are still under way.
    """
    left, seconds, deadline = list(started), _FIRST_LOOK_SECONDS, clock() + WAIT_SECONDS
    while left and clock() < deadline:
        pause(seconds)
        seconds = min(seconds * 1.5, _MOST_SECONDS_BETWEEN_LOOKS)
        found = _records(client, table, {each.key for each in left})
        left = [each for each in left if not each.has_ended(found.get(each.key, {}))]
    return left


def _json(text: Any) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise InvalidMessageError("The message is no JSON object.", _SHAPES)
    return message


def _of_notification(record: Mapping[str, Any], bucket: str) -> Wanted:
    if not str(record["eventName"]).startswith("ObjectCreated:"):
        raise InvalidMessageError(
            "The notification is not about a new object.", "Let S3 send only s3:ObjectCreated:* here."
        )
    named = record["s3"]["object"]
    key = keys.notified_key(named["key"])
    return _checked(bucket, record["s3"]["bucket"]["name"], key, named.get("versionId"), named["sequencer"])


def _of_event(event: Mapping[str, Any], bucket: str) -> Wanted:
    if event.get("detail-type") != "Object Created":
        raise InvalidMessageError("The event is not about a new object.", "Let the rule match only Object Created.")
    detail, named = event["detail"], event["detail"]["object"]
    again = detail.get("reprocess", False)
    return _checked(bucket, detail["bucket"]["name"], named["key"], named.get("version-id"), named["sequencer"], again)


def _checked(ours: str, bucket: Any, key: Any, version_id: Any, sequencer: Any = None, again: Any = False) -> Wanted:
    if bucket != ours:
        raise InvalidMessageError(f"The bucket is {bucket!a}, not {ours!a}.", "Send it to the stack of that bucket.")
    if not isinstance(key, str) or not keys.is_upload(key):
        raise InvalidMessageError(
            f"The key does not begin with {keys.UPLOADS_PREFIX}, or S3 has no such keys.", "Nothing else is processed."
        )
    if not all(value is None or isinstance(value, str) for value in (version_id, sequencer)) or again not in (0, 1):
        raise InvalidMessageError("versionId, sequencer or reprocess has the wrong type.", _SHAPES)
    if version_id and not keys.is_utf8(version_id):
        raise InvalidMessageError("The versionId has halves of characters.", "Send it as S3 has told it.")
    if sequencer is not None and not _SEQUENCER.fullmatch(sequencer):  # another text might beat every later upload
        raise InvalidMessageError("The sequencer is not 1 to 64 hexadecimal digits.", "Send it as S3 has told it.")
    return Wanted(key, version_id, sequencer, bool(again))


def _start(client: aws.Client, stack: Stack, each: Wanted, name: str) -> list[Started]:
    try:
        # A version without a sequencer has no place among the events, but for the newest.
        wanted_version = each.version_id if each.sequencer else None
        upload = Upload.look(client, stack.bucket, stack.table, each.key, wanted_version)
    except UploadNotFoundError:
        logger.info("upload has vanished", execution=name)
        return []
    if each.version_id not in (None, upload.head.get("VersionId")):
        logger.info("upload has been replaced", execution=name)
        return []
    done = upload.is_older(each.sequencer) if each.sequencer else upload.is_claimed
    if (done and not each.again) or upload.is_folder_marker:
        logger.info("nothing to do", execution=name)
        return []
    # Without a sequencer, what is new takes the place of what is known: an event of its own would be lost for ever.
    event = upload.event(again=each.again or each.sequencer is None, sequencer=each.sequencer)
    states, before = client("stepfunctions"), records.last_attempt(upload.claim)
    try:
        states.start_execution(stateMachineArn=stack.machine, name=name, input=json.dumps(event))
    except states.exceptions.ExecutionAlreadyExists:
        before = None
    return [Started(each.key, name, before)]


def _records(client: aws.Client, table: str, image_keys: set[str]) -> dict[str, Any]:
    """Those records that DynamoDB gives at once; what it leaves out is looked at again with what is still under way."""
    wanted_keys = [{"ImageKey": {"S": key}} for key in sorted(image_keys)]
    found: list[Any] = []
    try:
        for first in range(0, len(wanted_keys), _ASKED_AT_ONCE):
            asked = {
                "Keys": wanted_keys[first : first + _ASKED_AT_ONCE],
                "ConsistentRead": True,
                "ProjectionExpression": "ImageKey, #status, execution, lastFailure",
                "ExpressionAttributeNames": {"#status": "status"},
            }
            found += client("dynamodb").batch_get_item(RequestItems={table: asked})["Responses"].get(table, [])
    except aws.AwsError as error:
        if not aws.is_transient(error):
            raise
    return {item["ImageKey"]["S"]: item for item in found}


def _reason(error: Exception) -> str:
    """What is to be logged: of an error of ours its message, of AWS's its code, for the rest may name the upload."""
    if isinstance(error, InvalidMessageError):
        return error.message
    return aws.code_of(error.__cause__ if isinstance(error.__cause__, aws.AwsError) else error)  # type: ignore[arg-type]
