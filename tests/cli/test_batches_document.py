"""docs/batches.md: its commands run, and its figures are those that were computed."""

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
OURS = re.findall(r"^image-pipeline (.*)$", SHELL, re.MULTILINE)


@pytest.mark.parametrize("command", OURS)
def test_the_commands_run(running, command, capsys):
    """On the local copy, in a folder where nothing is."""
    words = shlex.split(command.replace("uploads/2026/", f"uploads/{uuid.uuid4()}/"))
    del words[words.index("--stack") : words.index("--stack") + 2]
    assert main([*words, *running]) == OK
    assert capsys.readouterr().out


def test_the_calls_of_aws_exist():
    """With their options, as AWS describes them."""
    calls = re.findall(r"^aws (\w+) ([a-z-]+) (.*)$", SHELL, re.MULTILINE)
    assert calls
    for service, operation, rest in calls:
        model = botocore.session.Session().get_service_model(service)
        (found,) = [name for name in model.operation_names if xform_name(name, "-") == operation]
        members = {xform_name(name, "-") for name in model.operation_model(found).input_shape.members}
        assert set(re.findall(r"--([a-z-]+)", rest)) <= members


def test_every_option_is_in_the_table():
    """And no other."""
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    assert set(re.findall(r"^\| `(--[a-z-]+)", DOCUMENT, re.MULTILINE)) == options


def test_the_figures_are_those_of_the_simulation():
    """Which is run again by `python -m bench.batch.simulation`."""
    figures = json.loads((ROOT / "image_pipeline_cli" / "figures" / "batch.json").read_text())
    assert batch_simulation.table(figures) in DOCUMENT
