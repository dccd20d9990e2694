"""`image-pipeline completion`."""

from __future__ import annotations

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import OK


@pytest.mark.parametrize(("shell", "has"), [("bash", "--no-overwrite"), ("zsh", "#compdef"), ("fish", "complete -c")])
def test_every_shell_learns_every_command(shell, has, capsys):
    """Under the name that is installed."""
    assert main(["completion", shell]) == OK
    script = capsys.readouterr().out
    assert has in script
    for word in ("image-pipeline", "upload", "status", "download", "delete", "list", "reprocess", "rotate"):
        assert word in script
