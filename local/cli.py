"""Run the pipeline on this machine (`run`, `demo`), or invoke one function in its container (`invoke`)."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from image_pipeline.api import apikeys
from image_pipeline.errors import SettingsError
from image_pipeline.imaging import recipes
from image_pipeline_cli.interruption import INTERRUPTED, is_handled, raise_on_ctrl_c
from local.lock import AlreadyRunningError, Lock
from local.pipeline import ROOT, Pipeline, StartError
from local.samples import Sample, from_files, samples
from local.show import Display, JsonLines, TextDisplay
from local.watch import FinishedUpload, Watch

RUN_DIR = ROOT / ".run"
AWS_PORT = 4570
API_PORT = 8070
TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.05
_STOP = threading.Event()

OK, FAILED, USAGE, CANNOT_START = 0, 1, 2, 3
_EXIT_CODES = """
exit codes: 0 success · 1 an image or a function did not have the expected outcome ·
2 invalid arguments · 3 cannot start (port in use, another copy is running, tool missing) · 130 interrupted
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    _STOP.clear()
    try:
        _handle_interruptions()
        code: int = options.command(options)
    except KeyboardInterrupt:
        print("Interrupted; all processes were stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _handle_interruptions() -> None:
    with contextlib.suppress(ValueError):  # only the main thread can set handlers
        raise_on_ctrl_c()
        for number in (signal.SIGINT, signal.SIGTERM):
            if is_handled(number):
                signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    """Let the command clean up at the first signal; exit at the second, and the server process ends by itself."""
    if _STOP.is_set():
        os._exit(INTERRUPTED)
    _STOP.set()  # Python ignores an exception that is raised in one of its own callbacks
    raise KeyboardInterrupt


def _sleep(seconds: float) -> None:
    if _STOP.wait(seconds):
        raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, command, help_text in (
        ("run", _run, "process sample images on this machine and keep running for further uploads"),
        ("demo", _demo, "process sample images on this machine; succeed only if each has the expected outcome"),
    ):
        sub = commands.add_parser(name, help=help_text, description=help_text, epilog=_EXIT_CODES)
        sub.add_argument("images", nargs="*", metavar="IMAGE", help="image files to process instead of the samples")
        sub.add_argument("--json", action="store_true", help="print one JSON object per line")
        sub.add_argument(
            "--port", type=int, default=AWS_PORT, help="port of the AWS endpoint (default %(default)s; 0: any)"
        )
        sub.add_argument(
            "--api-port", type=int, default=API_PORT, help="port of the HTTP API (default %(default)s; 0: any)"
        )
        sub.add_argument(
            "--parameter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="value of a template parameter; may be repeated",
        )
        sub.add_argument(
            "--run-dir", type=Path, default=RUN_DIR, help="folder for logs and renditions (default %(default)s)"
        )
        sub.set_defaults(command=command)
    sub = commands.add_parser("invoke", help="run one function with `sam local invoke` against the local run")
    sub.add_argument("function", help="logical id of the function, such as ValidateImageFunction")
    sub.add_argument("event", type=Path, help="a JSON file, such as events/object_created.json")
    sub.add_argument("sam_options", nargs=argparse.REMAINDER, help="further options of `sam local invoke`")
    sub.set_defaults(command=_invoke)
    return parser


def _run(options: argparse.Namespace) -> int:
    with _started(options, warm=True) as (pipeline, display, uploads):
        if pipeline is None:
            return int(uploads)
        watch = Watch(pipeline)
        display.outcomes(_process(pipeline, watch, display, uploads))
        key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="make run")
        pipeline.warm_up(key.text)
        display.invite(pipeline, key.text)
        try:
            while pipeline.alive:
                for progress in watch.poll():
                    if isinstance(progress, FinishedUpload):
                        display.ended(progress)
                        display.outcomes([progress])
                    else:
                        display.entered(progress)
                _sleep(POLL_SECONDS * 4)
        except KeyboardInterrupt:
            display.say("Stopped.")
            return OK
    print(f"The server ended unexpectedly; see {options.run_dir / 'logs' / 'server.log'}.", file=sys.stderr)
    return FAILED


