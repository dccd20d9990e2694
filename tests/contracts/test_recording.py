"""The recording in the README shows a real run and loads nothing from other hosts."""

import re
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tools import recording
from tools.recording import Line

LINES = [Line(0.0, "$ make demo"), Line(0.5, "\x1b[32mCOMPLETED\x1b[0m <a & b>"), Line(9.0, "x" * 500)]


def texts(svg):
    """The lines of the terminal that an SVG shows."""
    rows = {}
    for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        if match := re.search(r"line-(\d+)", element.get("clip-path", "")):
            rows.setdefault(int(match[1]), []).append((element.text or "").replace("\xa0", " "))
    return ["".join(parts).rstrip("\n") for _, parts in sorted(rows.items())]


def test_every_line_is_shown_within_the_width_of_the_terminal():
    """Markup in the output is shown as text, and long lines are cut."""
    first, second, third = texts(recording.draw(LINES))
    assert (first, second) == ("$ make demo", "COMPLETED <a & b>")
    assert len(third) == recording.COLUMNS


def test_lines_appear_in_their_order():
    """Each line appears after the previous one, and long pauses are shortened."""
    shortened = recording.shorten(LINES)
    pauses = [after.seconds - before.seconds for before, after in pairwise(shortened)]
    assert pauses == [0.5, recording.LONGEST_PAUSE]
    delays = [float(delay) for delay in re.findall(r"animation-delay: ([\d.]+)s", recording.draw(shortened))]
    assert delays == sorted(delays)
    assert delays[-1] > 0


def test_lines_and_times_come_from_the_command():
    """Each line has the time at which the command wrote it; a command that fails is not recorded."""
    (line,) = recording.record([sys.executable, "-c", "print('done')"])
    assert line.ansi == "done"
    assert line.seconds > 0
    with pytest.raises(recording.subprocess.CalledProcessError):
        list(recording.record([sys.executable, "-c", "raise SystemExit(3)"]))


def test_the_recording_in_the_readme_shows_a_whole_run():
    """The recording starts with the command and ends with its success."""
    svg = recording.RECORDING.read_text(encoding="utf-8")
    rows = texts(svg)
    assert rows[0] == f"$ {recording.COMMAND}"
    assert any("COMPLETED" in row for row in rows)
    assert set(re.findall(r"https?://[^\s\"<]+", re.sub(r"<text.*?</text>", "", svg))) == {"http://www.w3.org/2000/svg"}
    readme = (recording.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"({recording.RECORDING.relative_to(recording.ROOT)})" in readme
