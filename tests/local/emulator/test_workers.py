"""emulator/workers.py: functions run as processes, and every failure is reported as by Lambda."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.emulator import processes
from local.emulator.iam import access_key
from local.emulator.workers import Function, InvocationResult, Workers
from tests.conftest import ROOT

HANDLERS = """
import gc, importlib.util, json, os, signal, subprocess, sys, time

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

def end(event, context):
    os.kill(os.getpid(), event)
    time.sleep(60)

def meet(event, context):
    place, number = event
    with open(f"{place}/{os.getpid()}", "w"):
        while len(os.listdir(place)) < number:
            time.sleep(0.01)
    return [os.getpid(), len(os.listdir("/dev/fd"))]

def environment(event, context):
    listed = subprocess.run(["/usr/bin/env", "-0"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [dict(os.environ), dict(line.split("=", 1) for line in listed.split("\\0") if line)]

def hour(event, context):
    return time.localtime(0).tm_hour

def imports(event, context):
    return {name: importlib.util.find_spec(name) is not None for name in event}

def loaded(event, context):
    return sorted(sys.modules)

def service(event, context):
    from botocore import loaders, session
    loaders.JSONFileLoader.load_file = None
    return session.get_session().create_client(event, region_name="us-east-1").meta.service_model.service_name

def color(event, context):
    import colorsys
    return [colorsys.__file__, os.environ["HOME"], sys.argv[2:]]

def facts(event=None, context=None):
    signals = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    return json.loads(json.dumps([
        sys.path[-3:], sys.flags, sys.warnoptions, gc.isenabled(), os.getsid(0) == os.getpid(), os.umask(0o077),
        [str(signal.getsignal(number)) for number in signals], signal.set_wakeup_fd(-1),
        [[stream.encoding, stream.errors, stream.line_buffering] for stream in (sys.stdin, sys.stdout, sys.stderr)],
    ]))
"""


@dataclass(frozen=True)
class Invoke:
    """Invokes a function."""

    workers: Workers
    function: Function

    def __call__(self, event: Any = None) -> InvocationResult:
        return self.workers.invoke(self.function, event)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Invoke]]:
    """A function that creates a function with one of the handlers above, and returns its invocation."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(HANDLERS)
    started = []

    def build(handler: str, per_function: int = 2, packages: Sequence[str] = (), **changes: Any) -> Invoke:
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
        workers = Workers([function], {"AWS_REGION": "us-east-1"}, tmp_path / "run", per_function, 4, packages)
        started.append(workers)
        return Invoke(workers, function)

    def stop() -> None:
        for workers in started:
            workers.stop()

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
    assert "AWS_PROFILE" not in psutil.Process(reported["pid"]).environ()  # with which packages were imported


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
        ("end", signal.SIGTERM, "signal: killed"),
    ],
)
def test_a_crash_is_an_exit_error(make, handler, status, words):
    """A process that ends during an invocation causes Runtime.ExitError, whatever its exit status."""
    kind, message = error(make(handler)(status))
    assert kind == "Runtime.ExitError"
    assert message.endswith(words)


def test_a_crash_does_not_disturb_other_processes(make):
    """Processes can end while another one runs, and new ones start."""
    invoke = make("about")
    process = json.loads(invoke().payload)["pid"]
    invoke.workers.alter("F", "import os\ndef lambda_handler(event, context): os._exit(7)", None, None)
    for _ in range(3):
        assert error(invoke())[0] == "Runtime.ExitError"
    invoke.workers.restore()
    assert json.loads(invoke().payload)["pid"] == process


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


def test_processes_that_start_at_the_same_time_share_nothing(make, tmp_path):
    """Each has an id of its own and, besides the folder that it lists, four descriptors: none of the others."""
    invoke = make("meet", per_function=4)
    (tmp_path / "place").mkdir()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: json.loads(invoke([str(tmp_path / "place"), 4]).payload), range(4)))
    assert len({pid for pid, _ in results}) == 4
    assert [descriptors for _, descriptors in results] == [5] * 4


def test_a_process_is_like_a_new_interpreter(make, tmp_path):
    """Path, flags, signals and streams are those of an isolated interpreter in a session of its own."""
    command = [sys.executable, "-I", "-c", HANDLERS + "print(json.dumps(facts()))"]
    new = subprocess.run(command, capture_output=True, stdin=subprocess.PIPE, start_new_session=True, check=True)
    assert json.loads(make("facts")().payload) == json.loads(new.stdout)


