"""The command: say what it will do, ask, perform all checks, and remove everything again, whatever happens."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from image_pipeline.keys import UPLOADS_PREFIX
from image_pipeline_cli import checks, terminal
from image_pipeline_cli.checks import Check, Result
from image_pipeline_cli.doctor import health
from image_pipeline_cli.exits import INCOMPLETE, OK, TIMED_OUT, USAGE
from image_pipeline_cli.stack import Stack
from image_pipeline_cli.verify import api, changes, estimate, images, leftovers, preparation, reports
from image_pipeline_cli.verify.samples import FIRST
from image_pipeline_cli.verify.session import Session
from image_pipeline_cli.verify.temporary import PREFIX

_OUTCOME_SECONDS = 60.0

PRECONDITIONS: tuple[Check[Stack], ...] = (health.EVENT_BRIDGE, health.RULES)
"""Without these, no upload would ever have an outcome."""
_PROCESSED = ("COMPLETED", "PARTIAL")
CHECKS: tuple[Check[Session], ...] = (*images.CHECKS, *api.CHECKS, *changes.CHECKS, *reports.CHECKS)


def verify(stack: Stack, options: argparse.Namespace) -> int:
    """Check that a stack works, with images of its own.

    Returns:
        The exit code.
    """
    if options.yes:
        terminal.remark(_announcement(stack))
    elif not sys.stdin.isatty():
        terminal.complain("Nothing was done: confirmation needs a terminal. Use --yes to verify without confirmation.")
        return USAGE
    elif not terminal.ask(_announcement(stack)):
        terminal.complain("Nothing was done.")
        return INCOMPLETE
    # After the answer, which may take hours: by its name, another run knows how old this one is.
    session = Session(stack, leftovers.new_name(), min(_OUTCOME_SECONDS, options.timeout))
    report = _Report(session, options.json)
    if all(not report.add(checks.perform(check, stack)).failed for check in PRECONDITIONS):
        with _interrupted_by_sigterm():
            report.add(checks.perform(leftovers.LEFTOVERS, stack))
            try:
                preparation.prepare(session, report.add)
                perform(session, min(options.timeout, leftovers.LONGEST_SECONDS / 2), report)
            finally:
                report.add(checks.perform(preparation.CLEAN_UP, session))
    report.finish()
    return report.code


def perform(session: Session, first_seconds: float, report: "_Report") -> None:
    """Upload everything and perform the checks.

    Args:
        session: A prepared run.
        first_seconds: The longest wait for the outcome of the first upload.
        report: Receives the results.
    """
    report.add(checks.perform(images.first_check(first_seconds, report.say), session))
    if session.status_of(FIRST.file_name) not in _PROCESSED:
        report.say("The other checks were skipped, because the first upload was not processed.")
        return
    for check in CHECKS:
        report.add(checks.perform(check, session))


class _Report:
    """Prints each result when it is known."""

    def __init__(self, session: Session, as_json: bool) -> None:
        self._session = session
        self._as_json = as_json
        self._results: list[Result] = []
        self._started = time.monotonic()

    @property
    def code(self) -> int:
        """The exit code for the results."""
        status = self._session.status_of(FIRST.file_name)
        # A check that lacks a permission proves nothing. Other gaps are intended, such as checks that need a token.
        is_proven = not any(result.failed or result.permission for result in self._results)
        if status in _PROCESSED and is_proven:
            return OK
        return TIMED_OUT if self._session.sent and not status else INCOMPLETE

    def add(self, result: Result) -> Result:
        """Print a result."""
        self._results.append(result)
        if not self._as_json:
            checks.show(result)
        return result

    def say(self, sentence: str) -> None:
        """Print a sentence for people."""
        if not self._as_json:
            terminal.say((sentence, "dim"))

    def finish(self) -> None:
        """Print the times and the number of results, or the JSON document."""
        times = self._session.times
        seconds = time.monotonic() - self._started
        if self._as_json:
            document = {
                "checks": [result.to_json() for result in self._results],
                "times": times.to_json(),
                "seconds": round(seconds, 1),
                "dollars": round(estimate.dollars(), 4),
            }
            terminal.write_json(document)
            return
        if times.first:
            terminal.say(times.sentence())
        terminal.say(f"{checks.summary(self._results)} The run took {seconds:.0f} seconds.")


def _announcement(stack: Stack) -> str:
    return (
        f"This uploads {estimate.UPLOADS} files to a folder {UPLOADS_PREFIX}{PREFIX}… of {stack.name} and creates two "
        "API keys, a queue, an event rule and a subscription of the same name. All of them are removed at the end. "
        "Subscribers of the stack get the notifications and events about these uploads. On AWS, it costs up to "
        f"{estimate.dollars() * 100:.1f} cents and takes about {estimate.seconds():.0f} seconds, or some minutes more "
        "after a first deployment."
    )


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Handle SIGTERM as Ctrl-C, so that everything is removed when a CI job is cancelled."""
    try:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # only the main thread can set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
