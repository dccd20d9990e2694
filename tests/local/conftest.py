"""Fixtures of the tests of the local run."""

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.pipeline import Pipeline
from tests.local.browser import Site

PAGE, OTHER_PAGE = "https://page.example", "http://localhost:3000"
"""The origins whose pages may use the pipeline `open_to_pages`."""

_numbers = itertools.count()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A web site on this machine; as `127.0.0.1` it is foreign, as `localhost` `open_to_pages` allows it."""
    with Site() as running:
        yield running


@pytest.fixture(scope="session")
def open_to_pages(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Pipeline]:
    """A pipeline as `make run` starts it, which allows pages of its own origin and of some others."""
    origins = {"CorsOrigins": f"{PAGE},{OTHER_PAGE},http://localhost:{site.port}"}
    with Pipeline(tmp_path_factory.mktemp("pages"), parameters=origins) as pipeline:
        yield pipeline


@pytest.fixture
def folder() -> str:
    """A folder of the uploads bucket that no other test uses."""
    return f"uploads/local-{next(_numbers)}"


@pytest.fixture
def listen(pipeline: Pipeline) -> Iterator[Callable[[dict[str, Any]], Callable[[int], list[Any]]]]:
    """A function that creates a rule for a pattern; it returns a function that waits for a number of events."""
    events, sqs, rules = pipeline.client("events"), pipeline.client("sqs"), []

    def listen_for(pattern: dict[str, Any]) -> Callable[[int], list[Any]]:
        name, received = f"test-{uuid.uuid4()}", []
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        rules.append(name)

        def enough(count: int) -> bool:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            received.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
            return len(received) >= count

        def wait_for_events(count: int) -> list[Any]:
            pipeline.wait_until(lambda: enough(count), f"{count} events like {pattern}, not {received}")
            return received

        return wait_for_events

    yield listen_for
    for name in rules:
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)
