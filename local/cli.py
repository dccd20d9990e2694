"""The command line: `run` and `demo` the pipeline, `invoke` one function in its container, `teardown` a stack."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from image_pipeline.api import apikeys
from image_pipeline.errors import SettingsError
from image_pipeline.imaging import recipes
from local.interruption import INTERRUPTED, is_heeded, raise_on_ctrl_c
from local.lock import AlreadyRunningError, Lock
from local.pipeline import ROOT, Pipeline, StartError
from local.samples import Sample, own, samples
from local.show import Display, JsonLines, Words
from local.watch import Outcome, Watch

RUN_DIR = ROOT / ".run"
AWS_PORT = 4570
API_PORT = 8070
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.05
_STOP = threading.Event()

OK, FAILED, USAGE, CANNOT_START = 0, 1, 2, 3
_EXIT_CODES = """
exit codes: 0 all is well · 1 a picture, a function or a deletion did not come out as it should ·
2 wrong arguments · 3 it cannot start (port in use, second copy, tool missing) · 130 interrupted
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    _STOP.clear()
    try:
        _handle_interruptions()
        code: int = options.command(options)
    except KeyboardInterrupt:
        print("Interrupted; nothing is left running.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read this has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code


def _handle_interruptions() -> None:
    with contextlib.suppress(ValueError):  # only the main thread may
        raise_on_ctrl_c()
        for each in (signal.SIGINT, signal.SIGTERM):
            if is_heeded(each):
                signal.signal(each, _interrupt)


def _interrupt(*_: object) -> None:
    """Let the command clean up the first time; the second time, leave the rest to the server, which follows."""
    if _STOP.is_set():
        os._exit(INTERRUPTED)
    _STOP.set()  # Python drops an exception that meets it inside a callback of its own
    raise KeyboardInterrupt


def _nap(seconds: float) -> None:
    if _STOP.wait(seconds):
        raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__, epilog=_EXIT_CODES)
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, command, help_text in (
        ("run", _run, "process pictures on this machine and stay up for more"),
        ("demo", _demo, "process pictures on this machine; succeed only when each came out as it should"),
    ):
        sub = commands.add_parser(name, help=help_text, description=help_text, epilog=_EXIT_CODES)
        sub.add_argument("images", nargs="*", metavar="IMAGE", help="your own pictures instead of the samples")
        sub.add_argument("--json", action="store_true", help="one JSON object per line, for programs")
        sub.add_argument("--port", type=int, default=AWS_PORT, help="of the AWS endpoint (default %(default)s; 0: any)")
        sub.add_argument("--api-port", type=int, default=API_PORT, help="of the HTTP API (default %(default)s; 0: any)")
        sub.add_argument(
            "--parameter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a template parameter that shall not have its default; may be repeated",
        )
        sub.add_argument("--run-dir", type=Path, default=RUN_DIR, help="for logs and renditions (default %(default)s)")
        sub.set_defaults(command=command)
    sub = commands.add_parser("invoke", help="run one function with `sam local invoke` against a running local copy")
    sub.add_argument("function", help="the function's logical id, such as ValidateImageFunction")
    sub.add_argument("event", type=Path, help="a JSON file, such as events/object_created.json")
    sub.add_argument("sam_options", nargs=argparse.REMAINDER, help="passed on to `sam local invoke`")
    sub.set_defaults(command=_invoke)
    sub = commands.add_parser("teardown", help="delete a throw-away stack on AWS with all its pictures and records")
    sub.add_argument("stack", help="the name of the stack")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    sub.add_argument("--region", help="the stack's region, if not the configured one")
    sub.set_defaults(command=_teardown)
    return parser


def _run(options: argparse.Namespace) -> int:
    with _running(options) as (pipeline, display, uploads):
        if pipeline is None:
            return int(uploads)
        watch = Watch(pipeline)
        display.outcomes(_process(pipeline, watch, display, uploads))
        key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="make run")
        display.invite(pipeline, key.text)
        try:
            while pipeline.alive:
                for sight in watch.look():
                    if isinstance(sight, Outcome):
                        display.ended(sight)
                        display.outcomes([sight])
                    else:
                        display.entered(sight)
                _nap(LOOK_SECONDS * 4)
        except KeyboardInterrupt:
            display.say("Stopped; nothing is left running.")
            return OK
    print(f"The server has ended by itself; {options.run_dir / 'logs' / 'server.log'} says why.", file=sys.stderr)
    return FAILED


