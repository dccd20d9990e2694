"""What the status API says of an upload."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from image_pipeline import keys, records, storage
from image_pipeline.errors import for_outsiders
from image_pipeline.settings import StatusSettings

Url = Callable[[str, str, str | None], str]
"""Bucket, key and version id of a rendition → a URL that gives it to whoever has the URL."""

PICTURE = ("image", "exif", "renditions", "labels", "labelModelVersion", "summary", "warnings")


def find(path: str, settings: StatusSettings) -> records.Record | None:
    """The record that a request means, each rendition with a URL; None when that key was never uploaded.

    Args:
        path: of the request, decoded once.
        settings: table and lifetime of URLs.

    Raises:
        InvalidKeyError: the path cannot be a key.
        StorageUnavailableError: DynamoDB did not answer.
    """
    for image_key in keys.image_keys(path):
        record = records.read(settings.image_table, image_key)
        if record is not None:
            url = partial(storage.url, seconds=settings.rendition_url_seconds)
            return told(_without_internals(record), settings.workflow.seconds, url)
    return None


def told(record: records.Record, longest: int, url: Url) -> records.Record:
    """What is said of a record, in full: for those who may read it anyway.

    Args:
        record: as `records` gives it.
        longest: seconds that an execution may take.
        url: makes the URL of each rendition.
    """
    return _with_urls(_as_told(record, longest), url)


def _without_internals(record: records.Record) -> records.Record:
    return {**record, "error": for_outsiders(record["error"])} if "error" in record else record


def _as_told(record: records.Record, longest: int) -> records.Record:
    """While a new upload is processed, the old picture stands apart; and what takes too long is said to be stale."""
    if record["status"] != "PROCESSING":
        return record
    previous = {name: record[name] for name in PICTURE if name in record}
    told = {name: value for name, value in record.items() if name not in previous}
    if previous:
        told["previous"] = previous
    age = records.age_seconds(record["execution"]["startedAt"], datetime.now(UTC))
    return {**told, "stale": True} if age > longest else told


def _with_urls(record: records.Record, url: Url) -> records.Record:
    def with_url(rendition: dict[str, Any]) -> dict[str, Any]:
        where = rendition["bucket"], rendition["key"], rendition.get("versionId")
        return {**rendition, "url": url(*where)}

    def shown(picture: dict[str, Any]) -> dict[str, Any]:
        return {**picture, "renditions": [with_url(rendition) for rendition in picture["renditions"]]}

    if "previous" in record and "renditions" in record["previous"]:
        return {**record, "previous": shown(record["previous"])}
    return shown(record) if "renditions" in record else record
