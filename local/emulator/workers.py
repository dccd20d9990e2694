"""Functions as warm processes, with the environment, timeout and memory that the template gives them.

What goes wrong comes back as Lambda reports it, because the workflow's Retry and Catch depend on the names.
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
INIT_SECONDS = 60.0  # Lambda gives an import 10 s; a busy laptop may need longer, and it is not billed to the timeout
MAX_PAYLOAD_BYTES = 6_291_556  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MEMORY_CHECK_SECONDS = 0.05
_WORKER = Path(__file__).with_name("worker.py")
_Files = frozenset[tuple[Path, int, int]]


@dataclass(frozen=True)
class Function:
    """What the template says about a function."""

    logical_id: str
    name: str
    arn: str
    role: str
    """The ARN of the role that it calls AWS with."""
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
    """The least severity that Lambda keeps of the function's log; only known for the format JSON."""


@dataclass(frozen=True)
class Result:
    """The answer to an invocation: JSON, and whether the function failed."""

    payload: str
    failed: bool = False


class Workers:
    """Runs functions, each in at most `per_function` processes, at most `total` of them at the same time.

    A further invocation waits, which its timeout does not count; on AWS another environment would start. A file of a
    function or of its layers that changes is as good as deployed: the next invocation runs in a new process.
    """

    def __init__(
        self, functions: list[Function], environment: Mapping[str, str], run_dir: Path, per_function: int, total: int
    ) -> None:
        self._functions = {key: function for function in functions for key in (function.name, function.arn)}
        self._altered: dict[str, Function] = {}
        self._environment = environment
        self._run_dir = run_dir
        self._slots = {function.arn: threading.Semaphore(per_function) for function in functions}
        self._total = threading.Semaphore(total)
        self._idle: dict[str, list[_Worker]] = {function.arn: [] for function in functions}
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def find(self, name: str) -> Function | None:
        """Look a function up by name or ARN, with or without a qualifier."""
        return self._functions.get(name) or self._functions.get(name.removesuffix(":$LATEST"))

    def invoke(self, function: Function, event: Any) -> Result:
        """Run a function on an event, starting a process when none is warm."""
        with self._slots[function.arn], self._total:
            worker = self._take(self._altered.get(function.arn, function))
            try:
                result = worker.invoke(event)
            finally:
                self._give_back(worker)
        if len(result.payload) > MAX_PAYLOAD_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
            return failure("Function.ResponseSizeTooLarge", message)
        return result

    def alter(self, logical_id: str, source: str | None, timeout: float | None, memory: int | None) -> None:
        """Run a function with other code or limits until `restore`; None leaves what the template says.

        Args:
            logical_id: The function's name in the template.
            source: Text of a module with a `lambda_handler`.
            timeout: Seconds.
            memory: Mebibytes.
        """
        function = next(each for each in self._functions.values() if each.logical_id == logical_id)
        changes: dict[str, Any] = {"timeout": timeout, "memory": memory}
        if source is not None:
            (self._run_dir / "tmp").mkdir(parents=True, exist_ok=True)
            code = Path(tempfile.mkdtemp(prefix=f"{logical_id}-", dir=self._run_dir / "tmp"))
            (code / "app.py").write_text(source, encoding="utf-8")
            changes |= {"code": code, "handler": "app.lambda_handler"}
        given = {name: value for name, value in changes.items() if value is not None}
        with self._lock:
            self._altered[function.arn] = replace(function, **given)

    def restore(self) -> None:
        """Run every function as the template says."""
        with self._lock:
            self._altered.clear()
            stale = [worker for idle in self._idle.values() for worker in idle if not self._wanted(worker)]
            for worker in stale:
                self._idle[worker.function.arn].remove(worker)
                self._all.discard(worker)
        for worker in stale:
            worker.kill()

    def warm(self, functions: list[Function]) -> None:
        """Start a process for each function ahead of its first invocation, one by one to spare the machine."""
        for function in functions:
            if self._stopped.is_set():
                return
            with self._slots[function.arn]:
                worker = self._take(function)
                worker.wait_until_ready()
                self._give_back(worker)

    def stop(self) -> None:
        """End every process and remove its files."""
        with self._lock:
            self._stopped.set()
            workers = list(self._all)
        for worker in workers:
            worker.kill()
        shutil.rmtree(self._run_dir / "tmp", ignore_errors=True)

    def _wanted(self, worker: "_Worker") -> bool:
        """Whether what it runs is what the template says, or what took its place."""
        arn = worker.function.arn
        return worker.function in (self._functions[arn], self._altered.get(arn))

    def _take(self, function: Function) -> "_Worker":
        files = _files(function)
        with self._lock:
            idle = self._idle[function.arn]
            own = [worker for worker in idle if worker.function == function]
            stale = [worker for worker in own if not worker.alive or worker.files != files]
            for worker in stale:
                idle.remove(worker)
                self._all.discard(worker)
            warm = next((worker for worker in reversed(own) if worker not in stale), None)
            if warm:
                idle.remove(warm)
        for worker in stale:
            worker.kill()
        if warm:
            return warm
        worker = _Worker(function, files, self._environment, self._run_dir)
        with self._lock:
            self._all.add(worker)
            if self._stopped.is_set():
                worker.kill()
        return worker

    def _give_back(self, worker: "_Worker") -> None:
        with self._lock:
            if worker.alive and self._wanted(worker) and not self._stopped.is_set():
                self._idle[worker.function.arn].append(worker)
                return
            self._all.discard(worker)
        worker.kill()

    def _watch_memory(self) -> None:
        while not self._stopped.wait(MEMORY_CHECK_SECONDS):
            with self._lock:
                busy = self._all.difference(*self._idle.values())  # who waits needs no more, and there are many of them
            for worker in busy:
                worker.check_memory()


