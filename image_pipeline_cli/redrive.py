"""Put back what was given up: events that EventBridge could not deliver, and messages of batches."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline_cli.stack import Stack

_GENERATED = re.compile(r"-[0-9A-Za-z]{12,13}$")
"""What CloudFormation adds to the logical id of a state machine that has no name of its own."""
_HIDDEN_SECONDS = 300  # what an interrupted redrive has taken comes back to the queue after this


@dataclass(frozen=True)
class Redriven:
    """What became of the messages."""

    started: int
    """Of events: executions."""
    sent: int
    """Of batches: messages that wait in their queue again."""
    left: int


class _NotPutBackError(Exception):
    """Why a message stays where it is."""


def redrive(stack: Stack, say: Callable[[str], None]) -> Redriven:
    """Start every execution that an undelivered event was meant for; give every message of a batch another chance.

    An event whose message comes twice starts one execution: the name is the message's, and names are unique.

    Args:
        stack: Whose queues.
        say: Tells the user of each message.

    Raises:
        botocore.exceptions.ClientError: A queue cannot be read.
    """
    started, events = _empty(stack, stack.outputs["UndeliveredEventsQueueUrl"], _start, say)
    sent, messages = _empty(stack, stack.outputs["BatchDeadLetterQueueUrl"], _send, say)
    return Redriven(started, sent, events + messages)


def _empty(
    stack: Stack, queue: str, put_back: Callable[[Stack, Any], str], say: Callable[[str], None]
) -> tuple[int, int]:
    """Put every message of a queue back to where it belongs; tell how many, and how many are left."""
    done, left, sqs = 0, [], stack.client("sqs")
    for message in _messages(sqs, queue):
        try:
            say(put_back(stack, message))
        except _NotPutBackError as error:
            left.append(message)
            say(f"Left in the queue, as {error}: {_subject(message)}.")
        else:
            done += 1
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    for message in left:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    return done, len(left)


def _messages(sqs: Any, queue: str) -> Iterator[Any]:
    """Every message that is in a queue now, once."""
    seen: set[str] = set()
    asked: dict[str, Any] = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], "WaitTimeSeconds": 1}
    while True:
        answer = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=_HIDDEN_SECONDS, **asked)
        fresh = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not fresh:
            return
        seen |= {message["MessageId"] for message in fresh}
        yield from fresh


def _start(stack: Stack, message: Any) -> str:
    states, name = stack.client("stepfunctions"), f"redriven_{message['MessageId']}"
    machine = _machine_for(stack.outputs, _attributes(message).get("TARGET_ARN", ""), _event(message))
    try:
        states.start_execution(stateMachineArn=machine, name=name, input=message["Body"])
    except states.exceptions.ExecutionAlreadyExists:
        pass  # by a redrive that was interrupted before it could take the message out
    except ClientError as error:
        raise _NotPutBackError(f"Step Functions said {error.response['Error']['Code']}") from error
    return f"Started: {_subject(message)}."


def _machine_for(outputs: Mapping[str, str], target: str, event: Mapping[str, Any]) -> str:
    """Find the state machine of this stack that an event is meant for; a message alone can name no other one.

    Args:
        outputs: Of the stack.
        target: The ARN that the message names; empty if it names none.
        event: What could not be delivered.

    Raises:
        _NotPutBackError: It is not meant for this stack.
    """
    if not target:
        raise _NotPutBackError("it does not name its target")
    machines = [arn for name, arn in outputs.items() if name.endswith("StateMachineArn")]
    found = next((arn for arn in machines if arn == target), None)
    if found is None and _is_of_bucket(event, outputs["UploadsBucketName"]):
        found = next((arn for arn in machines if _is_earlier(target, arn)), None)
    if found is None:
        raise _NotPutBackError(f"its target {target} is no workflow of this stack")
    # An event from before empty objects were waited for still names the workflow that processes.
    waiting = outputs.get("WaitForContentStateMachineArn", found)
    return waiting if found == outputs["ProcessImageStateMachineArn"] and _is_of_empty_object(event) else found


def _is_earlier(target: str, current: str) -> bool:
    """Whether a state machine once had the place of another one: CloudFormation has named both after one resource."""
    place, _, name = current.rpartition(":")
    resource = _GENERATED.sub("", name)
    return target.startswith(f"{place}:{resource}-") or target == f"{place}:{resource}"


def _is_of_bucket(event: Mapping[str, Any], bucket: str) -> bool:
    return event.get("source") == "aws.s3" and _detail(event, "bucket").get("name") == bucket


def _is_of_empty_object(event: Mapping[str, Any]) -> bool:
    return event.get("detail-type") == "Object Created" and _detail(event, "object").get("size") == 0


def _detail(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    detail = event.get("detail")
    part = detail.get(name) if isinstance(detail, dict) else None
    return part if isinstance(part, dict) else {}


def _event(message: Any) -> dict[str, Any]:
    """What a message holds; nothing when that is not understood."""
    try:
        event = json.loads(message["Body"])
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _send(stack: Stack, message: Any) -> str:
    try:
        stack.client("sqs").send_message(QueueUrl=stack.outputs["BatchQueueUrl"], MessageBody=message["Body"])
    except ClientError as error:
        raise _NotPutBackError(f"SQS said {error.response['Error']['Code']}") from error
    return f"Sent again: a message of a batch, {message['Body'][:200]!a}."


def _attributes(message: Any) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}


def _subject(message: Any) -> str:
    """Name what a message is about, safe for a terminal."""
    attributes = _attributes(message)
    why = attributes.get("ERROR_MESSAGE") or attributes.get("ERROR_CODE") or "no reason was given"
    try:
        event = json.loads(message["Body"])
        name = event["detail"].get("object", {}).get("key") or event["detail"].get("executionArn") or event["id"]
        subject = f"{event['detail-type']} {name!a}"
    except (ValueError, KeyError, TypeError, AttributeError):
        subject = f"an event that is not understood, {message['Body'][:60]!a}"
    return f"{subject} (it was not delivered: {why})"
