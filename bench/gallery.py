"""List many images without processing them: entries and ledgers that point to the renditions of a few real images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from image_pipeline import times
from image_pipeline.feeds import entries
from local.pipeline import Pipeline

NEWEST = datetime(2026, 11, 20, 18, tzinfo=UTC)
INTERVAL = timedelta(minutes=7)
FAILED_EVERY = 100
_FAILURE = {
    "code": "CorruptImageError",
    "message": "The file ends early.",
    "hint": "Upload the file again.",
    "step": "ValidateImage",
}
_BATCH = 25  # DynamoDB's limit for BatchWriteItem


def fill(pipeline: Pipeline, records: Sequence[dict[str, Any]], folder: str, count: int) -> None:
    """List images in a folder, some of them failed. None has labels: each label of an image is one more write.

    Args:
        pipeline: A running pipeline.
        records: The records of images that are processed.
        folder: The folder, with a slash at its end.
        count: The number of images.
    """
    dynamodb = pipeline.client("dynamodb")
    table = pipeline.outputs["ListingTableName"]
    items = [item for number in range(count) for item in _items(_copy(records, folder, number))]
    for start in range(0, len(items), _BATCH):
        requests = [{"PutRequest": {"Item": item}} for item in items[start : start + _BATCH]]
        dynamodb.batch_write_item(RequestItems={table: requests})


def _copy(records: Sequence[dict[str, Any]], folder: str, number: int) -> dict[str, Any]:
    """Return the record of an image in the folder; the higher its number, the older it is."""
    record = records[number % len(records)]
    uploaded_at = times.iso(NEWEST - number * INTERVAL)
    copy = {
        **record,
        "ImageKey": f"uploads/{folder}{number:05}.jpg",
        "upload": {**record["upload"], "uploadedAt": uploaded_at},
        "labels": [],
    }
    if number % FAILED_EVERY == FAILED_EVERY - 1:
        copy |= {"status": "FAILED", "renditions": [], "image": {}, "summary": {}, "error": _FAILURE}
    return copy


def _items(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the ledger of an image and its entries."""
    listed = entries.entries_of(record)
    order = {"order": "0"}
    serialize = TypeSerializer().serialize
    ledger = {**listed, **order, "left": entries.NO_ENTRIES}
    key = entries.ledger_key(entries.digest(record["ImageKey"]))
    yield {**key, **{name: serialize(value) for name, value in ledger.items()}}
    for place in entries.places(listed):
        yield {**entries.key(*place), **{name: serialize(value) for name, value in order.items()}}
