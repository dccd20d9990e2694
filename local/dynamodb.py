"""Seams in moto's DynamoDB, which takes the long way with every request.

In each value of an answer it looks for each of ten types under ten names, one by one, and it takes an update apart
letter by letter.
"""

import base64
from functools import lru_cache
from typing import Any

from botocore.model import Shape
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.parsing.tokens import ExpressionTokenizer

_VALUE = "AttributeValue"  # its shape in botocore's models of DynamoDB and of its streams


def install() -> None:
    """Let a value of DynamoDB be written as it is kept, and an update be taken apart once.

    Raises:
        RuntimeError: moto no longer has what is replaced.
    """
    original: Any = getattr(ResponseSerializer, "_serialize", None)
    if not callable(original) or not callable(getattr(ResponseSerializer, "_default_serialize", None)):
        raise RuntimeError("moto moved ResponseSerializer._serialize: local/dynamodb.py must follow.")

    take_apart: Any = getattr(ExpressionTokenizer, "make_list", None)
    if not callable(take_apart):
        raise RuntimeError("moto moved ExpressionTokenizer.make_list: local/dynamodb.py must follow.")

    def serialize(self: Any, serialized: Any, value: Any, shape: Shape, key: str) -> None:
        if shape.name == _VALUE and isinstance(value, dict):
            self._default_serialize(serialized, _as_json(value), shape, key)
        else:
            original(self, serialized, value, shape, key)

    ResponseSerializer._serialize = serialize  # type: ignore[method-assign]
    # The functions send few texts, again and again, and who reads the tokens leaves them as they are.
    ExpressionTokenizer.make_list = staticmethod(lru_cache(take_apart))  # type: ignore[method-assign]


def _as_json(value: Any) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return {kind: {name: _as_json(each) for name, each in content.items()}}
        case "L":
            return {kind: [_as_json(each) for each in content]}
        case "B":
            return {kind: _base64(content)}
        case "BS":
            return {kind: [_base64(each) for each in content]}
    return value


def _base64(content: str | bytes) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()
