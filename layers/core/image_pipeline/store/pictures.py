"""What a key shows before a new upload of it is processed."""

from image_pipeline import keys
from image_pipeline.errors import UnchangedError
from image_pipeline.store import records, storage


def require_change(table: str, bucket: str, image_key: str, content_id: str) -> None:
    """Refuse to make what is there: the same bytes, by the same recipes and engine, with labels.

    Renditions are looked for as well, so that a new upload repairs what somebody has deleted by hand.

    Args:
        table: of the records.
        bucket: of the renditions.
        image_key: the upload.
        content_id: of the renditions that would be made.

    Raises:
        UnchangedError: the record is COMPLETED with exactly these, and all of them exist.
        StorageUnavailableError: S3 or DynamoDB did not answer.
    """
    record = records.before_claim(table, image_key)
    if record is None or record["status"] != "COMPLETED":
        return
    folder, renditions = keys.rendition_key(image_key, content_id, ""), record.get("renditions", [])
    if not renditions or not all(rendition["key"].startswith(folder) for rendition in renditions):
        return
    listed, _ = storage.rendition_versions(bucket, image_key)
    stored = {(version.key, version.version_id) for version in listed}
    if all((rendition["key"], rendition.get("versionId")) in stored for rendition in renditions):
        raise UnchangedError(
            f"The upload has the content that its record shows: {content_id}.",
            "Nothing to do; to make the renditions again, reprocess the upload.",
        )
