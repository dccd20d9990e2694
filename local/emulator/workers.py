"""Run functions in warm processes, with the environment, timeout and memory of the template.

Errors have the names that Lambda reports, because Retry and Catch of a workflow depend on them.
"""

import json
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.emulator.iam import access_key
from local.emulator.processes import ForkServer

MAX_REQUEST_BYTES = (
    6_291_456  # of an invocation, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
)
INIT_SECONDS = 60.0  # Lambda allows 10 s for an import; a busy laptop may need longer
MAX_PAYLOAD_BYTES = 6_291_556  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MEMORY_CHECK_SECONDS = 0.05
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

    Further invocations wait without using up their timeout; on AWS another environment would start. After a change to a
    file of a function or its layers, the next invocation runs in a new process.

    Args:
        functions: All functions.
        environment: Variables of every function.
        run_dir: Where logs and temporary files go.
        per_function: Maximum number of processes of a function.
        total: Maximum number of parallel invocations.
        packages: Packages that most functions import; they are imported once.
    """

    def __init__(
        self,
        functions: list[Function],
        environment: Mapping[str, str],
        run_dir: Path,
        per_function: int,
        total: int,
        packages: Sequence[str] = (),
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
        self.update(functions)
        self._stopped = threading.Event()
        self._fork_server = ForkServer(packages, shared_environment(functions, environment, run_dir))

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
        self._fork_server.stop()
        shutil.rmtree(self._run_dir / "tmp", ignore_errors=True)

    def _is_current(self, worker: "_Worker") -> bool:
        """Return whether a worker runs the function of the template or its current replacement."""
        arn = worker.function.arn
        return worker.function in (self._functions.get(arn), self._altered.get(arn))

    def _acquire(self, function: Function) -> "_Worker":
        files = _files(function)
        with self._lock:
            idle = self._idle[function.arn]
            own = [worker for worker in idle if worker.function == function]
            stale = [worker for worker in own if not worker.alive or worker.files != files]
            for worker in stale:
                idle.remove(worker)
                self._workers.discard(worker)
            warm = next((worker for worker in reversed(own) if worker not in stale), None)
            if warm:
                idle.remove(warm)
        for worker in stale:
            worker.kill()
        if warm:
            return warm
        worker = _Worker(function, files, self._environment, self._run_dir, self._fork_server)
        with self._lock:
            self._workers.add(worker)
            if self._stopped.is_set():
                worker.kill()
        return worker

    def _release(self, worker: "_Worker") -> None:
        with self._lock:
            if worker.alive and self._is_current(worker) and not self._stopped.is_set():
                self._idle[worker.function.arn].append(worker)
                return
            self._workers.discard(worker)
        worker.kill()


class _Worker:
    """A process of one function."""

    def __init__(
        self, function: Function, files: _Files, environment: Mapping[str, str], run_dir: Path, fork_server: ForkServer
    ) -> None:
        self.function = function
        self.files = files
        (run_dir / "logs").mkdir(parents=True, exist_ok=True)
        (run_dir / "tmp").mkdir(parents=True, exist_ok=True)
        self._tmp = tempfile.mkdtemp(prefix=f"{function.logical_id}-", dir=run_dir / "tmp")
        self._out_of_memory = False
        variables = _environment(function, environment, self._tmp)
        with (run_dir / "logs" / f"{function.logical_id}.log").open("ab") as log:
            self._process = fork_server.start([function.code, *function.layers], variables, log)
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> bool:
        """Wait for the import of the handler; return whether it succeeded."""
        self._ready = self._ready or self._receive(INIT_SECONDS) is not None
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
        answer = self._receive(limit) if self._process.send(request) else None
        if answer is None:
            return self._failure_of_process(request_id, limit)
        return InvocationResult(answer["payload"], answer.get("failed", False))

    def _receive(self, seconds: float) -> dict[str, Any] | None:
        """Wait for a line of the process, and kill it if it uses more memory than the function has."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            answer = self._process.receive(min(MEMORY_CHECK_SECONDS, remaining))
            if answer is not None:
                return answer
            if not self.alive:
                return self._process.receive(MEMORY_CHECK_SECONDS)  # what it wrote before its end
            if self._process.memory() > self.function.memory * 1024 * 1024:
                self._out_of_memory = True
                self._process.kill()
        return None

    def kill(self) -> None:
        """Kill the process and remove its files; several threads may call this."""
        self._process.kill()
        self._process.close()
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _failure_of_process(self, request_id: str, limit: float) -> InvocationResult:
        status = self._process.poll()
        if status is None:
            self._process.kill()
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


def shared_environment(functions: list[Function], common: Mapping[str, str], run_dir: Path) -> dict[str, str]:
    """Return the variables that all functions share."""
    variables = [set(_environment(function, common, str(run_dir / "tmp")).items()) for function in functions]
    return dict(set.intersection(*variables)) if variables else {}


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
