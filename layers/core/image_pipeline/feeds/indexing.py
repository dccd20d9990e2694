"""Update the listing table from the changes of the records.

An image is always listed in the state after some change, never between two, although every write is a separate request.
A change

1. puts the entries that the ledger does not have yet, unless a newer change has put them;
2. writes the ledger, on the condition that the ledger has not changed since it was read;
3. removes the entries that only the old ledger had, unless a newer change has put them.

Every entry in a ledger exists: an entry is removed only for a ledger without it, and before a later ledger contains it
again, it is put again with a newer order, which the removal does not match. An entry that is in no ledger comes from a
late or interrupted change. No page returns it, and it is removed when the change is delivered again. docs/adr/0017 has
the argument.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline import aws
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.feeds import entries
from image_pipeline.feeds.entries import EntryPlace, Json
from image_pipeline.store import records
from image_pipeline.store.attributes import to_attributes

_LEDGER_SECONDS = 2 * 86_400  # how long the ledger of a removed image stays: a stream contains the changes of one day
_ATTEMPTS = 5
_REWRITTEN = "+"  # sorts before digits and letters, so an order with it comes before the order of any later change
_PARALLEL_WRITES = 10  # the connections of a client; the time that a function waits is billed


def newest_changes(changes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the last change of each image, in order. Entries of earlier changes would be put only to be removed again.

    Args:
        changes: the events of the records' stream, as Lambda delivers them.
    """
    last: dict[str, Mapping[str, Any]] = {}
    for change in changes:
        last.pop(_image_key(change), None)  # otherwise the key would keep the place of its first change
        last[_image_key(change)] = change
    return list(last.values())


def apply_stream_change(client: aws.Client, table: str, change: Mapping[str, Any]) -> bool:
    """Apply a change of the records' stream, as `apply` does.

    DynamoDB numbers the changes of an item in order within a stream; a newer stream has a later label. An item without
    a status is not a record. It is listed as removed, so that it does not block the changes behind it.

    Args:
        client: returns the client of a service.
        table: the listing table.
        change: an event of the stream, as Lambda delivers it.

    Raises:
        StorageUnavailableError: as `apply`.
    """
    _, record = records.before_and_after(change)
    label = change["eventSourceARN"].rpartition("/stream/")[2]
    order = f"{label}/{change['dynamodb']['SequenceNumber']:0>40}"
    listed_record = record if record and "status" in record else None
    return apply(client, table=table, image_key=_image_key(change), record=listed_record, order=order)


def apply(client: aws.Client, *, table: str, image_key: str, record: records.Record | None, order: str) -> bool:
    """List an image in its state after a change, unless a newer change is known.

    Args:
        client: returns the client of a service.
        table: the listing table.
        image_key: the key of the image.
        record: the record after the change; None when it was removed.
        order: a text that sorts the changes of this image. The empty text sorts before all others: it lists images that
            are not known yet, to rebuild the listing.

    Returns:
        Whether the listing has changed.

    Raises:
        StorageUnavailableError: DynamoDB was not available, or other changes of this image kept interfering.
    """
    target = entries.entries_of(record) if record else entries.NO_ENTRIES
    replaced: set[EntryPlace] = set()  # places in old ledgers; a write may have succeeded although its answer was lost
    for _ in range(_ATTEMPTS):
        ledger = _ledger(client, table=table, image_key=image_key)
        old_places = entries.places(ledger or entries.NO_ENTRIES)
        new_places = entries.places(target)
        if ledger and ledger["order"] >= order:
            # Remove what this change, or the one before the ledger, put here when it was interrupted.
            leftovers = (new_places | replaced | entries.places(ledger["left"])) - old_places
            _remove(client, table, leftovers, ledger["order"])
            return False
        _put(client, table, new_places - old_places, order)
        removed = {name for name, _ in old_places - new_places}
        # The table's attribute `left` names the entries that this change still has to remove.
        to_remove = {"position": ledger["position"], "partitions": [*removed]} if ledger else entries.NO_ENTRIES
        if _replace_ledger(client, table, image_key, ledger, {**target, "order": order, "left": to_remove}):
            _remove(client, table, old_places - new_places, order)
            return True
        replaced |= old_places
    raise StorageUnavailableError("Other changes of the image kept interfering with its entries.", "Try again.")


