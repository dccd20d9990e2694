"""Interrupt a program at a defined moment, not after a time."""

import os
import signal
import subprocess
import sys

from tests.conftest import ROOT

_PROGRAM = """
import os, runpy, signal, sys
module, wanted, text, times = *sys.argv[1:4], int(sys.argv[4])
begun = False
def interrupt(event, arguments):
    global begun, times
    begun = begun or event == "exec" and getattr(arguments[0], "co_filename", "").endswith(f"{module}/__main__.py")
    if begun and times and event == wanted and text in repr(arguments):
        times -= 1
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
sys.argv = [module, *sys.argv[5:]]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def interrupted(
    module: str, event: str, text: str, times: int, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run `python -m module`, and send it SIGINT at an audit event of Python.

    Args:
        module: The name of a package with a `__main__.py`.
        event: An audit event of Python, such as `import` or `open`.
        text: A part of the event's arguments.
        times: The number of such events.
        arguments: Arguments of the program.
        environment: Further variables.
    """
    # Tests that run in the background ignore SIGINT, and the program would inherit that.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, module, event, text, str(times), *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
