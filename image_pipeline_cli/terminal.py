"""Print to the terminal: colours and progress bars on a terminal, plain text in a pipe, control characters never."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
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
from rich.table import Table
from rich.text import Text

from image_pipeline import keys

_BAR_CONSOLES: list[Console] = []  # the console that shows a progress bar: lines are printed above the bar
_ANY_WIDTH = 10_000  # the terminal wraps long lines; a table that cuts off its texts would lose them
_STYLES = {
    "COMPLETED": "green",
    "PARTIAL": "yellow",
    "FAILED": "red",
    "OK": "green",
    "NOT CHECKED": "yellow",
}


def say(*parts: str | tuple[str, str]) -> None:
    """Print texts and (text, style) pairs as one line to standard output."""
    _print(Console(), parts, over_bar=sys.stdout.isatty())


def complain(sentence: str) -> None:
    """Print an error message to standard error; its hint, the second line, is joined to the first."""
    _print(Console(stderr=True), [(sentence.replace("\n", " "), "red")], over_bar=True)


def remark(sentence: str) -> None:
    """Print a sentence for people to standard error, so that the results on standard output stay alone."""
    _print(Console(stderr=True), [(sentence, "dim")], over_bar=True)


def styled(status: str, width: int = 0) -> tuple[str, str]:
    """Return a status with its colour, padded with spaces to a width."""
    return f"{status:<{width}}", _STYLES.get(status, "dim")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in aligned columns; numbers, which are all but the first two columns, at the right."""
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for position, column in enumerate(columns):
        grid.add_column(column, justify="left" if position < 2 else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(keys.printable(text)) for text in row))
    Console(width=_ANY_WIDTH).print(grid)


def write_json(document: Any) -> None:
    """Print a document as one line of JSON and flush it."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def ask(question: str) -> bool:
    """Ask for confirmation at the terminal; only `yes` confirms."""
    print(f"{question} Type yes to continue: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


class Bar:
    """A progress bar on standard error; it is shown only on a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, amount: int) -> None:
        """Advance the bar; may be called by any thread."""
        self._progress.advance(self._task, amount)


@contextmanager
def bar(label: str, total: int, *, in_bytes: bool = False, hidden: bool = False) -> Iterator[Bar]:
    """Show a progress bar while the `with` block runs.

    Args:
        label: The work in progress, such as `Uploading`.
        total: The amount of work.
        in_bytes: Whether the amount is bytes; otherwise it is a number of items.
        hidden: Whether to show nothing, also on a terminal.
    """
    console = Console(stderr=True)
    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as progress:
        if not progress.disable:
            _BAR_CONSOLES.append(console)
        try:
            yield Bar(progress, progress.add_task(label, total=total))
        finally:
            _BAR_CONSOLES.clear()


def _print(console: Console, parts: Any, over_bar: bool) -> None:
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    target = _BAR_CONSOLES[0] if _BAR_CONSOLES and over_bar else console
    line = Text.assemble(*((keys.printable(text), style) for text, style in pairs))
    target.print(line, soft_wrap=True, highlight=False)
