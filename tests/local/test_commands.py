"""The commands `run`, `demo` and `invoke`: output, exit codes and cleanup."""

import contextlib
import dataclasses
import io
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from image_pipeline import keys
from image_pipeline.errors import SettingsError
from image_pipeline.imaging import recipes
from local import cli
from local.pipeline import ROOT, StartError
from local.show import Display, JsonLines, TextDisplay
from local.watch import EnteredState
from tests.conftest import HEAVY, crossed, heavy
from tests.interruptions import interrupted
from tests.pictures import photo

READY_SECONDS = 30


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A function that starts a command in its own run folder; the command is stopped after the test."""
    started = []
    # Whoever runs the tests in the background has them ignore SIGINT, and a command would inherit that.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(command: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "local", command, "--run-dir", str(tmp_path / "run"), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    signal.signal(signal.SIGINT, handler)


def lines_until(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """Read the lines of a command until one contains a text."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    pytest.fail(f"ended without {words!r}: {lines}")


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def have_ended(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@heavy  # it starts a pipeline; `run` below starts and ends as `demo` does
def test_demo_ends_with_its_processes(start, tmp_path):
    """Nothing is printed but the facts, no process remains, and the run folder has only logs and renditions."""
    demo = start("demo", "--json", "--port", "0", "--api-port", "0")
    out, err = demo.communicate(timeout=120)
    assert (demo.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1]) == {"event": "verdict", "ok": True, "images": 6, "failures": []}
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["logs", "thumbnails"]


@pytest.fixture
def demo(pipeline, tmp_path, monkeypatch, capsys) -> Callable[..., tuple[int, str]]:
    """A function that runs the demo on the shared pipeline, and returns its exit code and its output."""
    monkeypatch.setattr(cli, "Pipeline", lambda *_, **__: contextlib.nullcontext(pipeline))

    def run(*arguments: str) -> tuple[int, str]:
        code = cli.main(["demo", "--run-dir", str(tmp_path / "run"), *arguments])
        out, err = capsys.readouterr()
        assert err == ""
        return code, out

    return run


def test_demo_succeeds_with_all_facts_as_json(demo, tmp_path):
    """Photographs succeed, and the text fails as expected."""
    code, out = demo("--json")
    assert code == cli.OK
    events: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert events[0]["event"] == "ready"
    assert events[-1] == {"event": "verdict", "ok": True, "images": 6, "failures": []}
    outcomes = {event["key"]: event for event in events if event["event"] == "outcome"}
    assert [outcome["status"] for outcome in outcomes.values()].count("COMPLETED") == 5
    assert outcomes["uploads/notes.jpg"]["record"]["error"]["code"] == "UnsupportedFormatError"
    for outcome in outcomes.values():
        assert len(outcome["notifications"]) == 1
        assert all((ROOT / path).is_file() for path in outcome["files"])
    assert any(event["event"] == "state" for event in events)
    assert list((tmp_path / "run").iterdir()) == []


def test_demo_fails_if_an_image_fails(demo, tmp_path):
    """Files of the user and whole folders are processed; the output names a file that fails, and the exit code is 1."""
    folder = tmp_path / "my pictures"
    folder.mkdir()
    (folder / "good one.jpg").write_bytes(photo())
    (folder / "9.41\u202fAM \u202egpj.jpg").write_bytes(photo())  # as macOS names screenshots, and from right to left
    (folder / ".hidden").write_text("words")
    (tmp_path / "bad.jpg").write_text("words")
    code, out = demo(str(folder), str(tmp_path / "bad.jpg"))
    assert code == cli.FAILED
    assert "uploads/my pictures/good one.jpg  COMPLETED" in out
    assert "uploads/my pictures/9.41" in out
    assert out.count("  COMPLETED") == 2
    assert re.search(r"uploads/bad\.jpg: .*FAILED", out)


