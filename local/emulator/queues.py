"""From the messages of a queue to a function, as Lambda's event source mappings do it.

A mapping reads the queue with the role of its function. What the function does not report as failed is deleted; the
rest comes back when the queue's visibility timeout is over, and ends as a dead letter when it has come too often, which
is up to the queue: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
"""

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from local.emulator.clients import Clients
from local.emulator.deploy import QueueMapping
from local.emulator.iam import access_key
from local.emulator.template import ACCOUNT_ID
from local.emulator.workers import Result

_LOG = logging.getLogger(__name__)

Invoke = Callable[[str, bytes], Result | None]


class Queues:
    """Invokes functions with the messages of queues.

    Args:
        clients: Clients of the local AWS endpoint.
        invoke: Runs a function, by ARN, on a payload.
        wait_scale: Factor on the time until a failed message comes back.
    """

    def __init__(self, clients: Clients, invoke: Invoke, wait_scale: float) -> None:
        self._clients = clients
        self._invoke = invoke
        self._wait_scale = wait_scale
        self._stopped = threading.Event()

    def follow(self, mapping: QueueMapping) -> None:
        """Serve a mapping from now on."""
        threading.Thread(target=self._serve, args=(mapping,), daemon=True).start()

    def stop(self) -> None:
        """Let every poller end with its current request."""
        self._stopped.set()

    def _serve(self, mapping: QueueMapping) -> None:
        sqs = self._clients("sqs", access_key(mapping.function.role))
        url = f"{self._clients.endpoint_url}/{ACCOUNT_ID}/{mapping.queue_arn.rpartition(':')[2]}"
        free = threading.Semaphore(mapping.most_concurrent)
        while not self._stopped.is_set():
            free.acquire()
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
                    _LOG.exception("The queue %s is read again.", mapping.queue_arn)
            if messages := answer.get("Messages"):
                threading.Thread(target=self._process, args=(mapping, sqs, url, messages, free), daemon=True).start()
            else:
                free.release()

    def _process(
        self, mapping: QueueMapping, sqs: Any, url: str, messages: list[Any], free: threading.Semaphore
    ) -> None:
        """Invoke the function with a batch; take out of the queue what is through."""
        try:
            records = [_record(message, mapping.queue_arn) for message in messages]
            result = self._invoke(mapping.function.arn, json.dumps({"Records": records}).encode())
            failed = _failed(mapping, records, result)
            for record in records:
                if record["messageId"] not in failed:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])
                elif self._wait_scale < 1:
                    self._hurry(sqs, url, record)
        except Exception:
            if not self._stopped.is_set():
                _LOG.exception("Messages of %s come again.", mapping.queue_arn)
        finally:
            free.release()

    def _hurry(self, sqs: Any, url: str, record: Any) -> None:
        """Bring a message back earlier, so that a test need not sit it out."""
        asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        seconds = round(int(asked["VisibilityTimeout"]) * self._wait_scale)
        self._clients("sqs").change_message_visibility(
            QueueUrl=url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=seconds
        )


def _record(message: Any, queue_arn: str) -> dict[str, Any]:
    """Return a message in the form of Lambda's event."""
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


def _failed(mapping: QueueMapping, records: list[dict[str, Any]], result: Result | None) -> set[str]:
    """Tell which messages are not through, by id, by what the function says."""
    everything = {str(record["messageId"]) for record in records}
    if result is None or result.failed:
        return everything
    if not mapping.reports_failures:
        return set()
    try:
        reported = (json.loads(result.payload) or {}).get("batchItemFailures") or []
        failed = {failure["itemIdentifier"] for failure in reported}
    except (AttributeError, KeyError, TypeError):
        return everything
    return failed if failed <= everything else everything  # an answer that names something else fails the whole batch
