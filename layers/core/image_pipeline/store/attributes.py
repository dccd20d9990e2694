"""Convert plain JSON to the typed attributes of DynamoDB and back.

boto3 converts more types, but importing it takes a tenth of the time in which a function starts.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Attribute = Mapping[str, Any]
"""A value with the name of its type, such as `{"S": "text"}`."""


def to_attributes(values: Mapping[str, Any]) -> dict[str, Attribute]:
    """Convert the values of a JSON object.

    Raises:
        ValueError: a value is not JSON.
    """
    return {name: to_attribute(value) for name, value in values.items()}


def to_attribute(value: Any) -> Attribute:
    """Convert plain JSON.

    Raises:
        ValueError: the value is not JSON.
    """
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case float() if value - value == 0:  # not infinite or NaN
            # DynamoDB accepts no binary floats; the shortest decimal spelling has the same value.
            return {"N": str(Decimal(repr(value)))}
        case str():
            return {"S": value}
        case list() | tuple():
            return {"L": [to_attribute(item) for item in value]}
        case Mapping():
            return {"M": to_attributes(value)}
    raise ValueError(f"{value!r} is not JSON.")


def from_attributes(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Convert typed attributes to the values of a JSON object.

    Raises:
        ValueError: an attribute has a type that JSON does not have, such as a set.
    """
    return {name: _from_attribute(attribute) for name, attribute in attributes.items()}


def _from_attribute(attribute: Attribute) -> Any:
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "NULL":
            return None
        case "N":
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else float(number)
        case "L":
            return [_from_attribute(item) for item in value]
        case "M":
            return from_attributes(value)
    raise ValueError(f"JSON has no type for the attribute type {kind}.")
