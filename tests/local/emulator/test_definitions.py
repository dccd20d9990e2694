"""local/emulator/definitions.py"""

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
def test_a_key_that_occurs_twice_is_refused(text):
    """At whatever depth: the first of two states would be gone without a word."""
    with pytest.raises(yaml.YAMLError, match=r"occurs twice[\s\S]*line \d"):
        definitions.parse(text)


@pytest.mark.parametrize("text", ["States: {", "a: b: c", "States:\n\tWait: {}", "x: *nobody"])
def test_invalid_yaml_is_refused(text):
    """With the place of the mistake."""
    with pytest.raises(yaml.YAMLError, match=r"line \d"):
        definitions.parse(text)
