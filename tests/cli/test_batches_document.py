"""docs/batches.md: its commands run, and its figures are those of the simulation."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import uuid

import botocore.session
import pytest
from botocore import xform_name

from bench.batch import simulation as batch_simulation
from image_pipeline_cli.backfill import add_options
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import OK
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "batches.md").read_text()
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^image-pipeline (.*)$", SHELL, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_run(running, command, capsys):
    """They succeed against the local copy, in an empty folder."""
    words = shlex.split(command.replace("uploads/2026/", f"uploads/{uuid.uuid4()}/"))
    del words[words.index("--stack") : words.index("--stack") + 2]
    assert main([*words, *running]) == OK
    assert capsys.readouterr().out


def test_the_calls_of_aws_exist():
    """The AWS CLI has these commands and options."""
    calls = re.findall(r"^aws (\w+) ([a-z-]+) (.*)$", SHELL, re.MULTILINE)
    assert calls
    for service, operation, rest in calls:
        model = botocore.session.Session().get_service_model(service)
        (operation_name,) = [name for name in model.operation_names if xform_name(name, "-") == operation]
        members = {xform_name(name, "-") for name in model.operation_model(operation_name).input_shape.members}
        assert set(re.findall(r"--([a-z-]+)", rest)) <= members


def test_every_option_is_in_the_table():
    """The table has exactly the options of the command."""
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    assert set(re.findall(r"^\| `(--[a-z-]+)", DOCUMENT, re.MULTILINE)) == options


def test_the_figures_are_those_of_the_simulation():
    """`python -m bench.batch.simulation` computes them again."""
    figures = json.loads((ROOT / "image_pipeline_cli" / "figures" / "batch.json").read_text())
    assert batch_simulation.table(figures) in DOCUMENT
