"""From a change of a table to a function, as Lambda's event source mappings do it.

A mapping reads the stream with the role of its function, in order and batch by batch. What fails holds up what follows,
until it gets through or is given up: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from moto.dynamodbstreams.models import dynamodbstreams_backends
from moto.events.models import EventPattern

from local.emulator.clients import Clients
from local.emulator.deploy import StreamMapping
from local.emulator.iam import access_key
from local.emulator.template import ACCOUNT_ID
from local.emulator.workers import Result

POLL_SECONDS = 0.25  # https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html: four times a second
_MOST_RECORDS = 1000
_LONGEST_WAIT = 60  # seconds between two attempts
_LOG = logging.getLogger(__name__)

Change = dict[str, Any]
Letter = dict[str, Any]
Invoke = Callable[[str, bytes], Result | None]


class Streams:
    """Invokes functions with the changes of tables.

    Args:
        clients: Clients of the local AWS endpoint.
        invoke: Runs a function, by ARN, on a payload.
        wait_scale: Factor on the waits between attempts.
    """

    def __init__(self, clients: Clients, invoke: Invoke, wait_scale: float) -> None:
        self._clients = clients
        self._invoke = invoke
        self._wait_scale = wait_scale
        self._stopped = threading.Event()

    def follow(self, mapping: StreamMapping) -> None:
        """Serve a mapping from now on."""
        key = access_key(mapping.function.role)
        reader = _Reader(self._clients("dynamodbstreams", key), mapping)
        threading.Thread(target=self._serve, args=(reader, self._clients("sqs", key)), daemon=True).start()

    def stop(self) -> None:
        """Let every reader end with its current request."""
        self._stopped.set()

    def _serve(self, reader: "_Reader", queues: Any) -> None:
        size = reader.mapping.batch_size
        while not self._stopped.wait(POLL_SECONDS):
            try:
                changes = reader.read()
                for start in range(0, len(changes), size):
                    for letter in self._process(reader, changes[start : start + size]):
                        self._send(queues, reader.mapping.on_failure_arn, letter)
            except Exception:
                if not self._stopped.is_set():
                    _LOG.exception("The stream %s is read again.", reader.mapping.stream_arn)

    def _process(self, reader: "_Reader", batch: list[Change]) -> Iterator[Letter]:
        """Invoke the function until a batch is through; gives what there is to say of changes that are given up."""
        mapping, attempts = reader.mapping, 0
        while batch and not self._stopped.is_set():
            result = self._invoke(mapping.function.arn, json.dumps({"Records": batch}).encode())
            broken = result is None or result.failed
            through = _through(mapping, batch, result) if result and not broken else 0
            attempts, batch = 1 if through else attempts + 1, batch[through:]
            if broken and mapping.bisects and len(batch) > 1:
                middle = len(batch) // 2
                yield from self._process(reader, batch[:middle])
                batch, attempts = batch[middle:], 0
            elif batch and (why := _exhausted(mapping, batch, attempts)):
                yield reader.letter(batch, why, attempts, "Unhandled" if broken else None)
                return
            elif batch:
                self._stopped.wait(min(2.0**attempts, _LONGEST_WAIT) * self._wait_scale)

    def _send(self, queues: Any, queue_arn: str | None, letter: Letter) -> None:
        _LOG.error("Changes were given up: %s", letter)
        if queue_arn:
            url = f"{self._clients.endpoint_url}/{ACCOUNT_ID}/{queue_arn.rpartition(':')[2]}"
            queues.send_message(QueueUrl=url, MessageBody=json.dumps(letter))


class _Reader:
    """Reads a stream with the role of a function, and lets through what the mapping's filters do."""

    def __init__(self, streams: Any, mapping: StreamMapping) -> None:
        self.mapping = mapping
        self._streams = streams
        self._patterns = [EventPattern.load(pattern) for pattern in mapping.patterns]
        self._iterator = self._position = self._shard = ""

    def read(self) -> list[Change]:
        """Return what has changed since the last time."""
        used = self._iterator = self._iterator or self._open()
        answer = self._streams.get_records(ShardIterator=used, Limit=_MOST_RECORDS)
        self._iterator = answer["NextShardIterator"]
        _backend(self.mapping.stream_arn).shard_iterators.pop(used, None)  # moto would keep each for ever
        changes = [self._change(record) for record in answer["Records"]]
        if changes:
            # On AWS a shard ends after some hours and another goes on, so the stream is looked at again and again.
            self._iterator, self._position = "", _position(changes[-1])
        return [change for change in changes if self._wanted(change)]

    def letter(self, batch: list[Change], why: str, attempts: int, error: str | None) -> Letter:
        """Tell which changes are given up, as Lambda does: where they are in the stream, and not what they are."""
        first, last = (datetime.fromtimestamp(_created(change), UTC).isoformat() for change in (batch[0], batch[-1]))
        return {
            "requestContext": {
                "requestId": str(uuid.uuid4()),
                "functionArn": self.mapping.function.arn,
                "condition": why,
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
        arn = self.mapping.stream_arn
        (shard,) = self._streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        self._shard = shard["ShardId"]
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if self._position:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._position}
        answer = self._streams.get_shard_iterator(StreamArn=arn, ShardId=self._shard, **where)
        return str(answer["ShardIterator"])

    def _change(self, record: Any) -> Change:
        """Return a record in the form of Lambda's event."""
        change: Change = json.loads(json.dumps(record, default=datetime.timestamp))
        return {**change, "eventSourceARN": self.mapping.stream_arn}

    def _wanted(self, change: Any) -> bool:
        what = change["dynamodb"]
        if change["eventName"] == "INSERT" and what.get("NewImage") == what["Keys"]:
            return (
                False  # an update is making the item: moto tells of it with its key alone, then again when it is whole
            )
        # Lambda's patterns are those of EventBridge's rules.
        return not self._patterns or any(pattern.matches_event(change) for pattern in self._patterns)


def _backend(stream_arn: str) -> Any:
    return dynamodbstreams_backends[ACCOUNT_ID][stream_arn.split(":")[3]]


def _through(mapping: StreamMapping, batch: list[Change], result: Result) -> int:
    """Tell how many changes of a batch are processed by what the function says, counted from the first."""
    if not mapping.reports_failures:
        return len(batch)
    reported = (json.loads(result.payload) or {}).get("batchItemFailures") or []
    failed = {failure["itemIdentifier"] for failure in reported}
    positions = [_position(change) for change in batch]
    if not failed <= set(positions):
        return 0  # an answer that names something else fails the whole batch
    return next((index for index, position in enumerate(positions) if position in failed), len(batch))


def _exhausted(mapping: StreamMapping, batch: list[Change], attempts: int) -> str | None:
    """Tell why a batch is not tried again, if it is not."""
    if 0 <= mapping.most_retries < attempts:
        return "RetryAttemptsExhausted"
    if 0 <= mapping.oldest_seconds < time.time() - _created(batch[0]):
        return "RecordAgeExceeded"
    return None


def _created(change: Change) -> float:
    return float(change["dynamodb"]["ApproximateCreationDateTime"])


def _position(change: Change) -> str:
    return str(change["dynamodb"]["SequenceNumber"])
