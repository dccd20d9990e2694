"""Put back what was given up: events that EventBridge could not deliver, and messages of batches."""

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
    machines = {arn for name, arn in stack.outputs.items() if name.endswith("StateMachineArn")}
    target = _attributes(message).get("TARGET_ARN", "")
    if target not in machines:
        raise _NotPutBackError(
            f"its target {target} is no workflow of this stack" if target else "it does not name its target"
        )
    states, name = stack.client("stepfunctions"), f"redriven_{message['MessageId']}"
    try:
        states.start_execution(stateMachineArn=target, name=name, input=message["Body"])
    except states.exceptions.ExecutionAlreadyExists:
        pass  # by a redrive that was interrupted before it could take the message out
    except ClientError as error:
        raise _NotPutBackError(f"Step Functions said {error.response['Error']['Code']}") from error
    return f"Started: {_subject(message)}."


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
