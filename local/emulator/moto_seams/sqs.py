"""Speed up the queues of moto.

A receive computes the age of all messages with calendar functions, and one that waits does not notice a message that
returns to its queue early.
"""

import time
from typing import Any

from moto.sqs import models

_CLOCK, _IS_KEPT, _CHANGE = (
    "unix_time_millis",
    "is_message_valid_based_on_retention_period",
    "change_message_visibility",
)


def install() -> None:
    """Make receiving from long queues as fast as from short ones, and let a message that returns end a wait.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not hasattr(models, _CLOCK) or not all(hasattr(models.SQSBackend, name) for name in (_IS_KEPT, _CHANGE)):
        raise RuntimeError(
            f"moto moved {_CLOCK}, or {_IS_KEPT} or {_CHANGE} of SQSBackend: moto_seams/sqs.py must follow."
        )
    setattr(models, _CLOCK, lambda: time.time() * 1000)
    setattr(models.SQSBackend, _IS_KEPT, _is_kept)
    setattr(models.SQSBackend, _CHANGE, _noticed(getattr(models.SQSBackend, _CHANGE)))


def filled() -> list[str]:
    """Name the queues whose messages can be received, at once, because tests ask for all queues after each test."""
    backends = [backend for by_region in models.sqs_backends.values() for backend in by_region.values()]
    return [name for backend in backends for name, queue in backend.queues.items() if queue.messages]


def wait_for_message(queue_arn: str, seconds: float) -> bool:
    """Wait until a message of a queue can be received; return False if none can in time."""
    _, _, _, region, account, name = queue_arn.split(":")
    queue = models.sqs_backends[account][region].queues.get(name)
    if queue is None:
        return True  # a request will report it
    with queue._messages_lock:
        return bool(queue._messages_lock.wait_for(lambda: queue.messages, seconds))


def _is_kept(self: models.SQSBackend, queue_name: str, message: Any) -> bool:
    retention_seconds: int = self.get_queue(queue_name).message_retention_period  # type: ignore[attr-defined]  # set by its name
    return message.sent_timestamp / 1000 + retention_seconds > time.time()  # type: ignore[no-any-return]  # moto's message has no types


def _noticed(change: Any) -> Any:
    """Return the change of a visibility that wakes who waits for messages."""

    def changed(self: models.SQSBackend, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
        change(self, queue_name, receipt_handle, visibility_timeout)
        queue = self.get_queue(queue_name)
        with queue._messages_lock:
            queue._messages_lock.notify_all()

    return changed
