"""The items of the listing table: ledgers and entries, and how a record maps to them.

Each image has one ledger. It contains the newest change that counts, the public fields of the image after that change,
and the places of its entries. An entry has one place in each view that shows the image (`all`, `status=FAILED`,
`label=dog`). It contains only the order of its change: a page finds entries and returns what the ledgers of their
images contain.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from image_pipeline import times
from image_pipeline.store import records

MAX_LABELS = 40  # of an image: each label is an entry, which costs a write
# Every image has an entry in the view `all`, and a partition accepts 1,000 write units per second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
SHARDS = 4

VIEW, POSITION = "ViewShard", "ListPosition"  # the primary key of the table

_EPOCH = "1970-01-01T00:00:00.000Z"

Json = dict[str, Any]
Place = tuple[str, str]
"""The partition and the position of an entry."""

NO_ENTRIES: Json = {"position": "", "partitions": []}
"""The entries of an image that does not exist."""


def entries_of(record: records.Record) -> Json:
    """Return the public fields of an image and the places of its entries.

    While a new upload is processing, the previous image is listed, as in its status. A deleted image is only in the
    view of its status.

    Args:
        record: the record as plain JSON.

    Returns:
        `image`, the public fields; `position`, which sorts by the time of the upload and then by the digest of the key,
        because a key may be as long as DynamoDB's limit for a sort key; and `partitions`, one for each view.
    """
    image_key, status = record["ImageKey"], record["status"]
    upload, image, labels = record.get("upload", {}), record.get("image", {}), record.get("labels", [])
    renditions = record.get("renditions", [])
    names = list(dict.fromkeys(label["name"] for label in labels))[:MAX_LABELS]
    fields = {
        "imageKey": image_key,
        "status": status,
        "uploadedAt": upload.get("uploadedAt"),
        "sizeBytes": upload.get("sizeBytes"),
        "format": image.get("format"),
        "width": image.get("width"),
        "height": image.get("height"),
        "thumbhash": record.get("summary", {}).get("thumbhash"),
        "rendition": min(renditions, key=_area)["name"] if renditions else None,
        "labels": names,
        "error": record.get("error", {}).get("code"),
        "lastFailure": record.get("lastFailure", {}).get("code"),
    }
    views = [f"status={status}"]
    if status != "DELETED":
        views += ["all", *dict.fromkeys(map(label_view, names))]
    position = f"{_uploaded_at(record)}#{digest(image_key)}"
    return {
        "image": {name: value for name, value in fields.items() if value is not None},
        "position": position,
        "partitions": [partition(view, position) for view in views],
    }


def places(entries: Json) -> set[Place]:
    """Return the places of `entries_of` or of a ledger."""
    return {(name, entries["position"]) for name in entries["partitions"]}


def label_view(label: str) -> str:
    """Return the view of the images with a label, in any case."""
    return f"label={label.casefold()}"


def partition(view: str, position: str) -> str:
    """Return the partition of a view that contains a position."""
    return f"{view}#{int(digest_of(position), 16) % SHARDS}"


def partitions(view: str) -> Iterable[str]:
    """Return all partitions of a view."""
    return (f"{view}#{shard}" for shard in range(SHARDS))


def key(partition_name: str, position: str) -> Json:
    """Return the primary key of an item."""
    return {VIEW: {"S": partition_name}, POSITION: {"S": position}}


def ledger_key(image_digest: str) -> Json:
    """Return the primary key of a ledger."""
    return key(f"ledger={image_digest}", "-")


def digest(image_key: str) -> str:
    """Return the digest of a key."""
    return hashlib.sha256(image_key.encode()).hexdigest()


def digest_of(position: str) -> str:
    """Return the digest in a position."""
    return position.rpartition("#")[2]


def _area(rendition: Json) -> int:
    area: int = rendition["width"] * rendition["height"]
    return area


def _uploaded_at(record: records.Record) -> str:
    """Return the time of the upload; for an upload that was deleted before it was processed, the time of its record."""
    for text in (record.get("upload", {}).get("uploadedAt"), record.get("createdAt")):
        with suppress(ValueError, OverflowError):
            return times.iso(datetime.fromisoformat(text or ""))
    return _EPOCH
