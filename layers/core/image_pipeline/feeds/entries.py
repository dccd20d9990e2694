"""The items of the listing table: ledgers and entries, and how a record maps to them.

Each image has one ledger. It contains the newest change that counts, the public fields of the image after that change,
its renditions, and the places of its entries. An entry has one place in each view that shows the image (`all`,
`status=FAILED`, `label=dog`, `folder=summer/`). It contains only the order of its change: a page finds entries and
returns what the ledgers of their images contain.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from os.path import commonprefix
from typing import Any

from image_pipeline import keys, times
from image_pipeline.errors import public_error
from image_pipeline.store import records

MAX_LABELS = 40  # per image; each label is an entry, which costs a write
# Views exist for folders down to this depth, because each is an entry, which costs a write. A page of a deeper folder
# reads the view of its ancestor at this depth, and leaves out the images that are not in the folder.
MAX_FOLDERS = 4
FORM = 2  # the current form of ledgers; form 1 has no number, no folders, no renditions and no texts of errors
# Every image has an entry in the view `all`, and a partition accepts 1,000 write units per second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
SHARDS = 4

VIEW, POSITION = "ViewShard", "ListPosition"  # the primary key of the table

_EPOCH = "1970-01-01T00:00:00.000Z"

Json = dict[str, Any]
EntryPlace = tuple[str, str]
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
        `image`, the public fields; `files`, the renditions in the form that `renditions` reads; `position`, which sorts
        by the time of the upload and then by the digest of the key, because a key may be as long as DynamoDB's limit
        for a sort key; `partitions`, one for each view; and `form`.
    """
    image_key = record["ImageKey"]
    status = record["status"]
    upload = record.get("upload", {})
    image = record.get("image", {})
    renditions = record.get("renditions", [])
    failure = record.get("error") or record.get("lastFailure")
    public_failure = public_error(failure) if failure else {}
    names = list(dict.fromkeys(label["name"] for label in record.get("labels", [])))[:MAX_LABELS]
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
        "errorMessage": public_failure.get("message"),
        "errorHint": public_failure.get("hint"),
    }
    views = [f"status={status}"]
    if status != "DELETED":
        views += ["all", *dict.fromkeys(map(label_view, names)), *map(folder_view, _folders(image_key))]
    position = f"{_uploaded_at(record)}#{digest(image_key)}"
    return {
        "image": {name: value for name, value in fields.items() if value is not None},
        "position": position,
        "partitions": [partition(view, position) for view in views],
        "files": _files(renditions),
        "form": FORM,
    }


def is_current(ledger: Json) -> bool:
    """Return whether a ledger has the form that this version writes."""
    return bool(ledger.get("form") == FORM)


def renditions(ledger: Json) -> list[Json]:
    """Return the renditions in a ledger, as in the record but without sizes and etags; empty in an older form."""
    files = ledger.get("files", {"location": "", "each": []})

    def rendition(file: Json) -> Json:
        bucket, _, key = (files["location"] + file["key"]).partition("/")
        return {**file, "bucket": bucket, "key": key}

    return [rendition(file) for file in files["each"]]


def places(entries: Json) -> set[EntryPlace]:
    """Return the places of `entries_of` or of a ledger."""
    return {(name, entries["position"]) for name in entries["partitions"]}


def label_view(label: str) -> str:
    """Return the view of the images with a label, in any case."""
    return f"label={label.casefold()}"


def folder_view(folder: str) -> str:
    """Return the smallest view that contains all images in a folder, except those that are deleted.

    Args:
        folder: as `keys.folder` returns it; empty for the folder of all uploads.
    """
    names = folder.split("/")[:-1]
    return f"folder={'/'.join(names[:MAX_FOLDERS])}/" if names else "all"


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


def _folders(image_key: str) -> list[str]:
    """Return the folders that contain an image and have a view."""
    names = image_key.removeprefix(keys.UPLOADS_PREFIX).split("/")[:-1]
    return ["/".join(names[:depth]) + "/" for depth in range(1, min(len(names), MAX_FOLDERS) + 1)]


def _files(renditions: list[Json]) -> Json:
    """Return what it takes to sign the URLs of renditions.

    A kilobyte of a ledger costs a write, so the part of the locations that all renditions share is stored once.
    """
    locations = [f"{rendition['bucket']}/{rendition['key']}" for rendition in renditions]
    shared = commonprefix(locations)  # noqa: RUF071 - of texts; the rest need not be whole names
    names = ("name", "format", "width", "height", "frames", "versionId")
    files = [
        {"key": location.removeprefix(shared), **{name: rendition[name] for name in names if name in rendition}}
        for location, rendition in zip(locations, renditions, strict=True)
    ]
    return {"location": shared, "each": files}


def _area(rendition: Json) -> int:
    area: int = rendition["width"] * rendition["height"]
    return area


def _uploaded_at(record: records.Record) -> str:
    """Return the time of the upload; for an upload that was deleted before it was processed, the time of its record."""
    for text in (record.get("upload", {}).get("uploadedAt"), record.get("createdAt")):
        with suppress(ValueError, OverflowError):
            return times.iso(datetime.fromisoformat(text or ""))
    return _EPOCH
