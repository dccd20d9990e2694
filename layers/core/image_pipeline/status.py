"""What the status API says of an upload."""

from datetime import UTC, datetime
from typing import Any

from image_pipeline import keys, records, storage
from image_pipeline.errors import for_outsiders
from image_pipeline.settings import StatusSettings

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
            told = _as_told(_without_internals(record), settings.workflow.seconds)
            return _with_urls(told, settings.rendition_url_seconds)
    return None


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


def _with_urls(record: records.Record, seconds: int) -> records.Record:
    def with_url(rendition: dict[str, Any]) -> dict[str, Any]:
        where = rendition["bucket"], rendition["key"], rendition.get("versionId")
        return {**rendition, "url": storage.url(*where, seconds)}

    def shown(picture: dict[str, Any]) -> dict[str, Any]:
        return {**picture, "renditions": [with_url(rendition) for rendition in picture["renditions"]]}

    if "previous" in record and "renditions" in record["previous"]:
        return {**record, "previous": shown(record["previous"])}
    return shown(record) if "renditions" in record else record