def _demo(options: argparse.Namespace) -> int:
    with _started(options, warm=False) as (pipeline, display, uploads):
        if pipeline is None:
            return int(uploads)
        outcomes = _process(pipeline, Watch(pipeline), display, uploads)
        display.outcomes(outcomes)
        failures = _failures(uploads, outcomes)
        display.verdict(len(uploads), failures)
        return FAILED if failures else OK


@contextlib.contextmanager
def _started(options: argparse.Namespace, *, warm: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Start a pipeline, whose functions all have a process at once if it is `warm`.

    It yields None and the exit code if that fails.
    """
    display: Display = JsonLines() if options.json else TextDisplay()
    try:
        uploads = from_files(options.images) if options.images else samples()
        parameters = dict(_pair(text) for text in options.parameter)
    except (OSError, ValueError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"Invalid argument: {reason}.", file=sys.stderr)
        yield None, display, USAGE
        return
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(Lock(options.run_dir))
            for leftover in ("logs", "thumbnails"):
                shutil.rmtree(options.run_dir / leftover, ignore_errors=True)
            for warning in recipes.load().warnings:
                print(warning, file=sys.stderr)
            display.say("Starting the pipeline on this machine …")
            pipeline = stack.enter_context(
                Pipeline(
                    options.run_dir,
                    aws_port=options.port,
                    api_port=options.api_port,
                    parameters=parameters,
                    warm=warm,
                )
            )
        except (AlreadyRunningError, SettingsError, StartError, OSError) as error:
            print(error, file=sys.stderr)
            yield None, display, CANNOT_START
            return
        lock.note(pipeline.facts)
        display.ready(pipeline)
        yield pipeline, display, uploads


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--parameter must be NAME=VALUE, not {text}")
    return name, value


def _process(pipeline: Pipeline, watch: Watch, display: Display, uploads: list[Sample]) -> list[FinishedUpload]:
    """Upload files and return their outcomes, in the order of the uploads."""
    display.expect(len(uploads))
    versions = {pipeline.upload(sample.key, sample.data): sample for sample in uploads}
    outcomes: dict[str, FinishedUpload] = {}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(outcomes) < len(uploads) and pipeline.alive and time.monotonic() < deadline:
        for progress in watch.poll():
            if not isinstance(progress, FinishedUpload):
                display.entered(progress)
            elif progress.version_id in versions:
                outcomes[progress.key] = progress
                deadline = time.monotonic() + TIMEOUT_SECONDS
                display.ended(progress)
        _sleep(POLL_SECONDS)
    return [outcomes[sample.key] for sample in uploads if sample.key in outcomes]


def _failures(uploads: list[Sample], outcomes: list[FinishedUpload]) -> list[str]:
    """Describe each outcome that differs from the expected one."""
    failures = []
    by_key = {outcome.key: outcome for outcome in outcomes}
    for sample in uploads:
        outcome = by_key.get(sample.key)
        if outcome is None:
            failures.append(f"{sample.key} has no outcome after {TIMEOUT_SECONDS:.0f} s without progress.")
            continue
        code = outcome.record.get("error", {}).get("code") if outcome.status == "FAILED" else None
        checks: list[tuple[bool, str]] = [
            (outcome.status_code == 200, f"its status URL returns {outcome.status_code}"),
            (outcome.status in sample.expected, f"its status is {outcome.status}, not {' or '.join(sample.expected)}"),
            (sample.error in (None, code), f"its error is {code}, not {sample.error}"),
            (outcome.status == "FAILED" or bool(outcome.files), "it has no renditions"),
            (len(outcome.notifications) == 1, f"it has {len(outcome.notifications)} notifications, not 1"),
        ]
        failures += [f"{sample.key}: {failure}." for passed, failure in checks if not passed]
    return failures


def _invoke(options: argparse.Namespace) -> int:
    from local.sam import CannotInvokeError, invoke

    try:
        return invoke(options.function, options.event, options.sam_options, RUN_DIR)
    except CannotInvokeError as error:
        print(error, file=sys.stderr)
        return CANNOT_START
