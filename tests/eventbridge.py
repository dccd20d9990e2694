"""EventBridge's pattern matching, written from AWS's documentation, independently of moto.

The module supports only the operators on which all implementations agree, and refuses every other one. `$or` is not
supported: beside another key, moto and AWS's event-ruler interpret it differently. Numeric operators compare only
numbers from -5.0e9 to 5.0e9:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_NUMBER = 5_000_000_000
_ABSENT = object()


class UnsafePatternError(Exception):
    """The pattern needs an operator on which implementations differ, or one that is not supported."""


def matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether every field that the pattern names has one of the values that it lists.

    Raises:
        UnsafePatternError: The pattern uses more than exact values, `prefix`, `numeric` and a numeric `anything-but`.
    """
    results = [_field_matches(name, expected, event.get(name, _ABSENT)) for name, expected in pattern.items()]
    return all(results)  # evaluates every field first, so that an unsafe part is always found


def _field_matches(name: str, expected: Any, value: Any) -> bool:
    if name.startswith("$"):
        raise UnsafePatternError(f"{name} is understood differently by moto and by AWS.")
    if isinstance(expected, Mapping):
        return matches(expected, value if isinstance(value, Mapping) else {})
    if not isinstance(expected, list) or not expected:
        raise UnsafePatternError(f"{name} must be a list of values, not {expected!r}.")
    return any([_value_matches(condition, value) for condition in expected])  # noqa: C419 (all of them, as above)


def _value_matches(condition: Any, value: Any) -> bool:
    if not isinstance(condition, Mapping):
        return value is not _ABSENT and type(value) is type(condition) and bool(value == condition)
    (operator, operand), *more = condition.items()
    if more:
        raise UnsafePatternError(f"{condition} has two operators.")
    if operator == "prefix" and isinstance(operand, str):
        return isinstance(value, str) and value.startswith(operand)
    if operator == "numeric" and operand[:1] == [">"] and len(operand) == 2:
        return _is_number(value) and abs(value) <= MOST_NUMBER and bool(value > operand[1])
    if operator == "anything-but" and isinstance(operand, list) and all(map(_is_number, operand)):
        return value is not _ABSENT and value not in operand
    raise UnsafePatternError(f"{condition} is not an operator that is known to mean the same everywhere.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
