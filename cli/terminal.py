"""What people see: colours and a progress bar on a terminal, plain text in a pipe. No name can forge anything there."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from image_pipeline import keys

_SHOWN: list[Console] = []  # the console that shows a bar: lines go above it, not into it
_STYLES = {"COMPLETED": "green", "PARTIAL": "yellow", "FAILED": "red"}


def say(*parts: str | tuple[str, str]) -> None:
    """Print texts and (text, style) pairs as one line to the standard output."""
    _print(Console(), parts, over_bar=sys.stdout.isatty())


def complain(sentence: str) -> None:
    """Print what is wrong to the standard error; an error's hint, which is its second line, goes on in the first."""
    _print(Console(stderr=True), [(sentence.replace("\n", " "), "red")], over_bar=True)


def styled(status: str, width: int = 0) -> tuple[str, str]:
    """Give a record's status its colour, filled with spaces up to a width."""
    return f"{status:<{width}}", _STYLES.get(status, "dim")


def write_json(document: Any) -> None:
    """Print one line of JSON, at once."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def ask(question: str) -> bool:
    """Ask whoever sits at the terminal; only `yes` is yes."""
    print(f"{question} Type yes to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


class Bar:
    """A progress bar on the standard error; on anything but a terminal it is not there."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: int) -> None:
        """Show that so much more is done; any thread may."""
        self._progress.advance(self._task, amount)


@contextmanager
def bar(words: str, total: int, *, in_bytes: bool = False, hidden: bool = False) -> Iterator[Bar]:
    """Show a bar for as long as the `with` block lasts.

    Args:
        words: What is being done.
        total: How much there is to do.
        in_bytes: Whether that is bytes; otherwise it is things.
        hidden: Show nothing all the same.
    """
    console = Console(stderr=True)
    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        if not progress.disable:
            _SHOWN.append(console)
        try:
            yield Bar(progress, progress.add_task(words, total=total))
        finally:
            _SHOWN.clear()


def _print(console: Console, parts: Any, over_bar: bool) -> None:
    shown = [keys.printable(part) if isinstance(part, str) else (keys.printable(part[0]), part[1]) for part in parts]
    target = _SHOWN[0] if _SHOWN and over_bar else console
    target.print(Text.assemble(*shown), soft_wrap=True, highlight=False)
