"""emulator/workers.py: functions run as processes, and every failure is reported as by Lambda."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.emulator import workers
from local.emulator.iam import access_key
from local.emulator.workers import Function, InvocationResult, Workers

HANDLERS = """
import json, os, sys, time

class OddError(Exception):
    pass

def echo(event, context):
    print("a line of the log")
    return event

def about(event, context):
    left = context.get_remaining_time_in_millis()
    return {
        "name": context.function_name, "memory": context.memory_limit_in_mb, "arn": context.invoked_function_arn,
        "id": context.aws_request_id, "left": left, "environment": dict(os.environ), "pid": os.getpid(),
        "folder": os.getcwd(),
    }

def fail(event, context):
    raise OddError("what is wrong\\nwhat to do")

def sleep(event, context):
    time.sleep(60)

def leave(event, context):
    os._exit(event)

def exit(event, context):
    sys.exit(event)

def hog(event, context):
    kept = [bytearray(8 << 20) for _ in range(200)]
    time.sleep(60)

def odd(event, context):
    return {"set": {1}}

def long(event, context):
    return "x" * 6_300_000

def nap(event, context):
    time.sleep(0.2)
    return time.time()

def slow(event, context):
    time.sleep(0.2)
    return os.getpid()

def hold(event, context):
    if event:
        open(event, "w").close()  # reports its start
        open(event).close()  # waits for its end
    return os.getpid()
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Callable[..., InvocationResult]]]:
    """A function that creates a function with one of the handlers above, and returns its invocation."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(HANDLERS)
    started = []

    def build(handler: str, per_function: int = 2, **changes: Any) -> Callable[..., InvocationResult]:
        settings: dict[str, Any] = {"timeout": 10, "memory": 256, "environment": {"FROM_TEMPLATE": "yes"}} | changes
        function = Function(
            logical_id="F",
            name="stack-F",
            arn="arn:aws:lambda:us-east-1:123456789012:function:stack-F",
            role="arn:aws:iam::123456789012:role/stack-FRole",
            handler=handler if "." in handler else f"app.{handler}",
            runtime="python3.13",
            code=tmp_path / "code",
            layers=(tmp_path / "layer",),
            log_group="group",
            **settings,
        )
        pool = Workers([function], {"AWS_REGION": "us-east-1"}, tmp_path / "run", per_function, 4)
        started.append(pool)
        return lambda event=None: pool.invoke(function, event)

    def stop() -> None:
        for pool in started:
            pool.stop()

    build.stop = stop  # type: ignore[attr-defined]
    yield build
    stop()


def error(result: InvocationResult) -> tuple[str, str]:
    assert result.failed
    payload = json.loads(result.payload)
    return payload["errorType"], payload["errorMessage"]


def test_a_response_is_returned_and_the_log_is_kept(make, tmp_path):
    """The payload is returned, and printed text is in the log of the function."""
    event = {"text": "ü 🦊 \ud83e", "list": [1, None, True]}
    assert json.loads(make("echo")(event).payload) == event
    assert "a line of the log" in (tmp_path / "run" / "logs" / "F.log").read_text()


def test_the_context_and_the_environment_are_those_of_lambda(make, monkeypatch, tmp_path):
    """The environment has variables of Lambda and the template, and none of the user."""
    monkeypatch.setenv("AWS_PROFILE", "secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    reported = json.loads(make("about")().payload)
    assert (reported["name"], reported["memory"], reported["arn"].split(":")[-1]) == ("stack-F", "256", "stack-F")
    assert 5_000 < reported["left"] <= 10_000
    assert reported["folder"] == str(tmp_path / "code")
    environment = reported["environment"]
    assert environment["FROM_TEMPLATE"] == "yes"
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "stack-F"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_ACCESS_KEY_ID"] == access_key("arn:aws:iam::123456789012:role/stack-FRole")
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["LAMBDA_TASK_ROOT"] == str(tmp_path / "code")
    assert not {"AWS_PROFILE", "PYTHONPATH", "USER", "VIRTUAL_ENV"} & environment.keys()
    assert environment["HOME"].startswith(str(tmp_path))


def test_a_process_stays_warm(make):
    """The second invocation uses the process of the first."""
    invoke = make("about")
    assert json.loads(invoke().payload)["pid"] == json.loads(invoke().payload)["pid"]


@pytest.mark.parametrize("file", ["code/app.py", "code/data.txt", "layer/package/module.py"])
def test_changed_code_runs_in_a_new_process(make, tmp_path, file):
    """A new, changed or deleted file starts a new process; without a change, the process stays."""
    invoke, path = make("about"), tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = psutil.Process(json.loads(invoke().payload)["pid"])
    path.write_text(HANDLERS + "# edited\n")
    edited = json.loads(invoke().payload)["pid"]
    assert (edited == before.pid, before.is_running()) == (False, False)
    assert json.loads(invoke().payload)["pid"] == edited
    if path.name != "app.py":
        path.unlink()
        assert json.loads(invoke().payload)["pid"] != edited


def test_compiled_modules_are_not_a_change(make, tmp_path):
    """A compiled module does not start a new process."""
    invoke = make("about")
    process = json.loads(invoke().payload)["pid"]
    (tmp_path / "code" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "code" / "__pycache__" / "other.pyc").touch()
    assert json.loads(invoke().payload)["pid"] == process


def test_an_exception_is_logged_in_one_line(make, tmp_path):
    """A message in JSON cannot forge another line."""
    make("fail")()
    (line,) = (tmp_path / "run" / "logs" / "F.log").read_text().splitlines()
    reported = json.loads(line)
    assert (reported["level"], reported["errorType"], reported["errorMessage"]) == (
        "ERROR",
        "OddError",
        "what is wrong\nwhat to do",
    )
    assert "raise OddError" in "".join(reported["stackTrace"])


def test_an_exception_has_its_class_name_and_message(make):
    """Retry and Catch use the name; the record has the message."""
    result = make("fail")()
    assert error(result) == ("OddError", "what is wrong\nwhat to do")
    payload = json.loads(result.payload)
    assert any("raise OddError" in frame for frame in payload["stackTrace"])
    assert payload["requestId"]


def test_a_timeout_ends_the_process(make):
    """The error is that of Lambda, and the next invocation has a new process."""
    invoke = make("sleep", timeout=1)
    kind, message = error(invoke())
    assert kind == "Sandbox.Timedout"
    assert message.startswith("RequestId: ")
    assert message.endswith("Error: Task timed out after 1.00 seconds")
    assert error(invoke())[0] == "Sandbox.Timedout"


@pytest.mark.parametrize(
    ("handler", "status", "words"),
    [
        ("leave", 7, "Runtime exited with error: exit status 7"),
        ("exit", 3, "Runtime exited with error: exit status 3"),
        ("exit", 0, "Runtime exited without providing a reason"),
    ],
)
def test_a_crash_is_an_exit_error(make, handler, status, words):
    """A process that ends during an invocation causes Runtime.ExitError, whatever its exit status."""
    kind, message = error(make(handler)(status))
    assert kind == "Runtime.ExitError"
    assert message.endswith(words)


def test_exceeding_the_memory_limit_ends_the_process(make):
    """The limit is that of the template."""
    kind, message = error(make("hog", memory=128)())
    assert kind == "Runtime.ExitError"
    assert message.endswith("signal: killed")


def test_a_response_that_is_not_json_is_a_marshal_error(make):
    """The runtime of Lambda reports the same error."""
    kind, message = error(make("odd")())
    assert kind == "Runtime.MarshalError"
    assert "set" in message


def test_a_response_above_the_limit_is_refused(make):
    """The limit is that of Lambda, six megabytes."""
    assert error(make("long")())[0] == "Function.ResponseSizeTooLarge"


def test_a_missing_module_is_an_import_error(make):
    """A missing handler has its own error, too."""
    assert error(make("nowhere.handler")())[0] == "Runtime.ImportModuleError"
    assert error(make("app.missing")())[0] == "Runtime.HandlerNotFound"


def test_the_number_of_processes_is_limited(make):
    """With one process, invocations run one after the other."""
    invoke = make("nap", per_function=1)
    ends: list[float] = []
    threads = [threading.Thread(target=lambda: ends.append(json.loads(invoke().payload))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second, third = sorted(ends)
    assert min(second - first, third - second) >= 0.2


def test_short_invocations_share_a_process(make, monkeypatch):
    """An invocation waits for the process of the one before, instead of the start of another process."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 60)
    invoke = make("slow")
    with ThreadPoolExecutor() as pool:
        processes = {answer.payload for answer in pool.map(lambda _: invoke(), range(3))}
    assert len(processes) == 1


