"""What Ctrl-C does to a command while it has nothing to clean up; imports nothing that takes time."""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130


def leave_on_ctrl_c() -> None:
    """End at once from now on: an interruption of an import, or of Python's own end, would print a traceback."""
    if is_heeded(signal.SIGINT):
        signal.signal(signal.SIGINT, _leave)


def raise_on_ctrl_c() -> None:
    """Raise `KeyboardInterrupt` from now on, as Python does from the start."""
    sys.unraisablehook = _keep_quiet
    if is_heeded(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def is_heeded(signal_number: signal.Signals) -> bool:
    """Tell whether a signal is for this program: a shell lets its background jobs ignore Ctrl-C."""
    return signal.getsignal(signal_number) != signal.SIG_IGN


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


def _keep_quiet(dropped: Any) -> None:
    """Print no traceback of an interruption that met a callback of Python's, which drops every exception."""
    if not isinstance(dropped.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
