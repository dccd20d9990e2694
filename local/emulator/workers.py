"""Run functions in warm processes, with the environment, timeout and memory of the template.

Errors have the names that Lambda reports, because Retry and Catch of a workflow depend on them.
"""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import psutil

from local.emulator.iam import access_key

MAX_REQUEST_BYTES = (
    6_291_456  # of an invocation, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
)
INIT_SECONDS = 60.0  # Lambda allows 10 s for an import; a busy laptop may need longer
PATIENCE_SECONDS = 0.1  # less than the start of a process takes
MAX_PAYLOAD_BYTES = 6_291_556  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MEMORY_CHECK_SECONDS = 0.05
_WORKER = Path(__file__).with_name("worker.py")
_Files = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class Function:
    """A function of the template."""

    logical_id: str
    name: str
    arn: str
    role: str
    """The ARN of its role."""
    handler: str
    runtime: str
    code: Path
    layers: tuple[Path, ...]
    timeout: float
    """Seconds."""
    memory: int
    """Mebibytes."""
    environment: Mapping[str, str]
    log_group: str
    log_format: str = "Text"
    log_level: str = ""
    """The lowest severity that Lambda keeps in the log; only for the format JSON."""


@dataclass(frozen=True)
class InvocationResult:
    """The result of an invocation: a JSON payload, and whether the function failed."""

    payload: str
    failed: bool = False


