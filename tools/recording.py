"""Draw what `make demo` prints as a picture for the README: `python -m tools.recording`.

The command runs on a terminal of its own, so that its colours are in the picture, too.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from local.pipeline import ROOT

RESULT = ROOT / "docs" / "demo.svg"
_WIDTH = 118
_MOST_LINES = 34
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""rich refers to fonts on a public server; the reader's own monospaced font does as well."""


def recorded(command: list[str]) -> str:
    """What a command writes to a terminal.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(_WIDTH), "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment)  # noqa: S603
    os.close(theirs)
    out = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not data:
            break
        out += data
    os.close(ours)
    if code := process.wait():
        raise subprocess.CalledProcessError(code, command, out)
    return out.decode("utf-8", "replace").replace("\r\n", "\n")


def drawn(text: str) -> str:
    """The first lines of a terminal's text as SVG."""
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(text.splitlines()[:_MOST_LINES])))
    return _FONTS.sub("", console.export_svg(title="make demo", theme=MONOKAI))


def main() -> None:
    """Record and draw."""
    RESULT.write_text(drawn(recorded([sys.executable, "-m", "local", "demo"])))
    print(f"drawn: {RESULT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