def test_a_second_process_starts_if_the_first_stays_busy(make, monkeypatch, tmp_path):
    """A long invocation does not block another one."""
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 0)
    invoke, pipe = make("hold"), tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(invoke, str(pipe))
        pipe.open().close()
        second = invoke()
        pipe.open("w").close()
    assert second.payload != first.result().payload


def test_stopping_the_pool_removes_processes_and_files(make, tmp_path):
    """Processes and temporary files are removed."""
    invoke = make("about")
    process = psutil.Process(json.loads(invoke().payload)["pid"])
    make.stop()
    assert not process.is_running()
    assert not (tmp_path / "run" / "tmp").exists()


def test_a_process_ends_with_its_parent(tmp_path):
    """A process ends even if its parent is killed while the function runs."""
    busy = tmp_path / "busy"
    os.mkfifo(busy)
    code = "import time\ndef f(event, context):\n    open(event, 'w').close()\n    time.sleep(60)\n"
    (tmp_path / "app.py").write_text(code)
    worker = Path(__file__).parents[3] / "local" / "emulator" / "worker.py"
    read, write = os.pipe()
    parent, child = os.pipe()
    names = ("FUNCTION_NAME", "FUNCTION_VERSION", "FUNCTION_MEMORY_SIZE", "LOG_GROUP_NAME", "LOG_STREAM_NAME")
    process = subprocess.Popen(
        [sys.executable, "-I", str(worker), str(tmp_path), "", str(write)],
        stdin=parent,
        pass_fds=[write],
        env={"_HANDLER": "app.f", **{f"AWS_LAMBDA_{name}": "x" for name in names}},
    )
    request = {"requestId": "r", "functionArn": "", "timeoutSeconds": 60, "event": str(busy)}
    os.write(child, json.dumps(request).encode() + b"\n")
    assert os.read(read, 100)
    busy.read_bytes()  # waits until the function has opened it
    os.close(child)
    assert process.wait(5) == 0
    for descriptor in (read, write, parent):
        os.close(descriptor)
