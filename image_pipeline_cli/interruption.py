"""How a command handles Ctrl-C. This module loads before all others, so it imports only what loads fast."""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130


def leave_on_ctrl_c() -> None:
    """Exit at once on Ctrl-C, because interrupting an import or Python's shutdown would print a traceback."""
    if is_handled(signal.SIGINT):
        signal.signal(signal.SIGINT, _leave)


def raise_on_ctrl_c() -> None:
    """Raise `KeyboardInterrupt` on Ctrl-C, as Python does by default."""
    sys.unraisablehook = _report_unraisable
    if is_handled(signal.SIGINT):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def is_handled(signal_number: signal.Signals) -> bool:
    """Return whether this program reacts to a signal; a shell makes its background jobs ignore Ctrl-C."""
    return signal.getsignal(signal_number) != signal.SIG_IGN


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


def _report_unraisable(unraisable: Any) -> None:
    """Report exceptions that Python cannot raise, except an interruption of one of its own callbacks."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
