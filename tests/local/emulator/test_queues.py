"""emulator/queues.py: messages of queues reach functions as with event source mappings of Lambda."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from local.emulator.clients import Clients
from local.emulator.deploy import plan
from local.emulator.functions import QueueMapping
from local.emulator.moto_seams import sqs as sqs_seam
from local.emulator.queues import Queues
from local.emulator.template import ACCOUNT_ID, Template, TemplateError
from local.emulator.workers import Function, InvocationResult

ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT_ID}:q"
FUNCTION = Function("F", "f", "arn:f", "arn:aws:iam::1:role/r", "app.h", "python3.13", Path(), (), 3, 128, {}, "log")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The server of moto on its own port, with the queues of a local run."""
    sqs_seam.install()
    running = ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


class Served:
    """A queue with a dead-letter queue and a mapping."""

    def __init__(self, url: str, answer: Callable[[list[str]], InvocationResult], **settings: Any) -> None:
        self.sqs: Any = boto3.client("sqs", endpoint_url=url, region_name="us-east-1")
        dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": ARN[:-1] + "dead", "maxReceiveCount": 3}
        attributes = {"VisibilityTimeout": "540", "RedrivePolicy": json.dumps(redrive)}
        self.queue = self.sqs.create_queue(QueueName="q", Attributes=attributes)["QueueUrl"]
        self.dead = dead
        self.batches: list[list[str]] = []
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        self._answer = answer
        properties = {"batch_size": 10, "most_concurrent": 2, "reports_failures": True, **settings}
        self.queues = Queues(Clients(url, "us-east-1"), self._invoke, 0.0, sqs_seam.wait_for_message)
        self.queues.follow(QueueMapping(ARN, FUNCTION, **properties))

    def _invoke(self, arn: str, payload: bytes) -> InvocationResult:
        assert arn == FUNCTION.arn
        records = json.loads(payload)["Records"]
        assert {record["eventSourceARN"] for record in records} == {ARN}
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            self.batches.append([record["body"] for record in records])
        try:
            return self._answer(records)
        finally:
            with self._lock:
                self.under_way -= 1

    def send(self, count: int) -> None:
        for start in range(0, count, 10):
            entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, min(start + 10, count))]
            self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    def left(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in counts.values())

    def wait(self, condition: Callable[[], bool]) -> None:
        tick, turns = threading.Event(), 0
        while not condition():
            turns += 1
            assert turns < 1000
            tick.wait(0.02)


@pytest.fixture
def serve(server) -> Iterator[Any]:
    running: list[Served] = []

    def begin(answer: Callable[[list[Any]], InvocationResult], **settings: Any) -> Served:
        running.append(Served(server, answer, **settings))
        return running[-1]

    yield begin
    for served in running:
        served.queues.stop()
        served.sqs.delete_queue(QueueUrl=served.queue)
        served.sqs.delete_queue(QueueUrl=served.dead)


def failing(*bodies: str) -> Callable[[list[Any]], InvocationResult]:
    def answer(records: list[Any]) -> InvocationResult:
        failed = [{"itemIdentifier": record["messageId"]} for record in records if record["body"] in bodies]
        return InvocationResult(json.dumps({"batchItemFailures": failed}))

    return answer


def test_processed_messages_are_deleted_and_failed_ones_become_dead_letters(serve):
    """The queue limits the attempts; processed messages do not return."""
    served = serve(failing("3"))
    served.send(12)
    served.wait(lambda: served.left(served.dead) == 1 and not served.left(served.queue))
    bodies = sorted(body for batch in served.batches for body in batch)
    assert bodies == sorted([*map(str, range(12)), "3", "3"])
    assert max(map(len, served.batches)) <= 10


@pytest.mark.parametrize(
    "answer",
    [
        InvocationResult("{}", failed=True),
        InvocationResult('{"batchItemFailures": [{"itemIdentifier": "unknown"}]}'),
        InvocationResult('{"batchItemFailures": [{}]}'),
        InvocationResult('{"batchItemFailures": [{"itemIdentifier": null}]}'),
        InvocationResult('["words"]'),
    ],
)
def test_a_failure_or_an_invalid_answer_fails_the_whole_batch(serve, answer):
    """All messages of the batch return."""
    served = serve(lambda _: answer)
    served.send(2)
    served.wait(lambda: served.left(served.dead) == 2)


@pytest.mark.parametrize("payload", ["null", "{}", '{"batchItemFailures": []}', '{"batchItemFailures": null}'])
def test_a_response_without_failures_is_a_success(serve, payload):
    """Lambda interprets such a response as success."""
    served = serve(lambda _: InvocationResult(payload))
    served.send(1)
    served.wait(lambda: bool(served.batches) and not served.left(served.queue))
    assert served.left(served.dead) == 0


def test_reports_need_the_setting_of_the_mapping(serve):
    """Without FunctionResponseTypes, Lambda ignores the response."""
    served = serve(failing("0"), reports_failures=False)
    served.send(1)
    served.wait(lambda: bool(served.batches) and not served.left(served.queue))


def test_the_mapping_limits_parallel_invocations(serve):
    """The allowed number of invocations runs in parallel."""
    together = threading.Barrier(2)

    def answer(_: Any) -> InvocationResult:
        together.wait(10)
        return InvocationResult("{}")

    served = serve(answer, batch_size=1)
    served.send(8)
    served.wait(lambda: not served.left(served.queue))
    assert served.most_under_way == 2


def test_an_unsupported_property_of_a_mapping_stops_the_deployment():
    """An unsupported property must not be ignored."""
    properties = {"EventSourceArn": ARN, "FunctionName": "f", "FilterCriteria": {}}
    resources = {"M": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}}
    with pytest.raises(TemplateError, match="FilterCriteria of M"):
        plan(Template(Path("template.yml"), {"Resources": resources}, {}, "s", "us-east-1"), "", "")
