"""What `verify` creates in a stack, and how it is removed again. Each is a context; its end removes it.

All names start with `image-pipeline-verify-`, so `leftovers` finds what a killed process left behind.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from image_pipeline.api import apikeys, scopes
from image_pipeline_cli.checks import CheckFailedError
from image_pipeline_cli.stack import Stack

PREFIX = "image-pipeline-verify-"
_SOURCE = "image-pipeline"  # the source of outcome events; see docs/events.md
_KEPT_SECONDS = "3600"
_MOST_KEYS_OF_A_REQUEST = 1000
_MOST_RECEIVES = 50
_RECEIVE_SECONDS = 1
_DEFAULT_BUS = "default"
_TARGET = "queue"


@dataclass
class Inbox:
    """The outcome events of the run, and all notifications of the stack, that have arrived so far."""

    receive: Callable[[], list[str]]
    """Takes the messages that wait in the queue, and returns their bodies."""
    events: list[dict[str, Any]] = field(default_factory=list)
    notifications: list[dict[str, Any]] = field(default_factory=list)

    def collect(self) -> None:
        """Take the waiting messages, but not all that a busy stack sends meanwhile."""
        for _ in range(_MOST_RECEIVES):
            bodies = self.receive()
            if not bodies:
                return
            for message in map(json.loads, bodies):
                if message.get("source") == _SOURCE:
                    self.events.append(message)
                else:
                    self.notifications.append(message)


@contextmanager
def inbox(stack: Stack, name: str, folder: str) -> Iterator[Inbox]:
    """Create a queue that receives the outcome events of a folder and all notifications."""
    with _queue(stack, name) as (url, arn), _rule(stack, name, arn, folder), _subscription(stack, arn):

        def receive() -> list[str]:
            sqs = stack.client("sqs")
            request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": _RECEIVE_SECONDS}
            messages = sqs.receive_message(**request).get("Messages", [])
            if messages:
                entries = [
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(messages)
                ]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)
            return [message["Body"] for message in messages]

        yield Inbox(receive)


def inbox_names(stack: Stack) -> set[str]:
    """Return the names of all queues, rules and subscriptions of runs."""
    queues = stack.client("sqs").list_queues(QueueNamePrefix=PREFIX).get("QueueUrls", ())
    rules = stack.client("events").list_rules(NamePrefix=PREFIX, EventBusName=_bus(stack))["Rules"]
    names = {url.rpartition("/")[2] for url in queues} | {rule["Name"] for rule in rules}
    return names | set(_subscriptions(stack))


def remove_inbox(stack: Stack, name: str) -> None:
    """Remove what is left of the queue, the rule and the subscription of a run."""
    sqs = stack.client("sqs")
    events = stack.client("events")
    bus = _bus(stack)
    if arn := _subscriptions(stack).get(name):
        stack.client("sns").unsubscribe(SubscriptionArn=arn)
    if events.list_rules(NamePrefix=name, EventBusName=bus)["Rules"]:
        events.remove_targets(Rule=name, EventBusName=bus, Ids=[_TARGET])
        events.delete_rule(Name=name, EventBusName=bus)
    for url in sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", ()):
        sqs.delete_queue(QueueUrl=url)


def _subscriptions(stack: Stack) -> dict[str, str]:
    """Return the subscriptions of runs to the topic of the stack, by name."""
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic")
    return {
        name: subscription["SubscriptionArn"]
        for page in pages.paginate(TopicArn=stack.outputs["NotificationTopicArn"])
        for subscription in page["Subscriptions"]
        if (name := subscription["Endpoint"].rpartition(":")[2]).startswith(PREFIX)
    }


@contextmanager
def api_key(stack: Stack, name: str, access: scopes.Access) -> Iterator[str]:
    """Create an API key, and remove its record at the end; a key that is left behind expires after a day."""
    table = stack.outputs["ApiKeyTableName"]
    key = apikeys.create(stack.client, table=table, name=name, expires_days=1, access=access)
    try:
        yield key.text
    finally:
        stack.client("dynamodb").delete_item(TableName=table, Key={"KeyId": {"S": key.key_id}})


def delete_versions(stack: Stack, bucket: str, prefix: str) -> None:
    """Delete all versions and delete markers below a prefix permanently.

    Raises:
        CheckFailedError: S3 did not delete some of them.
    """
    s3 = stack.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        entries = [
            {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        for start in range(0, len(entries), _MOST_KEYS_OF_A_REQUEST):
            batch = entries[start : start + _MOST_KEYS_OF_A_REQUEST]
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            if errors := answer.get("Errors"):
                raise CheckFailedError(
                    f"{len(errors)} versions in {bucket} were not deleted: {errors[0].get('Message')}.",
                    f"Delete what remains below {prefix} by hand.",
                )


@contextmanager
def _queue(stack: Stack, name: str) -> Iterator[tuple[str, str]]:
    """Create a queue to which exactly the rule and the topic may send.

    It has its policy from the beginning: a later change may take a minute to take effect.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    sqs = stack.client("sqs")
    topic = stack.outputs["NotificationTopicArn"]
    _, partition, _, region, account, _ = topic.split(":")
    arn = f"arn:{partition}:sqs:{region}:{account}:{name}"
    bus = _bus(stack)
    rule = name if bus == _DEFAULT_BUS else f"{bus}/{name}"
    sources = {
        "events.amazonaws.com": f"arn:{partition}:events:{region}:{account}:rule/{rule}",
        "sns.amazonaws.com": topic,
    }
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
        }
        for service, source in sources.items()
    ]
    attributes = {
        "MessageRetentionPeriod": _KEPT_SECONDS,
        "SqsManagedSseEnabled": "true",
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": statements}),
    }
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    try:
        yield url, arn
    finally:
        sqs.delete_queue(QueueUrl=url)


@contextmanager
def _rule(stack: Stack, name: str, queue_arn: str, folder: str) -> Iterator[None]:
    events = stack.client("events")
    bus = _bus(stack)
    pattern = {"source": [_SOURCE], "detail": {"imageKey": [{"prefix": folder}]}}
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    try:
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": _TARGET, "Arn": queue_arn}])
        yield
    finally:
        events.remove_targets(Rule=name, EventBusName=bus, Ids=[_TARGET])
        events.delete_rule(Name=name, EventBusName=bus)


@contextmanager
def _subscription(stack: Stack, queue_arn: str) -> Iterator[None]:
    """Subscribe the queue without a filter: a filter may take 15 minutes to take effect.

    https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
    """
    sns = stack.client("sns")
    topic = stack.outputs["NotificationTopicArn"]
    answer = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, ReturnSubscriptionArn=True)
    try:
        yield
    finally:
        sns.unsubscribe(SubscriptionArn=answer["SubscriptionArn"])


def _bus(stack: Stack) -> str:
    return stack.outputs.get("EventBusName", _DEFAULT_BUS)