def relist(client: aws.Client, *, table: str, image_table: str, record: records.Record) -> bool:
    """List an image that is not listed yet, or whose ledger an older version wrote; leave all others unchanged.

    The record is read again after an old ledger, so it contains at least the change of that ledger. The rewritten
    ledger has an order between that change and the next one, which therefore still counts.

    Args:
        client: returns the client of a service.
        table: the listing table.
        image_table: the table of the records.
        record: the record of the image; it may be out of date.

    Returns:
        Whether the listing has changed.

    Raises:
        StorageUnavailableError: as `apply`.
    """
    image_key = record["ImageKey"]
    order = ""
    ledger = _ledger(client, table=table, image_key=image_key)
    if ledger and "image" in ledger and not entries.is_current(ledger):
        newer = records.read(client, table=image_table, image_key=image_key)
        if newer is None:
            return False  # its removal is a change of the stream
        record = newer
        order = f"{ledger['order']}{_REWRITTEN}{entries.FORM}"
    return apply(client, table=table, image_key=image_key, record=record, order=order)


def _ledger(client: aws.Client, *, table: str, image_key: str) -> Json | None:
    key = entries.ledger_key(entries.digest(image_key))
    with aws.translate_errors("DynamoDB"):
        response = client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
    return records.from_item(response["Item"]) if "Item" in response else None


def _replace_ledger(client: aws.Client, table: str, image_key: str, old: Json | None, ledger: Json) -> bool:
    """Write a ledger; return False when the stored ledger is not `old`."""
    if "image" not in ledger:
        ledger = {**ledger, "expiresAt": int(time.time()) + _LEDGER_SECONDS}
    item = {**entries.ledger_key(entries.digest(image_key)), **to_attributes(ledger)}
    put = partial(client("dynamodb").put_item, TableName=table, Item=item)
    if old:
        return _write_if(put, "#order = :order", old["order"])
    return _write_if(put, "attribute_not_exists(#order)")


def _put(client: aws.Client, table: str, places: Iterable[EntryPlace], order: str) -> None:
    """Put entries, except those that a change of the same or a newer order has put."""

    def put(place: EntryPlace) -> None:
        item = {**entries.key(*place), **to_attributes({"order": order})}
        write = partial(client("dynamodb").put_item, TableName=table, Item=item)
        _write_if(write, "attribute_not_exists(#order) OR #order < :order", order)

    _in_parallel(put, places)


def _remove(client: aws.Client, table: str, places: Iterable[EntryPlace], order: str) -> None:
    """Remove entries that the ledger of this order does not have, except those that a newer change has put."""

    def remove(place: EntryPlace) -> None:
        write = partial(client("dynamodb").delete_item, TableName=table, Key=entries.key(*place))
        _write_if(write, "#order <= :order", order)

    _in_parallel(remove, places)


def _in_parallel(write: Callable[[EntryPlace], None], places: Iterable[EntryPlace]) -> None:
    """Make independent writes, and return when all of them have finished."""
    with ThreadPoolExecutor(_PARALLEL_WRITES) as threads:
        list(threads.map(write, places))


def _write_if(write: Callable[..., Any], condition: str, order: str | None = None) -> bool:
    """Write on a condition; return False when the condition is not met."""
    values = {"ExpressionAttributeValues": {":order": {"S": order}}} if order is not None else {}
    try:
        with aws.translate_errors("DynamoDB"):
            write(ConditionExpression=condition, ExpressionAttributeNames={"#order": "order"}, **values)
    except ClientError as error:
        if aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _image_key(change: Mapping[str, Any]) -> str:
    image_key: str = change["dynamodb"]["Keys"]["ImageKey"]["S"]
    return image_key
