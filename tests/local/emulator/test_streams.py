"""emulator/streams.py: filters, batches, retries and dead letters of changes of tables."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.emulator.deploy import plan
from local.emulator.functions import StreamMapping
from local.emulator.streams import Streams
from local.emulator.template import Template, TemplateError
from local.emulator.workers import Function, InvocationResult
from tests.pictures import photo

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/local"
FUNCTION = Function("F", "f", "arn:f", "arn:role", "app.x", "python3.13", Path(), (), 3, 128, {}, "log")
DONE, BROKEN = InvocationResult('{"batchItemFailures": []}'), InvocationResult("{}", failed=True)


def failing(*positions: int) -> InvocationResult:
    return InvocationResult(
        json.dumps({"batchItemFailures": [{"itemIdentifier": str(position)} for position in positions]})
    )


class Stream:
    """A stream with a number of changes, and a queue."""

    endpoint_url = "http://aws"

    def __init__(self, count: int, age: timedelta) -> None:
        self.records = [
            {
                "eventName": "MODIFY",
                "dynamodb": {
                    "SequenceNumber": str(number),
                    "ApproximateCreationDateTime": datetime.now(UTC) - age,
                    "NewImage": {"parity": {"S": "odd" if number % 2 else "even"}},
                },
            }
            for number in range(1, count + 1)
        ]
        self.position = 0
        self.letters: list[dict[str, Any]] = []
        self.drained = threading.Event()

    def __call__(self, _service: str, _key: str) -> Stream:
        return self

    def describe_stream(self, **_: Any) -> Any:
        return {"StreamDescription": {"Shards": [{"ShardId": "s"}]}}

    def get_shard_iterator(self, **options: Any) -> Any:
        return {"ShardIterator": options.get("SequenceNumber", "0")}

    def get_records(self, *, ShardIterator: str, Limit: int) -> Any:  # noqa: N803
        records = self.records[int(ShardIterator) :][:Limit]
        self.position = int(ShardIterator) + len(records)
        return {"Records": records, "NextShardIterator": str(self.position)}

    def count(self, arn: str) -> int:
        assert arn == ARN
        if self.position == len(self.records):
            self.drained.set()  # a reader counts again only after it has processed everything before
        return len(self.records)

    def send_message(self, **message: Any) -> None:
        self.letters.append(json.loads(message["MessageBody"]))


@pytest.fixture
def serve() -> Iterator[Any]:
    """A function that runs a mapping until all changes are processed, and returns batches and dead letters."""
    running: list[Streams] = []

    def until_drained(
        answers: Callable[[list[int]], InvocationResult], count: int = 4, age: float = 0, **settings: Any
    ) -> tuple[list[list[int]], list[dict[str, Any]]]:
        batches: list[list[int]] = []

        def invoke(arn: str, payload: bytes) -> InvocationResult:
            assert arn == FUNCTION.arn
            records = json.loads(payload)["Records"]
            assert {record["eventSourceARN"] for record in records} == {ARN}
            batches.append([int(record["dynamodb"]["SequenceNumber"]) for record in records])
            return answers(batches[-1])

        stream: Any = Stream(count, timedelta(seconds=age))
        properties = {"patterns": (), "batch_size": 100, "most_retries": -1, "oldest_seconds": -1, "bisects": False}
        properties |= {"reports_failures": True, "on_failure_arn": "arn:aws:sqs:us-east-1:123456789012:q", **settings}
        running.append(Streams(stream, invoke, 0.0, stream.count))
        running[-1].follow(StreamMapping(ARN, FUNCTION, **properties))
        assert stream.drained.wait(20)
        return batches, stream.letters

    yield until_drained
    for reader in running:
        reader.stop()


def test_changes_arrive_in_order_and_in_batches(serve):
    """No batch exceeds the size of the mapping, and no change is repeated."""
    assert serve(lambda _: DONE, 5, batch_size=2) == ([[1, 2], [3, 4], [5]], [])


def test_only_matching_changes_invoke_the_function(serve):
    """A change must match one of the patterns."""
    odd = '{"dynamodb": {"NewImage": {"parity": {"S": ["odd"]}}}}'
    fourth = '{"dynamodb": {"SequenceNumber": ["4"]}}'
    assert serve(lambda _: DONE, patterns=(odd, fourth))[0] == [[1, 3, 4]]
    assert serve(lambda _: DONE, patterns=('{"eventName": ["REMOVE"]}',))[0] == []


def test_changes_are_retried_from_the_first_reported_failure(serve):
    """All changes from the first failure on are retried in order."""
    answers = iter([failing(4, 3), failing(3), DONE])
    assert serve(lambda _: next(answers)) == ([[1, 2, 3, 4], [3, 4], [3, 4]], [])


def test_retries_count_from_zero_after_progress(serve):
    """The remaining changes form a new batch."""
    answers = iter([failing(1), failing(2), DONE])
    assert serve(lambda _: next(answers), most_retries=1) == ([[1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4]], [])


def test_reports_need_the_setting_of_the_mapping(serve):
    """Without FunctionResponseTypes, Lambda ignores the response."""
    assert serve(lambda _: failing(1), reports_failures=False)[0] == [[1, 2, 3, 4]]


@pytest.mark.parametrize("answer", ["null", "{}", '{"batchItemFailures": null}'])
def test_an_empty_response_is_a_success(serve, answer):
    """Lambda interprets an empty response as success."""
    assert serve(lambda _: InvocationResult(answer))[0] == [[1, 2, 3, 4]]


def test_a_report_of_an_unknown_change_fails_the_batch(serve):
    """Lambda treats the whole batch as failed."""
    answers = iter([failing(9), DONE])
    assert serve(lambda _: next(answers))[0] == [[1, 2, 3, 4]] * 2


def test_bisection_isolates_a_broken_change(serve):
    """Only that change ends as a dead letter with its position; the others are processed."""
    batches, letters = serve(lambda batch: BROKEN if 3 in batch else DONE, bisects=True, most_retries=2)
    assert batches == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [3], [3], [4]]
    (letter,) = letters
    assert letter["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert letter["responseContext"]["functionError"] == "Unhandled"
    info = letter["DDBStreamBatchInfo"]
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == ("3", "3", 1)
    assert (info["shardId"], info["streamArn"]) == ("s", ARN)


def test_old_changes_are_not_retried(serve):
    """The maximum age applies even if retries remain."""
    batches, letters = serve(lambda _: failing(1), age=61, oldest_seconds=60)
    assert batches == [[1, 2, 3, 4]]
    assert [letter["requestContext"]["condition"] for letter in letters] == ["RecordAgeExceeded"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TumblingWindowInSeconds": 1}, "TumblingWindowInSeconds of M"),
        ({"StartingPosition": "LATEST"}, "^M .*TRIM_HORIZON"),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:1:stream/s"}, "^M .*table"),
    ],
)
def test_an_unsupported_property_of_a_mapping_stops_the_deployment(changes, words):
    """An unsupported property must not be ignored."""
    properties = {"EventSourceArn": ARN, "FunctionName": "f", "StartingPosition": "TRIM_HORIZON", **changes}
    resources = {"M": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}}
    with pytest.raises(TemplateError, match=words):
        plan(Template(Path("template.yml"), {"Resources": resources}, {}, "s", "us-east-1"), "", "")


def test_a_new_item_is_streamed_once_and_completely(pipeline):
    """moto reports an item that an update creates twice, first with its key alone."""
    key, delivered = "uploads/streams/whole.jpg", []

    def listen(event: Any) -> Any:
        delivered.extend(record for record in event["Records"] if record["dynamodb"]["Keys"]["ImageKey"]["S"] == key)
        return {"batchItemFailures": []}

    pipeline.replace("IndexImagesFunction", listen)
    pipeline.upload(key, photo(20, 10))
    statuses = ["PROCESSING", "COMPLETED"]
    pipeline.wait_until(lambda: len(delivered) >= len(statuses), "the changes of the record")
    assert [change["eventName"] for change in delivered] == ["INSERT", "MODIFY"]
    assert [change["dynamodb"]["NewImage"]["status"]["S"] for change in delivered] == statuses
