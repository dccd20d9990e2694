"""What the tests of the local run share."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.pipeline import Pipeline

_numbers = itertools.count()


@pytest.fixture
def folder() -> str:
    """A folder of the uploads bucket that no other test uses."""
    return f"uploads/local-{next(_numbers)}"


@pytest.fixture
def listen(pipeline: Pipeline) -> Iterator[Callable[[dict[str, Any]], Callable[[int], list[Any]]]]:
    """Makes a rule for a pattern; what it gives waits for so many events and gives all there are."""
    events, sqs, rules = pipeline.client("events"), pipeline.client("sqs"), []

    def listen_for(pattern: dict[str, Any]) -> Callable[[int], list[Any]]:
        name, seen = f"test-{uuid.uuid4()}", []
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        rules.append(name)

        def enough(count: int) -> bool:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            seen.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
            return len(seen) >= count

        def heard(count: int) -> list[Any]:
            pipeline.wait_until(lambda: enough(count), f"{count} events like {pattern}, not {seen}")
            return seen

        return heard

    yield listen_for
    for name in rules:
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)
