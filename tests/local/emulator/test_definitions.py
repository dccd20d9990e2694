"""emulator/definitions.py: reads workflow definitions in YAML or JSON."""

import json

import pytest
import yaml

from local.emulator import definitions
from tests.asl import MACHINES


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_definition_is_the_same_as_yaml_and_as_json(machine):
    """A template may have either behind DefinitionUri."""
    assert definitions.parse(json.dumps(machine.definition, indent=2)) == machine.definition


@pytest.mark.parametrize(
    "text",
    [
        "States:\n  Wait: {Type: Pass}\n  Wait: {Type: Succeed}\n",
        '{"States": {"Wait": {"Type": "Pass", "Type": "Wait"}}}',
        "StartAt: A\nStates: {}\nStartAt: B\n",
        "States: {Choose: {Choices: [{Next: A, Next: B}]}}",
    ],
)
def test_a_duplicate_key_is_refused(text):
    """A duplicate key at any depth is an error, because a parser keeps only the last one."""
    with pytest.raises(yaml.YAMLError, match=r"occurs twice[\s\S]*line \d"):
        definitions.parse(text)


@pytest.mark.parametrize("text", ["States: {", "a: b: c", "States:\n\tWait: {}", "x: *nobody"])
def test_invalid_yaml_is_refused(text):
    """The error has the position of the mistake."""
    with pytest.raises(yaml.YAMLError, match=r"line \d"):
        definitions.parse(text)