class Workers:
    """Runs functions, each in at most `per_function` processes, and at most `total` processes at the same time.

    Further invocations wait without using up their timeout; on AWS another environment would start. A second process
    starts only if the first one stays busy for `PATIENCE_SECONDS`: most invocations end much earlier. After a change to
    a file of a function or its layers, the next invocation runs in a new process.
    """

    def __init__(
        self, functions: list[Function], environment: Mapping[str, str], run_dir: Path, per_function: int, total: int
    ) -> None:
        self._functions: dict[str, Function] = {}
        self._altered: dict[str, Function] = {}
        self._environment = environment
        self._run_dir = run_dir
        self._per_function = per_function
        self._slots: dict[str, threading.Semaphore] = {}
        self._total = threading.Semaphore(total)
        self._idle: dict[str, list[_Worker]] = {}
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._released = threading.Condition(self._lock)
        self.update(functions)
        self._stopped = threading.Event()
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def update(self, functions: list[Function]) -> None:
        """Replace all functions at once. Running invocations end in their old process, all others use a new one.

        On AWS, the code and the configuration of one function change one after the other.
        """
        with self._lock:
            for function in functions:
                self._slots.setdefault(function.arn, threading.Semaphore(self._per_function))
                self._idle.setdefault(function.arn, [])
            self._functions = {key: function for function in functions for key in (function.name, function.arn)}
        self._end_stale()

    def find(self, name: str) -> Function | None:
        """Look a function up by name or ARN, with or without a qualifier."""
        return self._functions.get(name) or self._functions.get(name.removesuffix(":$LATEST"))

    def invoke(self, function: Function, event: Any) -> InvocationResult:
        """Run a function on an event, in a warm process or a new one."""
        with self._slots[function.arn], self._total:
            current = self._functions.get(function.arn, function)  # it may have changed while the invocation waited
            worker = self._acquire(self._altered.get(function.arn, current))
            try:
                result = worker.invoke(event)
            finally:
                self._release(worker)
        if len(result.payload) > MAX_PAYLOAD_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
            return failure("Function.ResponseSizeTooLarge", message)
        return result

    def alter(self, logical_id: str, source: str | None, timeout: float | None, memory: int | None) -> None:
        """Run a function with other code or limits until `restore`; None keeps the value of the template.

        Args:
            logical_id: The logical id of the function.
            source: Source of a module with a `lambda_handler`.
            timeout: Seconds.
            memory: Mebibytes.
        """
        function = next(candidate for candidate in self._functions.values() if candidate.logical_id == logical_id)
        changes: dict[str, Any] = {"timeout": timeout, "memory": memory}
        if source is not None:
            (self._run_dir / "tmp").mkdir(parents=True, exist_ok=True)
            code = Path(tempfile.mkdtemp(prefix=f"{logical_id}-", dir=self._run_dir / "tmp"))
            (code / "app.py").write_text(source, encoding="utf-8")
            changes |= {"code": code, "handler": "app.lambda_handler"}
        changes = {name: value for name, value in changes.items() if value is not None}
        with self._lock:
            self._altered[function.arn] = replace(function, **changes)

    def restore(self) -> None:
        """Run every function with the code and limits of the template again."""
        with self._lock:
            self._altered.clear()
        self._end_stale()

    def _end_stale(self) -> None:
        """End idle processes of functions that have changed."""
        with self._lock:
            stale = [worker for idle in self._idle.values() for worker in idle if not self._is_current(worker)]
            for worker in stale:
                self._idle[worker.function.arn].remove(worker)
                self._workers.discard(worker)
        for worker in stale:
            worker.kill()

    def warm(self, functions: list[Function]) -> None:
        """Start a process for each function before its first invocation, one after the other to limit the load."""
        for function in functions:
            if self._stopped.is_set():
                return
            with self._slots[function.arn]:
                worker = self._acquire(function)
                worker.wait_until_ready()
                self._release(worker)

    def stop(self) -> None:
        """Stop every process and remove its files."""
        with self._lock:
            self._stopped.set()
            workers = list(self._workers)
        for worker in workers:
            worker.kill()
        shutil.rmtree(self._run_dir / "tmp", ignore_errors=True)

    def _is_current(self, worker: "_Worker") -> bool:
        """Return whether a worker runs the function of the template or its current replacement."""
        arn = worker.function.arn
        return worker.function in (self._functions.get(arn), self._altered.get(arn))

    def _acquire(self, function: Function) -> "_Worker":
        files = _files(function)
        self._end_edited(function, files)
        with self._released:
            self._released.wait_for(
                lambda: self._warm(function, files) or not self._is_busy(function), timeout=PATIENCE_SECONDS
            )
            if warm := self._warm(function, files):
                self._idle[function.arn].remove(warm)
                return warm
            worker = _Worker(function, files, self._environment, self._run_dir)
            self._workers.add(worker)
            if self._stopped.is_set():
                worker.kill()
        return worker

    def _end_edited(self, function: Function, files: _Files) -> None:
        """End idle processes that have ended by themselves or have other files."""
        with self._lock:
            idle = self._idle[function.arn]
            edited = [worker for worker in idle if worker.function == function and not worker.is_usable(files)]
            for worker in edited:
                idle.remove(worker)
                self._workers.discard(worker)
        for worker in edited:
            worker.kill()

    def _warm(self, function: Function, files: _Files) -> "_Worker | None":
        """Return the idle process that was used last."""
        idle = reversed(self._idle[function.arn])
        return next((worker for worker in idle if worker.function == function and worker.is_usable(files)), None)

    def _is_busy(self, function: Function) -> bool:
        """Return whether a process of the function runs or starts, so that it may soon be idle."""
        busy = self._workers.difference(self._idle[function.arn])
        return any(worker.function == function for worker in busy)

    def _release(self, worker: "_Worker") -> None:
        with self._lock:
            if worker.alive and self._is_current(worker) and not self._stopped.is_set():
                self._idle[worker.function.arn].append(worker)
                self._released.notify_all()
                return
            self._workers.discard(worker)
            self._released.notify_all()
        worker.kill()

    def _watch_memory(self) -> None:
        while not self._stopped.wait(MEMORY_CHECK_SECONDS):
            with self._lock:
                busy = self._workers.difference(*self._idle.values())  # idle workers allocate no memory
            for worker in busy:
                worker.check_memory()


