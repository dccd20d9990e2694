"""Remove the renditions that no record points to.

Two rules make this safe against concurrent executions. First, list the versions and only then read the record: every
listed version was written under a claim that is older than this read. A record in PROCESSING may still come to need
them, so nothing is removed; any other record names all the versions that it needs. Second, remove versions and never
keys: when the same bytes are written again with the same key, they are a new version.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from image_pipeline import aws
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.observability import count_cleanup_failure, logger
from image_pipeline.store import records, storage

MAX_MARKED = 200
"""The most versions that are marked in one call, the newest first. For a key that is overwritten every minute, S3 lists
thousands of versions that are already marked and have not expired yet."""


def clean(client: aws.Client, *, bucket: str, table: str, image_key: str) -> int:
    """Remove the renditions that the record of an upload does not point to; all of them when the upload was deleted.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the renditions.
        table: the table of the records.
        image_key: the key of the upload.

    Returns:
        The number of removed renditions; 0 while the image is still processing, because that execution cleans up when
        it ends.

    Raises:
        StorageUnavailableError: S3 or DynamoDB was not available.
    """
    with _counted_failures():
        versions = find(client, bucket=bucket, image_key=image_key)
        record = records.read(client, table=table, image_key=image_key) if versions else None
        status = record["status"] if record else None
        if status == "PROCESSING":
            return 0
        if status == "DELETED":
            storage.delete(client, bucket, versions)
            return len(versions)
        current = current_versions((record or {}).get("renditions", ()))
        unpublished = _unpublished(versions, current)
        storage.delete(client, bucket, unpublished)
        published = [version for version in versions if version not in unpublished]
        return len(unpublished) + retire(client, bucket, published, current)


def find(client: aws.Client, *, bucket: str, image_key: str) -> tuple[storage.RenditionVersion, ...]:
    """List the versions that may have to be removed. If there are too many to list, count a clean-up failure.

    Raises:
        StorageUnavailableError: S3 was not available.
    """
    versions, is_complete = storage.rendition_versions(client, bucket=bucket, image_key=image_key)
    if not is_complete:
        logger.warning("renditions not cleaned", reason="There are too many versions; not all of them were listed.")
        count_cleanup_failure()
    return versions


def current_versions(renditions: Sequence[Mapping[str, str]]) -> dict[str, str | None]:
    """Return the keys that a record points to, each with its version id.

    Args:
        renditions: the `renditions` of the record.
    """
    return {rendition["key"]: rendition.get("versionId") for rendition in renditions}


def retire(
    client: aws.Client, bucket: str, versions: Sequence[storage.RenditionVersion], current: Mapping[str, str | None]
) -> int:
    """Mark the versions that the record does not point to, so that they expire.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the renditions.
        versions: versions of an upload's renditions.
        current: the keys that the record points to, each with its version id.

    Returns:
        The number of marked versions.

    Raises:
        StorageUnavailableError: S3 was not available.
    """
    listed_ids = {version.version_id for version in versions}

    def is_current(version: storage.RenditionVersion) -> bool:
        version_id = current.get(version.key)
        if version_id in listed_ids:
            return version.version_id == version_id
        # The record points to a version that no longer exists. Keep the latest one, so that the key still has an
        # object.
        return version.key in current and version.latest

    superseded = [version for version in versions if not is_current(version)]
    newest = sorted(superseded, key=lambda version: version.written, reverse=True)[:MAX_MARKED]
    storage.mark_superseded(client, bucket, newest)
    return len(newest)


def _unpublished(
    versions: Sequence[storage.RenditionVersion], current: Mapping[str, str | None]
) -> list[storage.RenditionVersion]:
    """Return the versions that are newer than the current version of the same key.

    An execution that failed or lost its claim wrote them. No record ever pointed to them, so no URL was signed for
    them.
    """
    positions = {version.version_id: index for index, version in enumerate(versions)}  # S3 lists the newest first
    return [
        version
        for index, version in enumerate(versions)
        if version.key in current and index < positions.get(current[version.key] or "", 0)
    ]


@contextmanager
def best_effort() -> Iterator[None]:
    """Log and count AWS errors during the clean-up of an image that is already complete.

    The next clean-up of the key removes the renditions that are left.
    """
    try:
        yield
    except (StorageUnavailableError, *aws.AwsError):
        logger.exception("renditions not cleaned")
        count_cleanup_failure()


@contextmanager
def _counted_failures() -> Iterator[None]:
    """Count permanent errors, which leave renditions behind. The workflow retries transient ones."""
    try:
        yield
    except StorageUnavailableError:
        raise
    except Exception:
        count_cleanup_failure()
        raise
