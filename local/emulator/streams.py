"""Invoke functions with changes of tables, as event source mappings of Lambda do.

A mapping reads the stream with the role of its function, in order and batch by batch. A failed batch blocks the
following ones until it succeeds or is given up: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from moto.dynamodbstreams.models import dynamodbstreams_backends
from moto.events.models import EventPattern

from local.emulator.clients import Clients
from local.emulator.functions import StreamMapping
from local.emulator.iam import access_key
from local.emulator.template import ACCOUNT_ID
from local.emulator.workers import InvocationResult

POLL_SECONDS = 0.25  # https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html: four times a second
_MOST_RECORDS = 1000
_LONGEST_WAIT = 60  # seconds between two attempts
_LOG = logging.getLogger(__name__)

Change = dict[str, Any]
DeadLetter = dict[str, Any]
Invoke = Callable[[str, bytes], InvocationResult | None]


class Streams:
    """Invokes functions with the changes of tables.

    Args:
        clients: Clients of the local AWS endpoint.
        invoke: Runs a function, by ARN, on a payload.
        wait_scale: Factor on the waits between attempts.
        count: Returns how many changes a stream, by ARN, has had. Readers call AWS only after it has grown.
    """

    def __init__(self, clients: Clients, invoke: Invoke, wait_scale: float, count: Callable[[str], int]) -> None:
        self._clients = clients
        self._invoke = invoke
        self._wait_scale = wait_scale
        self._count = count
        self._stopped = threading.Event()
        self._readers: dict[tuple[str, str], _StreamReader] = {}  # by stream and function

    def update(self, mappings: list[StreamMapping]) -> None:
        """Serve exactly these mappings; one that is served already continues where it is."""
        new_mappings = {(mapping.stream_arn, mapping.function.arn): mapping for mapping in mappings}
        for key in self._readers.keys() - new_mappings.keys():
            self._readers.pop(key).removed.set()
        for key, mapping in new_mappings.items():
            if key in self._readers:
                self._readers[key].mapping = mapping
            else:
                self.follow(mapping)

    def follow(self, mapping: StreamMapping) -> None:
        """Start serving a mapping."""
        key = access_key(mapping.function.role)
        reader = _StreamReader(self._clients("dynamodbstreams", key), mapping, self._count)
        self._readers[mapping.stream_arn, mapping.function.arn] = reader
        threading.Thread(target=self._serve, args=(reader, self._clients("sqs", key)), daemon=True).start()

    def stop(self) -> None:
        """Stop every reader after its current request."""
        self._stopped.set()

    def _serve(self, reader: "_StreamReader", queues: Any) -> None:
        while not self._stopped.wait(POLL_SECONDS) and not reader.removed.is_set():
            try:
                changes = reader.read()
                size = reader.mapping.batch_size
                for start in range(0, len(changes), size):
                    for letter in self._process(reader, changes[start : start + size]):
                        self._send(queues, reader.mapping.on_failure_arn, letter)
            except Exception:
                if not self._stopped.is_set():
                    _LOG.exception("Reading the stream %s failed; it is retried.", reader.mapping.stream_arn)

    def _process(self, reader: "_StreamReader", batch: list[Change]) -> Iterator[DeadLetter]:
        """Invoke the function until a batch is processed; yield a dead letter for changes that are given up."""
        mapping = reader.mapping
        attempts = 0
        while batch and not self._stopped.is_set():
            result = self._invoke(mapping.function.arn, json.dumps({"Records": batch}).encode())
            failed = result is None or result.failed
            processed = _count_processed(mapping, batch, result) if result and not failed else 0
            attempts = 1 if processed else attempts + 1
            batch = batch[processed:]
            if failed and mapping.bisects and len(batch) > 1:
                middle = len(batch) // 2
                yield from self._process(reader, batch[:middle])
                batch = batch[middle:]
                attempts = 0
            elif batch and (condition := _exhausted(mapping, batch, attempts)):
                yield reader.dead_letter(batch, condition, attempts, "Unhandled" if failed else None)
                return
            elif batch:
                self._stopped.wait(min(2.0**attempts, _LONGEST_WAIT) * self._wait_scale)

    def _send(self, queues: Any, queue_arn: str | None, letter: DeadLetter) -> None:
        _LOG.error("Changes were given up: %s", letter)
        if queue_arn:
            url = f"{self._clients.endpoint_url}/{ACCOUNT_ID}/{queue_arn.rpartition(':')[2]}"
            queues.send_message(QueueUrl=url, MessageBody=json.dumps(letter))


def count_changes(stream_arn: str) -> int:
    """Return how many changes a stream has; moto removes none."""
    shard = _backend(stream_arn)._get_table_from_arn(stream_arn).stream_shard
    return len(shard.items)


class _StreamReader:
    """Reads a stream with the role of a function, and applies the filters of the mapping."""

    def __init__(self, streams: Any, mapping: StreamMapping, count: Callable[[str], int]) -> None:
        self.mapping = mapping
        self.removed = threading.Event()
        self._count = count
        self._streams = streams
        self._iterator = self._shard = ""
        self._read_count = 0
        """How many changes the stream had before the last read."""

    def read(self) -> list[Change]:
        """Return the changes since the last call."""
        count = self._count(self.mapping.stream_arn)
        if count == self._read_count:
            return []  # a call takes milliseconds of CPU, four times a second for each mapping
        iterator = self._iterator = self._iterator or self._open()
        answer = self._streams.get_records(ShardIterator=iterator, Limit=_MOST_RECORDS)
        self._iterator = answer["NextShardIterator"]
        _backend(self.mapping.stream_arn).shard_iterators.pop(iterator, None)  # moto never removes them
        changes = [self._change(record) for record in answer["Records"]]
        if len(changes) < _MOST_RECORDS:
            self._read_count = count
        return [change for change in changes if self._matches(change)]

    def dead_letter(self, batch: list[Change], condition: str, attempts: int, error: str | None) -> DeadLetter:
        """Describe changes that are given up, as Lambda does: their position in the stream, not their content."""
        first, last = (datetime.fromtimestamp(_created(change), UTC).isoformat() for change in (batch[0], batch[-1]))
        return {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": self.mapping.function.arn,
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": error},
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(),
            "DDBStreamBatchInfo": {
                "shardId": self._shard,
                "startSequenceNumber": _position(batch[0]),
                "endSequenceNumber": _position(batch[-1]),
                "approximateArrivalOfFirstRecord": first,
                "approximateArrivalOfLastRecord": last,
                "batchSize": len(batch),
                "streamArn": self.mapping.stream_arn,
            },
        }

    def _open(self) -> str:
        """Find the shard and return its beginning. Here it never ends; on AWS another one follows after some hours."""
        arn = self.mapping.stream_arn
        (shard,) = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        self._shard = shard["ShardId"]
        answer = self._streams.get_shard_iterator(StreamArn=arn, ShardId=self._shard, ShardIteratorType="TRIM_HORIZON")
        return str(answer["ShardIterator"])

    def _change(self, record: Any) -> Change:
        """Return a record in the format of a Lambda event."""
        change: Change = json.loads(json.dumps(record, default=datetime.timestamp))
        return {**change, "eventSourceARN": self.mapping.stream_arn}

    def _matches(self, change: Any) -> bool:
        data = change["dynamodb"]
        if change["eventName"] == "INSERT" and data.get("NewImage") == data["Keys"]:
            return False  # moto reports an item that an update creates twice, first with its key alone
        # Lambda's patterns are those of EventBridge's rules.
        patterns = [_pattern(text) for text in self.mapping.patterns]
        return not patterns or any(pattern.matches_event(change) for pattern in patterns)


@lru_cache
def _pattern(text: str) -> EventPattern:
    return EventPattern.load(text)


def _backend(stream_arn: str) -> Any:
    return dynamodbstreams_backends[ACCOUNT_ID][stream_arn.split(":")[3]]


def _count_processed(mapping: StreamMapping, batch: list[Change], result: InvocationResult) -> int:
    """Return how many changes from the start of a batch the function has processed."""
    if not mapping.reports_failures:
        return len(batch)
    reported = (json.loads(result.payload) or {}).get("batchItemFailures") or []
    failed = {failure["itemIdentifier"] for failure in reported}
    positions = [_position(change) for change in batch]
    if not failed <= set(positions):
        return 0  # an unknown id fails the whole batch
    return next((index for index, position in enumerate(positions) if position in failed), len(batch))


def _exhausted(mapping: StreamMapping, batch: list[Change], attempts: int) -> str | None:
    """Return why a batch is not retried; None if it is."""
    if 0 <= mapping.most_retries < attempts:
        return "RetryAttemptsExhausted"
    if 0 <= mapping.oldest_seconds < time.time() - _created(batch[0]):
        return "RecordAgeExceeded"
    return None


def _created(change: Change) -> float:
    return float(change["dynamodb"]["ApproximateCreationDateTime"])


def _position(change: Change) -> str:
    return str(change["dynamodb"]["SequenceNumber"])
