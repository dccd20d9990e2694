"""`image-pipeline completion`."""

from __future__ import annotations

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import OK


@pytest.mark.parametrize(
    ("shell", "syntax"), [("bash", "--no-overwrite"), ("zsh", "#compdef"), ("fish", "complete -c")]
)
def test_the_script_completes_every_command(shell, syntax, capsys):
    """It completes the installed name, for each shell."""
    assert main(["completion", shell]) == OK
    script = capsys.readouterr().out
    assert syntax in script
    for word in ("image-pipeline", "upload", "status", "download", "delete", "list", "reprocess", "rotate"):
        assert word in script