class _Worker:
    """A process of one function."""

    def __init__(self, function: Function, files: _Files, environment: Mapping[str, str], run_dir: Path) -> None:
        self.function = function
        self.files = files
        (run_dir / "logs").mkdir(parents=True, exist_ok=True)
        (run_dir / "tmp").mkdir(parents=True, exist_ok=True)
        self._tmp = tempfile.mkdtemp(prefix=f"{function.logical_id}-", dir=run_dir / "tmp")
        self._out_of_memory = False
        self._answers, answers = os.pipe()
        self._unread = b""
        self._closing = threading.Lock()
        with (run_dir / "logs" / f"{function.logical_id}.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own script)
                [
                    sys.executable,
                    "-I",
                    str(_WORKER),
                    str(function.code),
                    os.pathsep.join(map(str, function.layers)),
                    str(answers),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[answers],
                env=_environment(function, environment, self._tmp),
                start_new_session=True,  # only the parent receives Ctrl-C; it stops this process itself
            )
        os.close(answers)
        self._requests = cast(IO[bytes], self._process.stdin)
        self._psutil = psutil.Process(self._process.pid)
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def is_usable(self, files: _Files) -> bool:
        """Return whether the process runs, with these files."""
        return self.alive and self.files == files

    def wait_until_ready(self) -> bool:
        """Wait for the import of the handler; return whether it succeeded."""
        self._ready = self._ready or self._read(INIT_SECONDS) is not None
        return self._ready

    def invoke(self, event: Any) -> InvocationResult:
        request_id = str(uuid.uuid4())
        if not self.wait_until_ready():
            return self._failure_of_process(request_id, INIT_SECONDS)
        limit = float(self.function.timeout)
        request = {
            "requestId": request_id,
            "functionArn": self.function.arn,
            "timeoutSeconds": limit,
            "event": event,
        }
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except OSError:
            return self._failure_of_process(request_id, limit)
        answer = self._read(limit)
        if answer is None:
            return self._failure_of_process(request_id, limit)
        return InvocationResult(answer["payload"], answer.get("failed", False))

    def check_memory(self) -> None:
        """Kill the process if it uses more memory than the function has."""
        with suppress(psutil.Error):
            if self._psutil.memory_info().rss > self.function.memory * 1024 * 1024:
                self._out_of_memory = True
                self._process.kill()

    def kill(self) -> None:
        """Kill the process and remove its files; several threads may call this."""
        self._process.kill()
        self._process.wait()
        with self._closing:  # a closed descriptor may be reused, so it must not be closed twice
            with suppress(OSError):
                self._requests.close()
            if self._answers >= 0:
                os.close(self._answers)
                self._answers = -1
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """Read one answer; None on a timeout or if the process has ended."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([self._answers], [], [], remaining)[0]:
                return None
            chunk = os.read(self._answers, 1 << 16)
            if not chunk:
                self._process.wait()
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failure_of_process(self, request_id: str, limit: float) -> InvocationResult:
        status = self._process.poll()
        if status is None:
            self._process.kill()
            self._process.wait()
            return failure(
                "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {limit:.2f} seconds"
            )
        killed = self._out_of_memory or status < 0
        if status == 0:
            reason = "without providing a reason"
        else:
            reason = "with error: " + ("signal: killed" if killed else f"exit status {status}")
        return failure("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited {reason}")


def _files(function: Function) -> _Files:
    """Return path, modification time and size of all files of a function and its layers.

    There are about seventy, so reading them takes less time than the shortest invocation. Links are followed, as
    `sam build` does.
    """
    files = set()
    folders = [str(function.code), *map(str, function.layers)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.is_dir():
                    with suppress(OSError):  # a temporary file that is already deleted
                        status = entry.stat()
                        files.add((entry.path, status.st_mtime_ns, status.st_size))
                elif entry.name != "__pycache__":  # written by running functions
                    folders.append(entry.path)
    return frozenset(files)


def failure(kind: str, message: str) -> InvocationResult:
    """Return the result of Lambda for a function that failed."""
    return InvocationResult(json.dumps({"errorType": kind, "errorMessage": message}), failed=True)


def credentials(function: Function) -> dict[str, str]:
    """Return the variable that makes a function call AWS with its role; all roles share the secret."""
    return {"AWS_ACCESS_KEY_ID": access_key(function.role)}


def _environment(function: Function, common: Mapping[str, str], tmp: str) -> dict[str, str]:
    """Compose the environment of a function: variables of Lambda, the endpoint and the template, none of the user."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "HOME": tmp,
        "TMPDIR": tmp,
        "LAMBDA_TASK_ROOT": str(function.code),
        "_HANDLER": function.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        **({"AWS_LAMBDA_LOG_LEVEL": function.log_level} if function.log_level else {}),
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"[$LATEST]{uuid.uuid4().hex}",
        **common,
        **credentials(function),
        **function.environment,
    }
