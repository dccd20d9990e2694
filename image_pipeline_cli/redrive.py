"""Redrive dead-letter queues: events that EventBridge could not deliver, and messages of batches."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline_cli.stack import Stack

_GENERATED = re.compile(r"-[0-9A-Za-z]{12,13}$")
"""The suffix that CloudFormation adds to the logical id of a state machine without an explicit name."""
_WAIT_SECONDS = 1  # a request without a wait asks only some of the servers of SQS
_VISIBILITY_SECONDS = 300  # messages of an interrupted redrive return to the queue after this time


@dataclass(frozen=True)
class RedriveResult:
    """Numbers of messages by result."""

    started: int
    """Events that started an execution."""
    sent: int
    """Batch messages that were sent to their queue again."""
    remaining: int
    """Messages that stay in a dead-letter queue."""


class _NotRedrivenError(Exception):
    """A message cannot be redriven; the message says why."""


def redrive(stack: Stack, say: Callable[[str], None]) -> RedriveResult:
    """Start the execution of each undelivered event, and send each batch message to its queue again.

    A message that is received twice starts one execution: its id is in the name of the execution, and names are unique.

    Args:
        stack: The stack whose queues are redriven.
        say: Reports each message to the user.

    Raises:
        botocore.exceptions.ClientError: A queue cannot be read.
    """
    started, remaining_events = _redrive_queue(stack, stack.outputs["UndeliveredEventsQueueUrl"], _start, say)
    sent, remaining_messages = _redrive_queue(stack, stack.outputs["BatchDeadLetterQueueUrl"], _send, say)
    return RedriveResult(started=started, sent=sent, remaining=remaining_events + remaining_messages)


def _redrive_queue(
    stack: Stack, queue: str, redrive_message: Callable[[Stack, Any], str], say: Callable[[str], None]
) -> tuple[int, int]:
    """Redrive each message of a queue.

    Returns:
        The number of redriven messages, and the number of messages that stay in the queue.
    """
    sqs = stack.client("sqs")
    redriven = 0
    remaining = []
    for message in _messages(sqs, queue):
        try:
            say(redrive_message(stack, message))
        except _NotRedrivenError as error:
            remaining.append(message)
            say(f"Left in the queue because {error}: {_subject(message)}.")
        else:
            redriven += 1
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    for message in remaining:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    return redriven, len(remaining)


def _messages(sqs: Any, queue: str) -> Iterator[Any]:
    """Yield each message that is in the queue, once."""
    received_ids: set[str] = set()
    request: dict[str, Any] = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
    while True:
        answer = sqs.receive_message(
            QueueUrl=queue, VisibilityTimeout=_VISIBILITY_SECONDS, WaitTimeSeconds=_WAIT_SECONDS, **request
        )
        fresh = [message for message in answer.get("Messages", []) if message["MessageId"] not in received_ids]
        if not fresh:
            return
        received_ids |= {message["MessageId"] for message in fresh}
        yield from fresh


def _start(stack: Stack, message: Any) -> str:
    states = stack.client("stepfunctions")
    machine = _machine_for(stack.outputs, _attributes(message).get("TARGET_ARN", ""), _event(message))
    try:
        states.start_execution(stateMachineArn=machine, name=f"redriven_{message['MessageId']}", input=message["Body"])
    except states.exceptions.ExecutionAlreadyExists:
        pass  # an interrupted redrive started it but did not delete the message
    except ClientError as error:
        raise _NotRedrivenError(f"Step Functions returned {error.response['Error']['Code']}") from error
    return f"Started: {_subject(message)}."


def _machine_for(outputs: Mapping[str, str], target: str, event: Mapping[str, Any]) -> str:
    """Find the state machine of this stack that must process an event.

    A message can never start a state machine of another stack.

    Args:
        outputs: The outputs of the stack.
        target: The target ARN in the message; empty if it has none.
        event: The undelivered event.

    Raises:
        _NotRedrivenError: The target does not belong to this stack.
    """
    if not target:
        raise _NotRedrivenError("it has no target ARN")
    machines = [arn for name, arn in outputs.items() if name.endswith("StateMachineArn")]
    machine = next((arn for arn in machines if arn == target), None)
    if machine is None and _is_of_bucket(event, outputs["UploadsBucketName"]):
        machine = next((arn for arn in machines if _is_predecessor(target, arn)), None)
    if machine is None:
        raise _NotRedrivenError(f"its target {target} is not a state machine of this stack")
    # Events of empty objects from older versions of the stack name the state machine that processes images.
    if machine == outputs["ProcessImageStateMachineArn"] and _is_of_empty_object(event):
        return outputs.get("WaitForContentStateMachineArn", machine)
    return machine


def _is_predecessor(target: str, current: str) -> bool:
    """Return whether CloudFormation named both state machines after the same resource, so one replaced the other."""
    prefix, _, name = current.rpartition(":")
    resource = _GENERATED.sub("", name)
    return target.startswith(f"{prefix}:{resource}-") or target == f"{prefix}:{resource}"


def _is_of_bucket(event: Mapping[str, Any], bucket: str) -> bool:
    return event.get("source") == "aws.s3" and _detail(event, "bucket").get("name") == bucket


def _is_of_empty_object(event: Mapping[str, Any]) -> bool:
    return event.get("detail-type") == "Object Created" and _detail(event, "object").get("size") == 0


def _detail(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    detail = event.get("detail")
    part = detail.get(name) if isinstance(detail, dict) else None
    return part if isinstance(part, dict) else {}


def _event(message: Any) -> dict[str, Any]:
    """Parse the event in a message; empty if it is not a JSON object."""
    try:
        event = json.loads(message["Body"])
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _send(stack: Stack, message: Any) -> str:
    try:
        stack.client("sqs").send_message(QueueUrl=stack.outputs["BatchQueueUrl"], MessageBody=message["Body"])
    except ClientError as error:
        raise _NotRedrivenError(f"SQS returned {error.response['Error']['Code']}") from error
    return f"Sent again: batch message {message['Body'][:200]!a}."


def _attributes(message: Any) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}


def _subject(message: Any) -> str:
    """Describe a message, safe for a terminal."""
    attributes = _attributes(message)
    reason = attributes.get("ERROR_MESSAGE") or attributes.get("ERROR_CODE") or "unknown reason"
    try:
        event = json.loads(message["Body"])
        name = event["detail"].get("object", {}).get("key") or event["detail"].get("executionArn") or event["id"]
        subject = f"{event['detail-type']} {name!a}"
    except (ValueError, KeyError, TypeError, AttributeError):
        subject = f"malformed event {message['Body'][:60]!a}"
    return f"{subject} (not delivered: {reason})"