class _Worker:
    """One process of one function."""

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
            self._process = subprocess.Popen(  # noqa: S603 (our own file, by our own interpreter)
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
                start_new_session=True,  # Ctrl-C is for the parent, which ends this process in order
            )
        os.close(answers)
        self._requests = cast(IO[bytes], self._process.stdin)
        self._psutil = psutil.Process(self._process.pid)
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> bool:
        """Wait for the handler's import; False when it did not end well."""
        self._ready = self._ready or self._read(INIT_SECONDS) is not None
        return self._ready

    def invoke(self, event: Any) -> Result:
        request_id = str(uuid.uuid4())
        if not self.wait_until_ready():
            return self._died(request_id, INIT_SECONDS)
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
            return self._died(request_id, limit)
        answer = self._read(limit)
        if answer is None:
            return self._died(request_id, limit)
        return Result(answer["payload"], answer.get("failed", False))

    def check_memory(self) -> None:
        """Kill the process when it holds more memory than the function has."""
        with suppress(psutil.Error):
            if self._psutil.memory_info().rss > self.function.memory * 1024 * 1024:
                self._out_of_memory = True
                self._process.kill()

    def kill(self) -> None:
        """End the process, however it is doing, and remove its files; any thread may, and more than one."""
        self._process.kill()
        self._process.wait()
        with self._closing:  # a descriptor that is closed twice may be another's by then
            with suppress(OSError):
                self._requests.close()
            if self._answers >= 0:
                os.close(self._answers)
                self._answers = -1
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _read(self, seconds: float) -> dict[str, Any] | None:
        """Wait for one answer; None when time is up or the process has ended."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                return None
            chunk = os.read(self._answers, 1 << 16)
            if not chunk:
                self._process.wait()
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self, request_id: str, limit: float) -> Result:
        status = self._process.poll()
        if status is None:
            self._process.kill()
            self._process.wait()
            return failure(
                "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {limit:.2f} seconds"
            )
        killed = self._out_of_memory or status < 0
        if status == 0:
            how = "without providing a reason"
        else:
            how = "with error: " + ("signal: killed" if killed else f"exit status {status}")
        return failure("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited {how}")


def _files(function: Function) -> _Files:
    """Tell the files of a function and its layers from those of before: path, time of the last change, bytes.

    There are some forty, so to look at all is quicker than the shortest invocation, and nothing has to be watched.
    """
    found = set()
    for root in (function.code, *function.layers):
        for folder, folders, names in os.walk(root):
            folders[:] = [each for each in folders if each != "__pycache__"]  # written by what runs
            for path in (Path(folder, name) for name in names):
                with suppress(OSError):  # an editor's file, gone already
                    seen = path.stat()
                    found.add((path, seen.st_mtime_ns, seen.st_size))
    return frozenset(found)


def failure(kind: str, message: str) -> Result:
    """Give what Lambda answers for a function that did not end well."""
    return Result(json.dumps({"errorType": kind, "errorMessage": message}), failed=True)


def credentials(function: Function) -> dict[str, str]:
    """Return the variable that makes a function's calls those of its role; the secret is everybody's."""
    return {"AWS_ACCESS_KEY_ID": access_key(function.role)}


def _environment(function: Function, common: Mapping[str, str], tmp: str) -> dict[str, str]:
    """Compose what the function sees: Lambda's variables, the endpoint, the template's. Nothing of the developer's."""
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
