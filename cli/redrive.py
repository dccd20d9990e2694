"""Put events back that EventBridge could not deliver."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli.stack import Stack

_HIDDEN_SECONDS = 300  # what an interrupted redrive has taken comes back to the queue after this


@dataclass(frozen=True)
class Redriven:
    """What became of the messages."""

    started: int
    left: int


def redrive(stack: Stack, say: Callable[[str], None]) -> Redriven:
    """Start every execution that an undelivered event was meant for, and take the event out of the queue.

    An event whose message comes twice starts one execution: the name is the message's, and names are unique.

    Args:
        stack: Whose queue.
        say: Tells the user of each event.

    Raises:
        botocore.exceptions.ClientError: The queue cannot be read.
    """
    machines = {arn for name, arn in stack.outputs.items() if name.endswith("StateMachineArn")}
    started, left = 0, []
    for message in _messages(stack):
        attributes = {name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()}
        target = attributes.get("TARGET_ARN", "")
        why = attributes.get("ERROR_MESSAGE") or attributes.get("ERROR_CODE") or "no reason was given"
        subject = f"{_subject(message['Body'])} (it was not delivered: {why})"
        if target not in machines:
            left.append(message)
            say(f"Left in the queue, as its target {target or 'is not named'} is no workflow of this stack: {subject}.")
            continue
        try:
            _start(stack, target, message)
        except ClientError as error:
            left.append(message)
            say(f"Left in the queue, as Step Functions said {error.response['Error']['Code']}: {subject}.")
            continue
        started += 1
        stack.client("sqs").delete_message(QueueUrl=_queue(stack), ReceiptHandle=message["ReceiptHandle"])
        say(f"Started: {subject}.")
    for message in left:
        stack.client("sqs").change_message_visibility(
            QueueUrl=_queue(stack), ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    return Redriven(started, len(left))


def _queue(stack: Stack) -> str:
    return stack.outputs["UndeliveredEventsQueueUrl"]


def _messages(stack: Stack) -> Iterator[Any]:
    """Every message that is in the queue now, once."""
    seen: set[str] = set()
    asked: dict[str, Any] = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"], "WaitTimeSeconds": 1}
    while True:
        answer = stack.client("sqs").receive_message(QueueUrl=_queue(stack), VisibilityTimeout=_HIDDEN_SECONDS, **asked)
        fresh = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not fresh:
            return
        seen |= {message["MessageId"] for message in fresh}
        yield from fresh


def _start(stack: Stack, machine: str, message: Any) -> None:
    states = stack.client("stepfunctions")
    try:
        states.start_execution(stateMachineArn=machine, name=f"redriven_{message['MessageId']}", input=message["Body"])
    except states.exceptions.ExecutionAlreadyExists:
        return  # by a redrive that was interrupted before it could take the message out


def _subject(body: str) -> str:
    """Name what an event is about, safe for a terminal."""
    try:
        event = json.loads(body)
        name = event["detail"].get("object", {}).get("key") or event["detail"].get("executionArn") or event["id"]
        return f"{event['detail-type']} {name!a}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"an event that is not understood, {body[:60]!a}"