def test_a_function_can_import_only_its_own_code_layers_and_packages(make, monkeypatch, tmp_path):
    """Modules of this repository, of PYTHONPATH and of the current folder cannot be imported."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "layer").mkdir()
    for module in ("code/beside.py", "layer/below.py", "elsewhere/above.py"):
        (tmp_path / module).touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    names = ["beside", "below", "botocore", "above", "local", "image_pipeline", "fork_server", "worker"]
    assert json.loads(make("imports")(names).payload) == {
        name: name in ("beside", "below", "botocore") for name in names
    }


def test_the_environment_of_a_function_is_that_of_its_programs(make):
    """Programs that a function starts have the variables that the function has."""
    function, program = json.loads(make("environment")().payload)
    assert program == function
    assert "FROM_TEMPLATE" in program


def test_an_update_replaces_the_environment(make):
    """New processes have the new variables, and none of the old ones; the time zone is one of them."""
    invoke = make("hour")
    changed = replace(invoke.function, environment={"TZ": "XYZ-5"})
    invoke.workers.update([changed])
    assert json.loads(invoke().payload) == 5
    invoke.workers.update([replace(changed, handler="app.about")])
    environment = json.loads(invoke().payload)["environment"]
    assert environment["TZ"] == "XYZ-5"
    assert "FROM_TEMPLATE" not in environment


def test_packages_are_imported_before_a_function_starts(make):
    """No module of ours is among them, and a package that is missing does not disturb."""
    loaded = json.loads(make("loaded", packages=["missing", "colorsys"])().payload)
    assert "colorsys" in loaded
    assert not {"local", "image_pipeline", "psutil"} & set(loaded)


def test_service_models_are_read_before_a_function_starts(make):
    """A function creates a client of a common service without reading any file of botocore."""
    invoke = make("service", packages=["botocore.session"], environment={"AWS_SECRET_ACCESS_KEY": "secret"})
    assert json.loads(invoke("s3").payload) == "s3"


def test_a_process_that_cannot_start_fails_one_invocation(make, tmp_path, monkeypatch):
    """A machine that has no memory for another process may have some later."""
    (tmp_path / "short_of_memory.py").write_text(
        "import os, runpy\n"
        "fork = os.fork\n"
        "def fail():\n"
        "    os.fork = fork\n"
        "    raise BlockingIOError\n"
        "os.fork = fail\n"
        f"runpy.run_path({str(processes._FORK_SERVER)!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(processes, "_FORK_SERVER", tmp_path / "short_of_memory.py")
    invoke = make("echo")
    assert error(invoke(1))[0] == "Runtime.ExitError"
    assert invoke(2) == InvocationResult("2")


@pytest.mark.parametrize("place", ["code", "layer"])
def test_a_module_of_a_function_replaces_an_imported_package(make, tmp_path, place):
    """Code and layers come before packages, also if a package of that name has already been imported."""
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "colorsys.py").touch()
    invoke = make("color", packages=["colorsys"])
    module, home, folders = json.loads(invoke().payload)
    assert module == str(tmp_path / place / "colorsys.py")
    assert Path(home).name.startswith("F-")
    assert folders == [str(tmp_path / "code"), str(tmp_path / "layer")]


def test_stopping_the_pool_removes_processes_and_files(make, tmp_path):
    """Processes and temporary files are removed."""
    invoke = make("about")
    process = psutil.Process(json.loads(invoke().payload)["pid"])
    parent = process.parent()
    make.stop()
    assert (process.is_running(), parent.is_running()) == (False, False)
    assert not (tmp_path / "run" / "tmp").exists()


def test_an_invocation_after_the_end_fails(make):
    """It does not wait for a process."""
    invoke = make("echo")
    make.stop()
    assert error(invoke())[0] == "Runtime.ExitError"


PARENT = """
import sys
from pathlib import Path
from local.emulator.workers import Function, Workers

code = Path(sys.argv[1])
function = Function("F", "F", "arn", "arn:aws:iam::1:role/R", "app.f", "python3.13", code, (), 60, 256, {}, "group")
Workers([function], {}, code / "run", 1, 1).invoke(function, sys.argv[2])
"""


def test_a_process_ends_with_its_parent(tmp_path):
    """A process ends even if its parent is killed while the function runs."""
    busy = tmp_path / "busy"
    os.mkfifo(busy)
    code = "import time\ndef f(event, context):\n    open(event, 'w').close()\n    time.sleep(60)\n"
    (tmp_path / "app.py").write_text(code)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(busy)], cwd=ROOT)
    busy.read_bytes()  # waits until the function has opened it
    processes = psutil.Process(parent.pid).children(recursive=True)
    assert len(processes) == 2
    assert all(os.getsid(process.pid) == process.pid for process in processes)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive
