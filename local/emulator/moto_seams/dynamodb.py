"""Correct and speed up the DynamoDB of moto.

AWS supports nested `if_not_exists`, and returns all updated attributes completely, including unchanged ones. moto is
slow: it searches each value of a response for all types, tokenizes each update letter by letter, counts its clauses
again at each of its parts, and each query sorts the whole table with comparisons that convert both values.
"""

import base64
import copy
from functools import lru_cache
from inspect import signature
from typing import Any

from botocore.model import Shape
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing import ast_nodes, expressions
from moto.dynamodb.parsing.tokens import ExpressionTokenizer
from moto.dynamodb.parsing.validators import ActionCountValidator
from moto.dynamodb.responses import DynamoHandler

_nodes: Any = ast_nodes  # both modules have no types
_expressions: Any = expressions

_VALUE = "AttributeValue"  # its shape in the models of DynamoDB and DynamoDB Streams


def install() -> None:
    """Support nested functions, return updated attributes as AWS does, and speed up updates, responses and queries.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    original: Any = getattr(ResponseSerializer, "_serialize", None)
    if not callable(original) or not callable(getattr(ResponseSerializer, "_default_serialize", None)):
        raise RuntimeError("moto moved ResponseSerializer._serialize: moto_seams/dynamodb.py must follow.")

    make_list: Any = getattr(ExpressionTokenizer, "make_list", None)
    if not callable(make_list):
        raise RuntimeError("moto moved ExpressionTokenizer.make_list: moto_seams/dynamodb.py must follow.")

    count_clauses: Any = getattr(ActionCountValidator, "verify_action_counts", None)
    if not callable(count_clauses) or not callable(getattr(ActionCountValidator, "traverse", None)):
        raise RuntimeError("moto moved ActionCountValidator.traverse: moto_seams/dynamodb.py must follow.")

    functions: Any = getattr(_expressions.UpdateExpressionFunctionParser, "FUNCTIONS", {})
    if len(functions.get("if_not_exists", ())) != 2:
        raise RuntimeError("moto moved UpdateExpressionFunctionParser.FUNCTIONS: moto_seams/dynamodb.py must follow.")

    update: Any = getattr(DynamoHandler, "update_item", None)
    if not callable(update):
        raise RuntimeError("moto moved DynamoHandler.update_item: moto_seams/dynamodb.py must follow.")

    if not callable(getattr(Table, "all_items", None)):
        raise RuntimeError("moto moved Table.all_items: moto_seams/dynamodb.py must follow.")

    query: Any = getattr(Table, "query", None)
    if not callable(query) or "index_name" not in signature(query).parameters:
        raise RuntimeError("moto moved Table.query: moto_seams/dynamodb.py must follow.")

    def update_item(self: Any) -> Any:
        if self.body.get("ReturnValues") != "UPDATED_NEW" or "UpdateExpression" not in self.body:
            return update(self)
        self.body["ReturnValues"] = "ALL_NEW"
        answer = update(self)
        names = _updated_names(self.body["UpdateExpression"], self.body.get("ExpressionAttributeNames", {}))
        attributes = answer.result["Attributes"].items()
        answer.result["Attributes"] = {name: value for name, value in attributes if name in names}
        return answer

    def query_partition(self: Any, *arguments: Any, **options: Any) -> Any:
        bound_arguments = signature(query).bind(self, *arguments, **options).arguments
        table = self if bound_arguments.get("index_name") else _with_one_partition(self, bound_arguments["hash_key"])
        return query(table, *arguments, **options)

    def serialize(self: Any, serialized: Any, value: Any, shape: Shape, key: str) -> None:
        if shape.name == _VALUE and isinstance(value, dict):
            self._default_serialize(serialized, _as_json(value), shape, key)
        else:
            original(self, serialized, value, shape, key)

    ResponseSerializer._serialize = serialize  # type: ignore[method-assign]
    # Functions send the same few expressions repeatedly, and no caller changes the tokens.
    ExpressionTokenizer.make_list = staticmethod(lru_cache(make_list))  # type: ignore[method-assign]
    ActionCountValidator.traverse = count_clauses  # the root contains all clauses
    functions["if_not_exists"] = [functions["if_not_exists"][0], _expressions.UpdateExpressionOperandParser]
    DynamoHandler.update_item = update_item  # type: ignore[method-assign]
    Table.all_items = _all_items  # type: ignore[assignment, method-assign]
    Table.query = query_partition  # type: ignore[method-assign]


def _with_one_partition(table: Any, hash_key: Any) -> Any:
    """Return a table with only those items that a query without an index can find."""
    partition = copy.copy(table)
    partition.items = {hash_key: table.items[hash_key]} if hash_key in table.items else {}
    return partition


def _all_items(table: Any) -> list[Any]:
    """Return the items in the order of their keys; each key is converted once."""
    if table.range_key_attr is None:
        items: list[Any] = list(table.items.values())
    else:
        items = [item for of_hash_key in table.items.values() for item in of_hash_key.values()]
    return sorted(items, key=_key)


def _key(item: Any) -> tuple[Any, ...]:
    return tuple(key.cast_value for key in (item.hash_key, item.range_key) if key)


def _updated_names(expression: str, names: dict[str, str]) -> set[str]:
    """Return the attributes that an update sets; nested attributes are not supported."""
    actions = _expressions.UpdateExpressionParser.make(expression).find_clauses([_nodes.UpdateExpressionSetAction])
    paths = [action.children[0].to_str() for action in actions]
    return {names.get(path, path) for path in paths}


def _as_json(value: Any) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "M":
            return {kind: {name: _as_json(item) for name, item in content.items()}}
        case "L":
            return {kind: [_as_json(item) for item in content]}
        case "B":
            return {kind: _base64(content)}
        case "BS":
            return {kind: [_base64(item) for item in content]}
    return value


def _base64(content: str | bytes) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()
