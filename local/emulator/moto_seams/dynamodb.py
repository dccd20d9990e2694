"""Seams in moto's DynamoDB: two answers that differ from AWS's, and two detours that every request takes.

AWS takes `if_not_exists` inside of `if_not_exists`, and returns all updated attributes, whole, also those whose value
stays the same. moto looks for each of ten types under ten names in every value of an answer, one by one, and takes an
update apart letter by letter.
"""

import base64
from functools import lru_cache
from typing import Any

from botocore.model import Shape
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.parsing import ast_nodes, expressions
from moto.dynamodb.parsing.tokens import ExpressionTokenizer
from moto.dynamodb.responses import DynamoHandler

_nodes: Any = ast_nodes  # these two have no types
_expressions: Any = expressions

_VALUE = "AttributeValue"  # its shape in botocore's models of DynamoDB and of its streams


def install() -> None:
    """Nest functions, return updated attributes as AWS does, write a value as it is kept, take an update apart once.

    Raises:
        RuntimeError: moto no longer has what is replaced.
    """
    original: Any = getattr(ResponseSerializer, "_serialize", None)
    if not callable(original) or not callable(getattr(ResponseSerializer, "_default_serialize", None)):
        raise RuntimeError("moto moved ResponseSerializer._serialize: moto_seams/dynamodb.py must follow.")

    take_apart: Any = getattr(ExpressionTokenizer, "make_list", None)
    if not callable(take_apart):
        raise RuntimeError("moto moved ExpressionTokenizer.make_list: moto_seams/dynamodb.py must follow.")

    functions: Any = getattr(_expressions.UpdateExpressionFunctionParser, "FUNCTIONS", {})
    if len(functions.get("if_not_exists", ())) != 2:
        raise RuntimeError("moto moved UpdateExpressionFunctionParser.FUNCTIONS: moto_seams/dynamodb.py must follow.")

    update: Any = getattr(DynamoHandler, "update_item", None)
    if not callable(update):
        raise RuntimeError("moto moved DynamoHandler.update_item: moto_seams/dynamodb.py must follow.")

    def update_item(self: Any) -> Any:
        if self.body.get("ReturnValues") != "UPDATED_NEW" or "UpdateExpression" not in self.body:
            return update(self)
        self.body["ReturnValues"] = "ALL_NEW"
        answer = update(self)
        updated = _updated(self.body["UpdateExpression"], self.body.get("ExpressionAttributeNames", {}))
        attributes = answer.result["Attributes"].items()
        answer.result["Attributes"] = {name: value for name, value in attributes if name in updated}
        return answer

    def serialize(self: Any, serialized: Any, value: Any, shape: Shape, key: str) -> None:
        if shape.name == _VALUE and isinstance(value, dict):
            self._default_serialize(serialized, _as_json(value), shape, key)
        else:
            original(self, serialized, value, shape, key)

    ResponseSerializer._serialize = serialize  # type: ignore[method-assign]
    # The functions send few texts, again and again, and who reads the tokens leaves them as they are.
    ExpressionTokenizer.make_list = staticmethod(lru_cache(take_apart))  # type: ignore[method-assign]
    functions["if_not_exists"] = [functions["if_not_exists"][0], _expressions.UpdateExpressionOperandParser]
    DynamoHandler.update_item = update_item  # type: ignore[method-assign]


def _updated(expression: str, names: dict[str, str]) -> set[str]:
    """The attributes that an update sets; none that is nested is asked for here."""
    actions = _expressions.UpdateExpressionParser.make(expression).find_clauses([_nodes.UpdateExpressionSetAction])
    paths = [action.children[0].to_str() for action in actions]
    return {names.get(path, path) for path in paths}


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
