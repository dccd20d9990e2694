"""`python -m local`: see `local.cli`."""

import os
import signal
import sys

INTERRUPTED = 130


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


def _leave_on_ctrl_c() -> None:
    """End at once on Ctrl-C: there is nothing to clean up, and a half-imported module would end in a traceback."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell's background job is not meant by Ctrl-C
        signal.signal(signal.SIGINT, _leave)


if __name__ == "__main__":
    _leave_on_ctrl_c()
    from pathlib import Path

    # The core is a layer; on this machine it is found where it is written.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "layers" / "core"))
    from local.cli import main

    code = main()
    _leave_on_ctrl_c()
    sys.exit(code)