@pytest.mark.parametrize("name", ["missing.jpg", "bell\x07.jpg", "folder", "folder/empty"])
def test_an_unusable_file_is_a_usage_error(tmp_path, monkeypatch, capsys, name):
    """An unusable file is reported before any process starts."""
    (tmp_path / "bell\x07.jpg").write_bytes(photo())
    (tmp_path / "folder" / "empty").mkdir(parents=True)
    (tmp_path / "folder" / "not UTF-8 \udcff.jpg").write_bytes(photo())
    monkeypatch.setattr(cli, "Pipeline", lambda *_, **__: pytest.fail("it started"))
    assert cli.main(["demo", "--run-dir", str(tmp_path / "run"), str(tmp_path / name)]) == cli.USAGE
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--port", pytest.param("--api-port", marks=HEAVY)])
def test_a_busy_port_is_reported(start, option):
    """The message has the number of the port."""
    other = {"--port": "--api-port", "--api-port": "--port"}[option]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = start("run", option, port, other, "0")
        _, err = run.communicate(timeout=60)
    assert run.returncode == 3
    assert f"Port {port} on 127.0.0.1" in err
    assert "is in use" in err
    assert "Traceback" not in err


def test_run_processes_uploads_until_ctrl_c(start, tmp_path):
    """The output has commands, a sign-in link and uploads; a second copy is rejected; no process remains."""
    (tmp_path / "one.jpg").write_bytes(photo(64, 48))
    run = start("run", "--port", free_port(), "--api-port", "0", str(tmp_path / "one.jpg"))
    words = "".join(lines_until(run, "Ctrl-C"))
    assert "aws --endpoint-url http://127.0.0.1:" in words
    assert "curl http://127.0.0.1:" in words
    match = re.search(r"-X DELETE -H 'x-api-key: (ip_\w+)' (http://127\.0\.0\.1:\d+/images/uploads/image\.jpg)", words)
    assert match
    assert f"/#key={match[1]}" in words
    logs = re.search(r"Logs are in (.+)\. Press", words)
    assert logs
    assert "key checked" in (Path(logs[1]) / "AuthorizeFunction.log").read_text()  # the link opens without a wait
    request = urllib.request.Request(match[2], headers={"x-api-key": match[1]}, method="DELETE")
    with pytest.raises(HTTPError, match="404"):  # let in, and there is no such picture
        urllib.request.urlopen(request)
    second = start("run", "--port", "0", "--api-port", "0")
    _, err = second.communicate(timeout=30)
    assert second.returncode == 3
    assert "already running at http://127.0.0.1:" in err
    processes = descendants(run)
    assert len(processes) >= 5
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (0, "")
    assert "Traceback" not in out
    assert have_ended(processes)


def first_words(run):
    lines_until(run, "Starting")


def first_process(run):
    lines_until(run, "Starting")
    while not descendants(run):
        assert run.poll() is None


@pytest.mark.parametrize(("moment", "how"), crossed([first_words, first_process], [signal.SIGINT, signal.SIGTERM]))
def test_an_interrupted_start_leaves_no_process(start, tmp_path, moment, how):
    """SIGINT and SIGTERM end all processes before and during the start of the server."""
    run = start("run", "--port", "0", "--api-port", "0")
    moment(run)
    processes = descendants(run)
    run.send_signal(how)
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert have_ended(processes)
    left = {path.name for path in (tmp_path / "run").iterdir()} if (tmp_path / "run").exists() else set()
    assert left <= {"logs"}


MOMENTS = {
    "its imports": ("import", "'local.cli'"),
    "imports of others": ("import", "'rich.console'"),
    "the end of its imports": ("exec", "local/watch.py"),
    "making its folder": ("os.mkdir", "/run'"),
    "taking its lock": ("fcntl.flock", ""),
    "opening the log": ("open", "server.log"),
    "starting the server": ("subprocess.Popen", "local.emulator.server"),
    "telling where it runs": ("open", "running.json"),
    "its first call": ("socket.connect", "127.0.0.1"),
    "fetching a rendition": ("os.mkdir", "/run/thumbnails"),
}
BREADTH = (
    "imports of others",  # they are imported by its own modules
    *("telling where it runs", "its first call", "fetching a rendition"),  # each starts a pipeline, as `run` above
)


