"""What a terminal sees, and what a pipe gets."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from image_pipeline_cli import terminal
from image_pipeline_cli.exits import LEFT, OK
from tests.cli.conftest import ENVIRONMENT, PICTURE
from tests.conftest import ROOT


def test_a_name_cannot_write_to_the_terminal(capsys):
    """Whatever is said goes through here."""
    terminal.say("a\x1b[2J", ("b\nc", "red"))
    terminal.complain("d\u202e")
    assert capsys.readouterr() == ("a?[2Jb?c\n", "d?\n")


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command with a terminal as its output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "image_pipeline_cli", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**ENVIRONMENT, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    seen = bytearray()
    try:
        while data := os.read(ours, 65_536):
            seen += data
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(ours)
    return process.wait(), seen.decode()


def test_a_terminal_has_colours_and_a_bar(running: Any, folder: Path) -> None:
    """The bar does not swallow the lines, and is gone at the end."""
    (folder / "x.jpg").write_bytes(PICTURE)
    code, seen = on_a_terminal("upload", str(folder), "--wait", *running)
    assert code == OK
    assert "Uploading" in seen
    assert "Processing" in seen
    assert "\x1b[32mCOMPLETED" in seen
    assert f"\x1b[2K\x1b[2muploaded  \x1b[0muploads/{folder.name}/x.jpg\r\n" in seen
    assert seen.endswith("1 COMPLETED.\r\n")


def test_a_reader_that_goes_away_is_no_error_to_shout_about(running: Any, folder: Path) -> None:
    """`… | head -1` prints no stack trace."""
    for index in range(3):
        (folder / f"{index}.jpg").write_bytes(PICTURE)
    process = subprocess.Popen(
        [sys.executable, "-m", "image_pipeline_cli", "upload", str(folder), *running],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == LEFT
