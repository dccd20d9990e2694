"""Detect uploads whose content and renditions are already stored."""

from image_pipeline import aws, keys
from image_pipeline.errors import UnchangedError
from image_pipeline.store import records, storage


def require_change(
    client: aws.Client, *, record: records.Record | None, bucket: str, image_key: str, content_id: str
) -> None:
    """Raise UnchangedError when the record already shows the same bytes, made by the same recipes and engine, with
    labels.

    The renditions must also exist, so that a new upload repairs renditions that someone deleted.

    Args:
        client: returns the client of a service.
        record: the record, as `records.read_before_claim` returns it.
        bucket: the bucket of the renditions.
        image_key: the key of the upload.
        content_id: the content id of the renditions that the upload would get.

    Raises:
        UnchangedError: the record is COMPLETED with exactly these renditions, and all of them exist.
        StorageUnavailableError: S3 was not available.
    """
    if record is None or record["status"] != "COMPLETED":
        return
    folder = keys.rendition_key(image_key, content_id, "")
    renditions = record.get("renditions", [])
    if not renditions or not all(rendition["key"].startswith(folder) for rendition in renditions):
        return
    versions, _ = storage.rendition_versions(client, bucket=bucket, image_key=image_key)
    stored = {(version.key, version.version_id) for version in versions}
    if all((rendition["key"], rendition.get("versionId")) in stored for rendition in renditions):
        raise UnchangedError(
            f"The record already shows this content: {content_id}.",
            "Nothing to do. To make the renditions again, reprocess the upload.",
        )
