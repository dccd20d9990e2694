"""Deliver events of rules to state machines, or to the dead-letter queue of the rule.

Rules of moto cannot start a state machine. So the target is a queue, and each of its messages starts an execution.
Failed deliveries are handled as by EventBridge: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html.
"""

import json
import logging
import threading
import time
import uuid
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import actions
from local.emulator.clients import Clients
from local.emulator.iam import Guard, access_key
from local.emulator.moto_seams import executions
from local.emulator.resources import Delivery

MOST_RUNNING = 16  # executions of one state machine; AWS runs thousands
_LONGEST_WAIT = 60  # seconds between two attempts
_FINAL = {"AccessDeniedException": "NO_PERMISSIONS", "StateMachineDoesNotExist": "NO_RESOURCE"}
_TRANSIENT = {"ThrottlingException": "THROTTLING", "ExecutionLimitExceeded": "RESOURCE_LIMIT_EXCEEDED"}
_LOG = logging.getLogger(__name__)


class Deliveries:
    """Starts an execution for every event of a rule whose target is a state machine.

    Args:
        clients: Clients of the local AWS endpoint.
        guard: Decides whether a rule may use its dead-letter queue.
        wait_scale: Factor on the waits between attempts.
    """

    def __init__(self, clients: Clients, guard: Guard, wait_scale: float) -> None:
        self._clients = clients
        self._guard = guard
        self._wait_scale = wait_scale
        self._sqs = clients("sqs")
        self._served: dict[str, tuple[Delivery, Any]] = {}  # with a client of its role, by the URL of the queue
        self._stopped = threading.Event()

    def follow(self, delivery: Delivery) -> None:
        """Start serving a target, or replace one that has the same queue; events in the queue stay there."""
        is_new = delivery.queue_url not in self._served
        starter = self._clients("stepfunctions", access_key(delivery.role_arn))
        self._served[delivery.queue_url] = delivery, starter
        if is_new:
            threading.Thread(target=self._serve, args=(delivery.queue_url,), daemon=True).start()

    def stop(self) -> None:
        """Stop every poller after its current request."""
        self._stopped.set()

    def _serve(self, queue_url: str) -> None:
        while not self._stopped.is_set():
            try:
                answer = self._sqs.receive_message(
                    QueueUrl=queue_url,
                    MaxNumberOfMessages=1,
                    WaitTimeSeconds=20,  # the longest; a message ends the wait
                    AttributeNames=["ApproximateReceiveCount"],
                )
                for message in answer.get("Messages", []):
                    self._deliver(*self._served[queue_url], message)
            except Exception:
                if not self._stopped.wait(0.2):
                    _LOG.exception("Delivering an event of %s failed; it is retried.", queue_url)

    def _deliver(self, delivery: Delivery, starter: Any, message: Any) -> None:
        retries = int(message["Attributes"]["ApproximateReceiveCount"]) - 1
        receipt = {"QueueUrl": delivery.queue_url, "ReceiptHandle": message["ReceiptHandle"]}
        try:
            self._start(delivery.target_arn, message["Body"], starter)
        except ClientError as error:
            final = error.response["Error"]["Code"] in _FINAL
            if not final and retries < delivery.most_retries:
                wait = min(2**retries, _LONGEST_WAIT) * self._wait_scale
                self._sqs.change_message_visibility(**receipt, VisibilityTimeout=round(wait))
                return
            self._give_up(delivery, message["Body"], error, None if final else retries)
        self._sqs.delete_message(**receipt)

    def _start(self, state_machine_arn: str, event: str, starter: Any) -> None:
        # Further events wait in the queue, where the timeout of the workflow does not run yet.
        while not self._stopped.is_set():
            if executions.running(state_machine_arn) < MOST_RUNNING:
                break
            time.sleep(0.05)
        # As on AWS, the name has the id of the event and is unique even if the same event is delivered twice.
        name = f"{json.loads(event).get('id', 'event')}_{uuid.uuid4()}"
        starter.start_execution(stateMachineArn=state_machine_arn, name=name, input=event)

    def _give_up(self, delivery: Delivery, event: str, error: ClientError, retries: int | None) -> None:
        """Send an event to the dead-letter queue, if there is one and its policy allows it."""
        code = error.response["Error"]["Code"]
        text = error.response["Error"]["Message"]
        facts = {
            "RULE_ARN": delivery.rule_arn,
            "TARGET_ARN": delivery.target_arn,
            "ERROR_CODE": _FINAL.get(code) or _TRANSIENT.get(code, "ERROR_FROM_TARGET"),
            "ERROR_MESSAGE": text or code,
        }
        if retries is not None:
            facts |= {"EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts", "RETRY_ATTEMPTS": str(retries)}
        queue = delivery.dead_letter_arn
        if queue is None:
            _LOG.error("An event was dropped: %s", facts)
        elif not self._guard.admits("events.amazonaws.com", actions.send_permission(queue, delivery.rule_arn)):
            _LOG.error(
                "An event was dropped because the policy of %s does not allow the rule to send it: %s", queue, facts
            )
        else:
            self._sqs.send_message(
                QueueUrl=self._sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"],
                MessageBody=event,
                MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in facts.items()},
            )