@pytest.mark.parametrize(
    ("event", "text", "times"),
    [
        *(
            pytest.param(*moment, 1, id=name, marks=HEAVY if name in BREADTH else ())
            for name, moment in MOMENTS.items()
        ),
        pytest.param(*MOMENTS["starting the server"], 2, id="starting the server, and again", marks=HEAVY),
        pytest.param(*MOMENTS["fetching a rendition"], 2, id="fetching a rendition, and again", marks=HEAVY),
        *(
            pytest.param("import", "'local.", count, id=f"imports, {count} times", marks=HEAVY)
            for count in (2, 10, 100)
        ),
    ],
)
def test_ctrl_c_ends_a_command_at_any_moment(tmp_path, event, text, times):
    """The command exits with 130, without a traceback and without a remaining process."""
    (tmp_path / "one.jpg").write_bytes(photo())
    options = ("demo", "--run-dir", str(tmp_path / "run"), "--port", "0", "--api-port", "0", str(tmp_path / "one.jpg"))
    done = interrupted("local", event, text, times, *options, MARK=str(tmp_path))
    assert (done.returncode, "Traceback" in done.stderr, "Error" in done.stderr) == (130, False, False), done.stderr
    assert have_ended([process for process in psutil.process_iter() if is_of(process, str(tmp_path))])


def is_of(process: psutil.Process, mark: str) -> bool:
    """Return whether a process belongs to a run, by its arguments or its temporary files."""
    with contextlib.suppress(psutil.Error):
        return any(mark in value for value in process.environ().values())
    return False


def first_functions(run):
    lines_until(run, "Ready.")


@pytest.mark.parametrize("moment", [first_process, pytest.param(first_functions, marks=HEAVY)])
def test_a_killed_run_ends_its_processes(start, moment):
    """No process remains even after SIGKILL."""
    run = start("run", "--port", "0", "--api-port", "0")
    moment(run)
    processes = descendants(run)
    run.kill()
    run.wait()
    assert have_ended(processes)


def test_help_names_the_ports_and_the_exit_codes(capsys):
    """`--help` lists them."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", "--help"])
    assert caught.value.code == cli.OK
    help_text = capsys.readouterr().out
    for words in ("4570", "8070", "exit codes", "--json"):
        assert words in help_text


def test_invoke_without_a_running_copy_is_an_error():
    """The message is a sentence, and there is no traceback."""
    process = subprocess.run(
        [sys.executable, "-m", "local", "invoke", "F", "x.json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == cli.CANNOT_START
    assert process.stderr
    assert "Traceback" not in process.stderr


def printed(display: Display, key: str) -> str:
    """Return the output for an upload that enters a state."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        display.entered(EnteredState(key, "ClaimUpload", 0.1))
    return out.getvalue()


@given(st.text())
@example("\x1b[31m\u202e:smile:[red]x\r\n[/]\x9b.jpg")
@example("\ud800\u2028\\[link=http://evil.example]y")
def test_a_name_cannot_reach_the_terminal_or_the_markup(name):
    """Escape codes, direction marks, emoji codes and tags of rich are printed literally."""
    assert printed(TextDisplay(), f"uploads/{name}") == f"  0.10 s  {keys.printable(f'uploads/{name}')} → ClaimUpload\n"


@given(st.text())
@example("\x9b31m\u202e\u2028\ud800")
def test_a_name_in_a_json_line_is_ascii_and_decodes_unchanged(name):
    """A program reads the exact name, and a terminal shows no control characters."""
    line = printed(JsonLines(), name)
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line)["key"] == name


def test_a_recipe_without_effect_is_reported_at_the_start(tmp_path, monkeypatch, capsys):
    """The warning does not prevent the start."""
    book = dataclasses.replace(recipes.load(), warnings=("No folder uses the recipe 'hero'.",))
    monkeypatch.setattr(recipes, "load", lambda: book)

    def start(*_: Any, **__: Any) -> None:
        raise StartError("It was about to start.")

    monkeypatch.setattr(cli, "Pipeline", start)
    assert cli.main(["run", "--run-dir", str(tmp_path)]) == cli.CANNOT_START
    assert capsys.readouterr().err == "No folder uses the recipe 'hero'.\nIt was about to start.\n"


def test_an_invalid_recipe_file_is_reported_before_the_start(tmp_path, monkeypatch, capsys):
    """The command stops, because every image would fail."""

    def load() -> None:
        raise SettingsError("Recipe file x, line 3: width is 0.", "It must be 1 or more.")

    monkeypatch.setattr(recipes, "load", load)
    assert cli.main(["run", "--run-dir", str(tmp_path)]) == cli.CANNOT_START
    assert "line 3: width is 0" in capsys.readouterr().err
