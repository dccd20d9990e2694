"""Ctrl-C ends the command line, whatever it is doing."""

import pytest

from tests.interruptions import interrupted


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("import", "'image_pipeline_cli.commands'"),
        ("import", "'boto3'"),
        ("import", "'rich.progress'"),
        ("exec", "cli/upload.py"),
        ("open", "running.json"),
    ],
)
def test_ctrl_c_ends_a_command_at_any_moment(tmp_path, event, text, times):
    """130 and no traceback, from the first import on."""
    done = interrupted("image_pipeline_cli", event, text, times, "list", "--local", "--run-dir", str(tmp_path))
    assert (done.returncode, "Traceback" in done.stderr) == (130, False), done.stderr
