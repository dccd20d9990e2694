"""A seam in moto's DynamoDB: for each item of a transaction it copies the whole table, to be able to go back."""

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from moto.dynamodb import models
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table


def install() -> None:
    """Let a transaction that fails put back the items that it was about, and copy nothing else.

    Raises:
        RuntimeError: moto no longer has what is replaced.
    """
    transact = getattr(DynamoDBBackend, "transact_write_items", None)
    if not callable(transact) or getattr(models, "copy", None) is not copy:
        raise RuntimeError("moto changed how it copies tables: local/transactions.py must follow.")

    def transact_write_items(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        before = [(*place, copy.deepcopy(_item(*place))) for place in _places(self, transact_items)]
        try:
            transact(self, transact_items)
        except Exception:
            for table, hash_key, range_key, item in before:
                _put_back(table, hash_key, range_key, item)
            raise

    DynamoDBBackend.transact_write_items = transact_write_items  # type: ignore[method-assign]
    models.copy = SimpleNamespace(  # type: ignore[assignment, attr-defined]
        deepcopy=lambda thing: thing if isinstance(thing, Table) else copy.deepcopy(thing)
    )


def _places(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> Iterator[tuple[Table, Any, Any]]:
    """Table and keys of each item that a transaction names."""
    for each in transact_items:
        (operation,) = each.values()
        table = backend.get_table(operation["TableName"])
        if (table.stream_specification or {}).get("StreamEnabled"):
            raise NotImplementedError(f"{table.name} has a stream, which would tell of what is undone again.")
        yield table, *backend.get_keys_value(table, operation.get("Key") or operation["Item"])


def _item(table: Table, hash_key: Any, range_key: Any) -> Any:
    return table.items.get(hash_key, {}).get(range_key) if table.has_range_key else table.items.get(hash_key)


def _put_back(table: Table, hash_key: Any, range_key: Any, item: Any) -> None:
    items: Any = table.items[hash_key] if table.has_range_key else table.items
    key = range_key if table.has_range_key else hash_key
    if item is None:
        items.pop(key, None)
    else:
        items[key] = item
