"""Correct and speed up the DynamoDB of moto.

AWS supports nested `if_not_exists`, and returns all updated attributes completely, including unchanged ones. moto is
slow: it searches each value of a response for all types, parses each update three times and letter by letter, copies
the result node by node, checks clauses and paths again at each of its parts, copies all values for each measurement,
and each query sorts the whole table with comparisons that convert both values.
"""

import base64
import copy
import pickle
from functools import cache, lru_cache
from inspect import signature
from typing import Any

from botocore.model import Shape
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import bytesize
from moto.dynamodb.parsing import ast_nodes, expressions
from moto.dynamodb.parsing.validators import ActionCountValidator, OverlappingPathsValidator
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

    parse: Any = getattr(_expressions.UpdateExpressionParser, "make", None)
    if not callable(parse):
        raise RuntimeError("moto moved UpdateExpressionParser.make: moto_seams/dynamodb.py must follow.")

    for name in ("traverse", "_processing_map"):
        if not callable(getattr(_nodes.DepthFirstTraverser, name, None)):
            raise RuntimeError(f"moto moved DepthFirstTraverser.{name}: moto_seams/dynamodb.py must follow.")

    count_clauses: Any = getattr(ActionCountValidator, "verify_action_counts", None)
    if not callable(count_clauses):
        raise RuntimeError("moto moved ActionCountValidator.verify_action_counts: moto_seams/dynamodb.py must follow.")

    compare_paths: Any = getattr(OverlappingPathsValidator, "check_for_overlapping_paths", None)
    if not callable(compare_paths):
        raise RuntimeError("moto moved OverlappingPathsValidator's check: moto_seams/dynamodb.py must follow.")

    functions: Any = getattr(_expressions.UpdateExpressionFunctionParser, "FUNCTIONS", {})
    if len(functions.get("if_not_exists", ())) != 2:
        raise RuntimeError("moto moved UpdateExpressionFunctionParser.FUNCTIONS: moto_seams/dynamodb.py must follow.")

    update: Any = getattr(DynamoHandler, "update_item", None)
    if not callable(update):
        raise RuntimeError("moto moved DynamoHandler.update_item: moto_seams/dynamodb.py must follow.")

    if not callable(getattr(DynamoType, "size", None)):
        raise RuntimeError("moto moved DynamoType.size: moto_seams/dynamodb.py must follow.")

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
    # Functions send the same few expressions repeatedly. Only the validator changes a tree, after it has copied it.
    _expressions.UpdateExpressionParser.make = staticmethod(lru_cache(parse))
    pickled = lru_cache(pickle.dumps)
    _nodes.Node.__deepcopy__ = lambda node, _: pickle.loads(pickled(node))  # noqa: S301 (pickled here)
    _nodes.DepthFirstTraverser.traverse = _traverse
    # The root contains all clauses and paths.
    ActionCountValidator.traverse = count_clauses
    OverlappingPathsValidator.traverse = compare_paths
    functions["if_not_exists"] = [functions["if_not_exists"][0], _expressions.UpdateExpressionOperandParser]
    DynamoHandler.update_item = update_item  # type: ignore[method-assign]
    DynamoType.size = _size  # type: ignore[method-assign, assignment]
    Table.all_items = _all_items  # type: ignore[assignment, method-assign]
    Table.query = query_partition  # type: ignore[method-assign]


_is_subclass: Any = cache(issubclass)
"""Faster than `issubclass` for the nodes, whose classes are abstract."""


def _traverse(traverser: Any, root: Any) -> Any:
    """Process the nodes of a tree, children first, with one look at what the traverser processes."""
    kinds = tuple(traverser._processing_map())

    def visit(node: Any, position: int) -> Any:
        parent = node.parent
        for index, child in enumerate(node.children or ()):
            traverser.pre_processing_of_child(node, index)
            if _is_subclass(type(child), _nodes.Node):
                visit(child, index)
        if _is_subclass(type(node), kinds):
            node = traverser.process(node)
            node.parent = parent
            if parent:
                parent.children[position] = node
        return node

    return visit(root, -1)


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


def _size(value: DynamoType) -> int:
    """Return the size of a value in bytes; moto copies each value to measure it, for each attribute of a new item."""
    kind, content = value.type, value.value
    match kind:
        case "N":
            return len(str(content))
        case "NS":
            return sum(len(str(number)) for number in content)
        case "M":
            return sum(bytesize(name) + _size(item) for name, item in content.items())
        case "L":
            return sum(map(_size, content))
        case "SS" | "BS":
            return sum(map(bytesize, content))
    return 1 if isinstance(content, bool) else bytesize(content)


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
