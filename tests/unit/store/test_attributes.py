"""image_pipeline.store.attributes"""

import json

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import example, given
from hypothesis import strategies as st

from image_pipeline.store import attributes

TEXT = st.text(max_size=8)
SCALARS = st.none() | st.booleans() | TEXT | st.integers(-(10**37), 10**37) | st.floats(1e-120, 1e15)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=9
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
@example({"zero": 0, "minus": -0.5, "small": 1e-7, "empty": {"list": [], "text": ""}})
def test_dynamodb_returns_the_stored_json(values):
    """Values are unchanged, and a whole number is read as an integer."""
    stored = attributes.to_attributes(values)
    assert attributes.from_attributes(stored) == values
    assert json.loads(json.dumps(stored)) == stored


@given(JSON)
def test_boto3_reads_the_same_values(value):
    """Other tools read the table with boto3."""
    stored = attributes.to_attribute(value)
    assert TypeDeserializer().deserialize(stored) == _with_decimals(value)


def _with_decimals(value):
    """The value with numbers as boto3 returns them."""
    if isinstance(value, bool) or not isinstance(value, int | float | list | dict):
        return value
    if isinstance(value, list):
        return [_with_decimals(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_decimals(item) for name, item in value.items()}
    return TypeDeserializer().deserialize({"N": repr(value)})


def test_whole_numbers_are_read_as_integers():
    """DynamoDB may write them with an exponent or with zeros."""
    values = attributes.from_attributes({"a": {"N": "1E+2"}, "b": {"N": "7"}, "c": {"N": "7.5"}})
    assert [repr(value) for value in values.values()] == ["100", "7", "7.5"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}, object()])
def test_only_json_is_written(value):
    """Any other value is a bug, and must not reach the table."""
    with pytest.raises(ValueError, match="is not JSON"):
        attributes.to_attribute({"name": [value]})


def test_only_json_is_read():
    """A set could not be returned as JSON."""
    with pytest.raises(ValueError, match="the attribute type SS"):
        attributes.from_attributes({"name": {"SS": ["a"]}})
