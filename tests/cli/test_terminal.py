"""image_pipeline_cli.terminal: output to a terminal and to a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

from image_pipeline_cli import terminal
from image_pipeline_cli.exits import INCOMPLETE, OK
from tests.cli.conftest import ENVIRONMENT, PICTURE
from tests.conftest import ROOT


def test_control_characters_never_reach_the_terminal(capsys):
    """Names of uploads may contain them."""
    terminal.say("a\x1b[2J", ("b\nc", "red"))
    terminal.complain("d\u202e")
    assert capsys.readouterr() == ("a?[2Jb?c\n", "d?\n")


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command with a terminal as its output."""
    controller, terminal_fd = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "image_pipeline_cli", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=terminal_fd,
        stderr=terminal_fd,
        env={**ENVIRONMENT, "TERM": "xterm-256color"},
    )
    os.close(terminal_fd)
    output = bytearray()
    try:
        while data := os.read(controller, 65_536):
            output += data
    except OSError:  # Linux raises it when the other side is closed
        pass
    finally:
        os.close(controller)
    return process.wait(), output.decode()


def test_a_terminal_has_colours_and_a_bar(running: Any, folder: Path) -> None:
    """The bar does not hide lines and disappears at the end."""
    (folder / "x.jpg").write_bytes(PICTURE)
    code, output = on_a_terminal("upload", str(folder), "--wait", *running)
    assert code == OK
    assert "Uploading" in output
    assert "Processing" in output
    assert "\x1b[32mCOMPLETED" in output
    assert f"\x1b[2K\x1b[2muploaded  \x1b[0muploads/{folder.name}/x.jpg\r\n" in output
    assert output.endswith("1 COMPLETED.\r\n")


def test_a_closed_pipe_prints_no_error(unprocessed: None, running: Any, folder: Path) -> None:
    """`… | head -1` prints no traceback."""
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
    assert process.wait() == INCOMPLETE
