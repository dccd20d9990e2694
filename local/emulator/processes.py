"""Start and end the processes of functions, which are forks of one process that has imported packages.

The fork server of `multiprocessing` is of no use here: its processes import modules of their parent and have its path.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

_FORK_SERVER = Path(__file__).with_name("fork_server.py")
_WORKER = Path(__file__).with_name("worker.py")
_WITHOUT_PROXY = {"no_proxy": "*"} if sys.platform == "darwin" else {}
"""macOS may end a forked process that asks the system for its proxies. Functions call only the local endpoint."""


class ForkServer:
    """Starts processes of functions in a fraction of the time of a new interpreter.

    A package that changes on disk while the fork server runs stays as it was.

    Args:
        packages: Packages to import once for all functions. They must not start threads, and should not read variables
            of the environment that differ between functions.
        environment: The variables that all functions share.
    """

    def __init__(self, packages: Sequence[str], environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._control, control = socket.socketpair()
        with control:
            self._process = subprocess.Popen(  # noqa: S603 (our own script)
                [sys.executable, "-I", str(_FORK_SERVER), str(_WORKER), *packages],
                stdin=control.fileno(),
                stdout=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,  # only the parent receives Ctrl-C; it stops this process itself
            )

    def start(self, folders: Sequence[Path], environment: Mapping[str, str], log: IO[bytes]) -> "Process":
        """Start a process; the first folder has the code of the function, and the others are its layers."""
        stdin, requests = os.pipe()
        answers, output = os.pipe()
        reports, status = os.pipe()
        pid = self._fork([stdin, log.fileno(), output, status])
        for descriptor in (stdin, output, status):
            os.close(descriptor)
        process = Process(pid, requests, answers, reports)
        process.send({"folders": list(map(str, folders)), "environment": {**environment, **_WITHOUT_PROXY}})
        return process

    def stop(self) -> None:
        """End the fork server, but none of the processes that it has started."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            self._control.close()

    def _fork(self, descriptors: list[int]) -> int:
        """Return the id of a new process with these descriptors; 0 if it cannot start."""
        with self._lock, suppress(OSError):
            socket.send_fds(self._control, [b"+"], descriptors)
            return int.from_bytes(self._control.recv(4, socket.MSG_WAITALL))
        return 0


class Process:
    """A process of a function. It counts as killed if it could not start."""

    def __init__(self, pid: int, requests: int, answers: int, reports: int) -> None:
        self._requests = os.fdopen(requests, "wb")
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._reports = os.fdopen(reports, "rb")
        self._unread = b""
        self._status: int | None = None
        self._lock = threading.Lock()
        self._psutil: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):  # it waits for its first line, but may have been killed
            self._psutil = psutil.Process(pid) if pid else None

    def send(self, message: Any) -> bool:
        """Send a line of JSON; return False if the process has ended."""
        line = json.dumps(message).encode() + b"\n"
        try:
            self._requests.write(line)
            self._requests.flush()
        except (OSError, ValueError):
            self._wait(None)
            return False
        return True

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Read a line of JSON; None on a timeout or if the process has ended."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            chunk = self._read(deadline - time.monotonic())
            if not chunk:
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while the process runs."""
        return self._wait(0)

    def memory(self) -> int:
        """Return the resident memory in bytes, including memory that it shares with other processes."""
        with suppress(psutil.Error):
            return self._psutil.memory_info().rss if self._psutil else 0
        return 0

    def kill(self) -> None:
        """Kill the process and wait until it has ended."""
        if self._psutil:
            with suppress(psutil.NoSuchProcess):  # psutil never signals another process that has got the same id
                self._psutil.kill()
        self._wait(None)

    def close(self) -> None:
        """Close the connections to a process that has ended; other threads may still use them."""
        for file in (self._requests, self._answers, self._reports):
            with suppress(OSError):
                file.close()

    def _read(self, seconds: float) -> bytes:
        """Read what has been answered; nothing on a timeout or if the process has ended."""
        try:
            if seconds <= 0 or not select.select([self._answers], [], [], seconds)[0]:
                return b""
            chunk = self._answers.read(1 << 16)
        except ValueError:  # another thread has closed the connections
            return b""
        if not chunk:
            self._wait(None)
        return chunk

    def _wait(self, seconds: float | None) -> int | None:
        with self._lock:
            if self._status is None and select.select([self._reports], [], [], seconds)[0]:
                self._status = int(self._reports.readline() or -signal.SIGKILL)
            return self._status
