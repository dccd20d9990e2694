"""EventBridge's pattern matching, written from AWS's documentation and not from moto.

It knows only the operators on which all implementations agree, and refuses every other one. `$or` is not among them:
beside another key, moto and AWS's own event-ruler understand it differently. Numeric operators compare only numbers
from -5.0e9 to 5.0e9 (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_NUMBER = 5_000_000_000
_ABSENT = object()


class UnsafePatternError(Exception):
    """The pattern needs an operator on which implementations differ, or one that is not needed yet."""


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether every field that the pattern names has one of the values that it lists.

    Raises:
        UnsafePatternError: The pattern uses more than exact values, `prefix`, `numeric` and a numeric `anything-but`.
    """
    results = [_field_matches(name, wanted, event.get(name, _ABSENT)) for name, wanted in pattern.items()]
    return all(results)  # after all of them, so that an unsafe part is found wherever it stands


def _field_matches(name: str, wanted: Any, value: Any) -> bool:
    if name.startswith("$"):
        raise UnsafePatternError(f"{name} is understood differently by moto and by AWS.")
    if isinstance(wanted, Mapping):
        return matches(wanted, value if isinstance(value, Mapping) else {})
    if not isinstance(wanted, list) or not wanted:
        raise UnsafePatternError(f"{name} must be a list of values, not {wanted!r}.")
    return any([_value_matches(each, value) for each in wanted])  # noqa: C419 (all of them, as above)


def _value_matches(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return value is not _ABSENT and type(value) is type(wanted) and bool(value == wanted)
    (operator, operand), *more = wanted.items()
    if more:
        raise UnsafePatternError(f"{wanted} has two operators.")
    if operator == "prefix" and isinstance(operand, str):
        return isinstance(value, str) and value.startswith(operand)
    if operator == "numeric" and operand[:1] == [">"] and len(operand) == 2:
        return _is_number(value) and abs(value) <= MOST_NUMBER and bool(value > operand[1])
    if operator == "anything-but" and isinstance(operand, list) and all(map(_is_number, operand)):
        return value is not _ABSENT and value not in operand
    raise UnsafePatternError(f"{wanted} is not an operator that is known to mean the same everywhere.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