def _demo(options: argparse.Namespace) -> int:
    with _running(options) as (pipeline, display, uploads):
        if pipeline is None:
            return int(uploads)
        outcomes = _process(pipeline, Watch(pipeline), display, uploads)
        display.outcomes(outcomes)
        faults = _faults(uploads, outcomes)
        display.verdict(len(uploads), faults)
        return FAILED if faults else OK


@contextlib.contextmanager
def _running(options: argparse.Namespace) -> Iterator[tuple[Any, Any, Any]]:
    """Start a pipeline; gives None and the exit code where that fails."""
    display: Display = JsonLines() if options.json else Words()
    try:
        uploads = own(options.images) if options.images else samples()
        parameters = dict(_pair(text) for text in options.parameter)
    except (OSError, ValueError) as error:
        print(f"Cannot take that: {error}.", file=sys.stderr)
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
                Pipeline(options.run_dir, aws_port=options.port, api_port=options.api_port, parameters=parameters)
            )
        except (AlreadyRunningError, SettingsError, StartError, OSError) as error:
            print(error, file=sys.stderr)
            yield None, display, CANNOT_START
            return
        lock.note(
            {
                "awsUrl": pipeline.aws_url,
                "apiUrl": pipeline.api_url,
                "region": pipeline.region,
                "outputs": pipeline.outputs,
                "environments": pipeline.environments,
            }
        )
        display.ready(pipeline)
        yield pipeline, display, uploads


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--parameter needs NAME=VALUE, not {text}")
    return name, value


def _process(pipeline: Pipeline, watch: Watch, display: Display, uploads: list[Sample]) -> list[Outcome]:
    """Upload, follow, and give what came of it, in the order of the uploads."""
    display.expect(len(uploads))
    versions = {pipeline.upload(sample.key, sample.data): sample for sample in uploads}
    outcomes: dict[str, Outcome] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(outcomes) < len(uploads) and pipeline.alive and time.monotonic() < deadline:
        for sight in watch.look():
            if not isinstance(sight, Outcome):
                display.entered(sight)
            elif sight.version_id in versions:
                outcomes[sight.key] = sight
                deadline = time.monotonic() + PATIENCE_SECONDS
                display.ended(sight)
        _nap(LOOK_SECONDS)
    return [outcomes[sample.key] for sample in uploads if sample.key in outcomes]


def _faults(uploads: list[Sample], outcomes: list[Outcome]) -> list[str]:
    """Say, in sentences, what did not come out as expected."""
    found = []
    by_key = {outcome.key: outcome for outcome in outcomes}
    for sample in uploads:
        outcome = by_key.get(sample.key)
        if outcome is None:
            found.append(f"{sample.key} has no outcome, and nothing happened for {PATIENCE_SECONDS:.0f} s.")
            continue
        code = outcome.record.get("error", {}).get("code") if outcome.status == "FAILED" else None
        checks: list[tuple[bool, str]] = [
            (outcome.status_code == 200, f"its status URL answers {outcome.status_code}"),
            (outcome.status in sample.expected, f"it is {outcome.status}, not {' or '.join(sample.expected)}"),
            (sample.error in (None, code), f"its error is {code}, not {sample.error}"),
            (outcome.status == "FAILED" or bool(outcome.files), "it has no renditions"),
            (len(outcome.notifications) == 1, f"it was notified {len(outcome.notifications)} times, not once"),
        ]
        found += [f"{sample.key}: {complaint}." for holds, complaint in checks if not holds]
    return found


def _invoke(options: argparse.Namespace) -> int:
    from local.sam import CannotInvokeError, invoke

    try:
        return invoke(options.function, options.event, options.sam_options, RUN_DIR)
    except CannotInvokeError as error:
        print(error, file=sys.stderr)
        return CANNOT_START


def _teardown(options: argparse.Namespace) -> int:
    from local.teardown import TeardownError, teardown

    ask: Callable[[str], bool] = (lambda _: True) if options.yes else _ask
    try:
        return OK if teardown(options.stack, options.region, ask, print) else FAILED
    except TeardownError as error:
        print(error, file=sys.stderr)
        return FAILED


def _ask(question: str) -> bool:
    try:
        return input(f"{question} Type yes to go on: ").strip().lower() == "yes"
    except EOFError:
        return False
