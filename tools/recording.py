"""Record `make demo` as an animated SVG for the README: `make recording`.

The demo runs for real. Each line of its output appears after the time that it took in the terminal; long pauses are
cut to `LONGEST_PAUSE`. A viewer without CSS animations shows all lines at once.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "docs" / "recording.svg"
SAMPLE = "local/samples/coffee.jpg"
COMMAND = f"make demo IMAGES={SAMPLE}"
COLUMNS = 104
LONGEST_PAUSE = 1.5
"""Seconds; setting up Lambda workers takes longer, and nobody wants to watch that."""

_ID = "demo"
# rich's own template loads a font from another host; a README shows no foreign content.
_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>make demo: one image from upload to notification</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-matrix text {{ animation: appear 0.1s backwards }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif }}
@keyframes appear {{ from {{ opacity: 0 }} }}
@media (prefers-reduced-motion: reduce) {{ .{unique_id}-matrix text {{ animation: none }} }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Line(NamedTuple):
    """One line of the terminal."""

    seconds: float  # since the command started
    ansi: str


def record(command: list[str]) -> Iterator[Line]:
    """Run a command and yield each line of its output with the time at which it came.

    Raises:
        subprocess.CalledProcessError: the command failed; a failed demo is not worth showing.
    """
    started = time.monotonic()
    environment = {**os.environ, "FORCE_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  ours
        for text in process.stdout or ():
            yield Line(time.monotonic() - started, text.rstrip("\n"))
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def shorten(lines: list[Line]) -> list[Line]:
    """Keep the order and the short pauses, and cut each longer pause to `LONGEST_PAUSE`."""
    clock = 0.0
    previous = 0.0
    shortened = []
    for line in lines:
        clock += min(line.seconds - previous, LONGEST_PAUSE)
        previous = line.seconds
        shortened.append(Line(clock, line.ansi))
    return shortened


def draw(lines: list[Line]) -> str:
    """Return the SVG: a terminal in which each line appears at its time."""
    console = Console(record=True, width=COLUMNS, height=len(lines), file=io.StringIO(), force_terminal=True)
    for line in lines:
        text = Text.from_ansi(line.ansi)
        text.truncate(COLUMNS, overflow="ellipsis")
        console.print(text, highlight=False)
    svg = console.export_svg(title="image-pipeline", code_format=_SVG, unique_id=_ID)
    return re.sub(
        rf'clip-path="url\(#{_ID}-line-(\d+)\)"',
        lambda match: f'{match[0]} style="animation-delay: {lines[int(match[1])].seconds:.2f}s"',
        svg,
    )


def main() -> int:
    """Write the recording."""
    demo = [sys.executable, "-m", "local", "demo", "--port", "0", "--api-port", "0", SAMPLE]
    prompt = Line(0.0, f"\x1b[1m$ {COMMAND}\x1b[0m")
    RECORDING.write_text(draw([prompt, *shorten(list(record(demo)))]), encoding="utf-8")
    print(f"Wrote {RECORDING.relative_to(ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
