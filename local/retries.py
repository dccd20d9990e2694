"""The seam that lets a test shorten the waits between retries; the workflow itself stays as it is."""

import time
from types import SimpleNamespace

from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl


def install(scale: float) -> None:
    """Multiply the waits between retries.

    Raises:
        RuntimeError: moto no longer waits where it did.
    """
    if getattr(retrier_decl, "time", None) is None:
        raise RuntimeError("moto moved the wait out of retrier_decl: local/retries.py must follow.")
    retrier_decl.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds * scale))
