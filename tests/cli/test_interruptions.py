"""Ctrl-C ends a command at any moment."""

import pytest

from tests.conftest import crossed
from tests.interruptions import interrupted


@pytest.mark.parametrize(
    ("event", "text", "times"),
    crossed(
        [
            ("open", "running.json"),
            ("import", "'image_pipeline_cli.commands'"),
            ("import", "'boto3'"),
            ("import", "'rich.progress'"),
            ("exec", "cli/upload.py"),
        ],
        [1, 2],
    ),
)
def test_ctrl_c_ends_a_command_at_any_moment(tmp_path, event, text, times):
    """It exits with 130 and without a traceback, from the first import on."""
    process = interrupted("image_pipeline_cli", event, text, times, "list", "--local", "--run-dir", str(tmp_path))
    assert (process.returncode, "Traceback" in process.stderr) == (130, False), process.stderr
