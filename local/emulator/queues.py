"""Invoke functions with messages of queues, as event source mappings of Lambda do.

A mapping reads the queue with the role of its function. It deletes the messages that the function does not report as
failed. The others return after the visibility timeout of the queue, which moves them to its dead-letter queue in the
end: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
"""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from local.emulator.clients import Clients
from local.emulator.functions import QueueMapping
from local.emulator.iam import access_key
from local.emulator.template import ACCOUNT_ID
from local.emulator.workers import InvocationResult

_LOG = logging.getLogger(__name__)

Invoke = Callable[[str, bytes], InvocationResult | None]


class _Poller(NamedTuple):
    mapping: QueueMapping
    end: threading.Event
    thread: threading.Thread


class Queues:
    """Invokes functions with the messages of queues.

    Args:
        clients: Clients of the local AWS endpoint.
        invoke: Runs a function, by ARN, on a payload.
        wait_scale: Factor on the time until a failed message comes back.
        wait: Waits for a message of a queue, by ARN, for so many seconds at most. Pollers call AWS if there is one.
    """

    def __init__(self, clients: Clients, invoke: Invoke, wait_scale: float, wait: Callable[[str, float], bool]) -> None:
        self._clients = clients
        self._invoke = invoke
        self._wait_scale = wait_scale
        self._wait = wait
        self._stopped = threading.Event()
        self._served: dict[tuple[str, str], _Poller] = {}  # by queue and function

    def update(self, mappings: list[QueueMapping]) -> None:
        """Serve exactly these mappings. The messages stay in their queues, so a changed mapping just starts again."""
        new_mappings = {(mapping.queue_arn, mapping.function.arn): mapping for mapping in mappings}
        changed = [key for key, poller in self._served.items() if new_mappings.get(key) != poller.mapping]
        for key in changed:
            self._served[key].end.set()
        for key in changed:
            # Its last wait ends within a second. Meanwhile it could take a batch beyond the new concurrency.
            self._served.pop(key).thread.join()
        for key in new_mappings.keys() - self._served.keys():
            self.follow(new_mappings[key])

    def follow(self, mapping: QueueMapping) -> None:
        """Start serving a mapping."""
        end = threading.Event()
        sqs = self._clients("sqs", access_key(mapping.function.role))
        thread = threading.Thread(target=self._serve, args=(mapping, sqs, end), daemon=True)
        self._served[mapping.queue_arn, mapping.function.arn] = _Poller(mapping, end, thread)
        thread.start()

    def stop(self) -> None:
        """Stop every poller after its current request."""
        self._stopped.set()

    def _serve(self, mapping: QueueMapping, sqs: Any, end: threading.Event) -> None:
        url = f"{self._clients.endpoint_url}/{ACCOUNT_ID}/{mapping.queue_arn.rpartition(':')[2]}"
        slots = threading.Semaphore(mapping.most_concurrent)
        while not self._stopped.is_set() and not end.is_set():
            if not self._wait(mapping.queue_arn, 1) or not slots.acquire(timeout=0.2):
                continue
            try:
                answer = sqs.receive_message(
                    QueueUrl=url,
                    MaxNumberOfMessages=mapping.batch_size,
                    WaitTimeSeconds=1,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
            except Exception:
                answer = {}
                if not self._stopped.wait(0.2):
                    _LOG.exception("Reading the queue %s failed; it is retried.", mapping.queue_arn)
            if messages := answer.get("Messages"):
                threading.Thread(target=self._process, args=(mapping, sqs, url, messages, slots), daemon=True).start()
            else:
                slots.release()

    def _process(
        self, mapping: QueueMapping, sqs: Any, url: str, messages: list[Any], slots: threading.Semaphore
    ) -> None:
        """Invoke the function with a batch, and delete the messages that it has processed."""
        try:
            records = [_record(message, mapping.queue_arn) for message in messages]
            result = self._invoke(mapping.function.arn, json.dumps({"Records": records}).encode())
            failed = _failed(mapping, records, result)
            receipts = {record["messageId"]: record["receiptHandle"] for record in records}
            processed = [{"Id": name, "ReceiptHandle": receipts[name]} for name in receipts.keys() - failed]
            if processed:
                sqs.delete_message_batch(QueueUrl=url, Entries=processed)
            if self._wait_scale < 1:
                for name in failed:
                    self._return_early(sqs, url, receipts[name])
        except Exception:
            if not self._stopped.is_set():
                _LOG.exception("Processing messages of %s failed; they are retried.", mapping.queue_arn)
        finally:
            slots.release()

    def _return_early(self, sqs: Any, url: str, receipt: str) -> None:
        """Return a message to the queue earlier, so that tests need not wait."""
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        seconds = round(int(attributes["VisibilityTimeout"]) * self._wait_scale)
        self._clients("sqs").change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=seconds)


def _record(message: Any, queue_arn: str) -> dict[str, Any]:
    """Return a message in the format of a Lambda event."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def _failed(mapping: QueueMapping, records: list[dict[str, Any]], result: InvocationResult | None) -> set[str]:
    """Return the ids of the messages that the function failed to process."""
    all_ids = {str(record["messageId"]) for record in records}
    if result is None or result.failed:
        return all_ids
    if not mapping.reports_failures:
        return set()
    try:
        reported = (json.loads(result.payload) or {}).get("batchItemFailures") or []
        failed = {failure["itemIdentifier"] for failure in reported}
    except (AttributeError, KeyError, TypeError):
        return all_ids
    return failed if failed <= all_ids else all_ids  # an unknown id fails the whole batch
