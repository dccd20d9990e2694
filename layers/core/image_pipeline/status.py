"""What the status API says of an upload."""

from typing import Any

from image_pipeline import keys, records, storage
from image_pipeline.errors import RejectedError
from image_pipeline.settings import Settings

REJECTIONS = frozenset(error.__name__ for error in RejectedError.__subclasses__())
INTERNAL_MESSAGE = "The pipeline could not process the upload; the picture itself may be fine."
INTERNAL_HINT = "Its operators have been told the reason. Upload the picture again later."


def find(path: str, settings: Settings) -> records.Record | None:
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
            return _with_urls(_without_internals(record), settings.rendition_url_seconds)
    return None


def _without_internals(record: records.Record) -> records.Record:
    """What went wrong inside may name accounts and roles: the record and the notification tell it to the operators."""
    error = record.get("error")
    if error is None or error["code"] in REJECTIONS:
        return record
    return {**record, "error": {**error, "message": INTERNAL_MESSAGE, "hint": INTERNAL_HINT}}


def _with_urls(record: records.Record, seconds: int) -> records.Record:
    def with_url(rendition: dict[str, Any]) -> dict[str, Any]:
        return {**rendition, "url": storage.url(rendition["bucket"], rendition["key"], seconds)}

    if "renditions" not in record:
        return record
    return {**record, "renditions": [with_url(rendition) for rendition in record["renditions"]]}
