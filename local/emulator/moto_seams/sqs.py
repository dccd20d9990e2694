"""Speed up the queues of moto, which compute the age of all messages with calendar functions at each receive."""

import time
from typing import Any

from moto.sqs import models

_CLOCK, _IS_KEPT = "unix_time_millis", "is_message_valid_based_on_retention_period"


def install() -> None:
    """Make receiving from long queues as fast as from short ones.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not hasattr(models, _CLOCK) or not hasattr(models.SQSBackend, _IS_KEPT):
        raise RuntimeError(f"moto moved {_CLOCK} or SQSBackend.{_IS_KEPT}: moto_seams/sqs.py must follow.")
    setattr(models, _CLOCK, lambda: time.time() * 1000)
    setattr(models.SQSBackend, _IS_KEPT, _is_kept)


def _is_kept(self: models.SQSBackend, queue_name: str, message: Any) -> bool:
    kept: int = self.get_queue(queue_name).message_retention_period  # type: ignore[attr-defined]  # set by its name
    return message.sent_timestamp / 1000 + kept > time.time()  # type: ignore[no-any-return]  # moto's message has no types
