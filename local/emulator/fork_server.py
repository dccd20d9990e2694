"""The process from which the processes of functions are forked, so that they need not import the same packages again.

It runs as `python -I fork_server.py SCRIPT MODULE…`, imports the modules, and serves the socket at its standard input
until that is closed. Each message has four descriptors for a new process: its standard input, its log, its answers, and
a pipe for its exit status. The answer is the id of the process, or 0 if it cannot start.

The new process reads its environment and the folders of its function, as one line of JSON. Then it runs the script as
`python -I SCRIPT ANSWERS FOLDER…` would, except that the modules have been imported, with the environment of the fork
server.

Only the standard library is imported here, besides the modules. There is one thread, because a fork copies no other.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_SERVICES = ("dynamodb", "s3", "stepfunctions")
"""Nearly all functions call one of these. To read the models here saves time from about the fourth function on."""


def main() -> None:
    """Import the modules, and run the script in each process that is forked."""
    script, *modules = sys.argv[1:]
    gc.disable()  # a collection would write into memory that all processes share
    for module in modules:
        with suppress(ImportError):  # a function that needs it reports the error
            importlib.import_module(module)
    if "botocore.session" in sys.modules:
        _share_service_models()
    gc.freeze()
    answers = _serve(socket.socket(fileno=0))
    gc.enable()
    _run(script, answers)


def _share_service_models() -> None:
    """Let sessions of all processes use the service models that are read here, half of the work of their start."""
    from botocore import session

    session.create_loader = lru_cache(session.create_loader)
    for service in _SERVICES:
        session.get_session().create_client(
            service,
            region_name="us-east-1",
            aws_access_key_id="-",
            aws_secret_access_key="-",  # noqa: S106 (unused)
        )


def _serve(control: socket.socket) -> int:
    """Fork a process for each message; return in each of them, with the descriptor of its answers."""
    reports_of: dict[int, int] = {}
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler, nothing is written to the pipe
    while True:
        ready, _, _ = select.select([control.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 1 << 16)
            _report_exits(reports_of)
        if control.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
            if not message:
                sys.exit()
            pid = _fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.detach()
                return _take_over(descriptors, {ended, wakeup, *reports_of.values()})
            if pid:
                reports_of[pid] = descriptors.pop()
            for descriptor in descriptors:
                os.close(descriptor)
            control.sendall((pid or 0).to_bytes(4))


def _fork() -> int | None:
    """Fork, as `os.fork` does; None if there is no memory for another process."""
    try:
        return os.fork()
    except OSError:
        return None


def _report_exits(reports_of: dict[int, int]) -> None:
    """Report the exit status of every process that has ended; several may share one signal."""
    while reports_of:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with suppress(BrokenPipeError), os.fdopen(reports_of.pop(pid), "w") as reports:
            print(os.waitstatus_to_exitcode(status), file=reports)


def _take_over(descriptors: list[int], of_fork_server: set[int]) -> int:
    """Put descriptors into their places, close all others, and return that of the answers."""
    os.setsid()
    requests, log, answers, reports = descriptors
    for number, descriptor in enumerate((requests, log, log)):
        os.dup2(descriptor, number)
    for descriptor in {requests, log, reports} | of_fork_server:
        os.close(descriptor)
    return answers


def _run(script: str, answers: int) -> None:
    line = sys.stdin.readline()
    if not line:
        return  # the parent has ended
    start = json.loads(line)
    sys.argv = [script, str(answers), *start["folders"]]
    if _has_imported_modules_of(start["folders"]):
        os.execve(sys.executable, [sys.executable, "-I", *sys.argv], start["environment"])  # noqa: S606  our own script
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()
    runpy.run_path(script, run_name="__main__")


def _has_imported_modules_of(folders: list[str]) -> bool:
    """Return whether a function has modules of its own that would have been imported instead of those here."""
    imported = {name.partition(".")[0] for name in sys.modules}
    for folder in folders:
        with suppress(OSError):  # a layer without modules
            if any(path.name.partition(".")[0] in imported for path in Path(folder).iterdir()):
                return True
    return False


if __name__ == "__main__":
    main()
