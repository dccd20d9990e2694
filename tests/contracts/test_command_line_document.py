"""docs/command-line.md documents the commands, their options and the exit codes."""

from __future__ import annotations

import re

from image_pipeline_cli import exits
from image_pipeline_cli.commands import main
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "command-line.md").read_text()


def test_every_exit_code_is_documented():
    """One table lists all exit codes and no others."""
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)} == codes
    assert {int(code) for code in re.findall(r"\b(\d+) [a-z]", exits.WORDS)} == codes


def test_every_command_and_its_options_are_documented(capsys):
    """All options are documented, except the one for the region."""
    main(["completion", "bash"])
    script = capsys.readouterr().out
    (commands,) = re.findall(r"_subparsers=\((upload .*)\)", script)
    assert [name for name in commands.split() if f"`{name}" not in TEXT] == []
    options = set(
        re.findall(
            r"--[a-z-]+",
            "".join(re.findall(r"_image_pipeline_(?:upload|status|download|delete|list)_option_strings=.*", script)),
        )
    )
    assert {name for name in options if name not in TEXT} == {"--region"}
