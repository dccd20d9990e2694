"""Remove the renditions that no record points at.

Two rules make it safe, whatever runs at the same time. First list, then look at the record: what is listed was
written under a claim that is older than that look, so a record in PROCESSING may come to need it and nothing is
touched, and any other record names all that it needs. And only versions are touched, never names: what is written
again meanwhile, with the same name for the same bytes, is another version.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from image_pipeline import aws
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.observability import count_not_cleaned, logger
from image_pipeline.store import records, storage

MOST_MARKED = 200
"""Versions that are marked at once, the newest first. Of a key that is overwritten every minute, S3 lists thousands
that were marked before and have not expired yet."""


def clean(bucket: str, table: str, image_key: str) -> int:
    """Remove what the record of an upload does not point at; everything at once when the upload was deleted.

    Args:
        bucket: of the renditions.
        table: of the records.
        image_key: the upload.

    Returns:
        How many renditions were removed. None while the picture is processed: that execution cleans when it ends.

    Raises:
        StorageUnavailableError: S3 or DynamoDB did not answer.
    """
    with _counted():
        listed = find(bucket, image_key)
        record = records.read(table, image_key) if listed else None
        status = record["status"] if record else None
        if status == "PROCESSING":
            return 0
        if status == "DELETED":
            storage.delete(bucket, listed)
            return len(listed)
        shown = {each["key"]: each.get("versionId") for each in (record or {}).get("renditions", ())}
        covering = _covering(listed, shown)
        storage.delete(bucket, covering)
        return len(covering) + retire(bucket, [each for each in listed if each not in covering], shown)


def find(bucket: str, image_key: str) -> tuple[storage.Version, ...]:
    """List what may have to be removed; what is beyond the limit of a listing is counted as left.

    Raises:
        StorageUnavailableError: S3 did not answer.
    """
    listed, are_all = storage.rendition_versions(bucket, image_key)
    if not are_all:
        logger.warning("renditions not cleaned", reason="There are too many versions; not all were listed.")
        count_not_cleaned()
    return listed


def retire(bucket: str, listed: Sequence[storage.Version], shown: Mapping[str, str | None]) -> int:
    """Let everything expire that is not shown; what is not marked stays.

    Args:
        bucket: of the renditions.
        listed: versions of an upload's renditions.
        shown: the keys that the record points at, with the version of each.

    Raises:
        StorageUnavailableError: S3 did not answer.
    """
    there = {version.version_id for version in listed}

    def stays(version: storage.Version) -> bool:
        version_id = shown.get(version.key)
        if version_id in there:
            return version.version_id == version_id
        return version.key in shown and version.latest  # the record points at what is gone: better this than none

    superseded = [version for version in listed if not stays(version)]
    newest = sorted(superseded, key=lambda version: version.written, reverse=True)[:MOST_MARKED]
    storage.mark_superseded(bucket, newest)
    return len(newest)


def _covering(listed: Sequence[storage.Version], shown: Mapping[str, str | None]) -> list[storage.Version]:
    """Versions that are newer than the one of the same name that is shown.

    An execution that failed or had lost its claim wrote the same bytes; nobody was ever given these versions.
    """
    places = {version.version_id: place for place, version in enumerate(listed)}  # S3 lists the newest first
    return [
        version
        for place, version in enumerate(listed)
        if version.key in shown and place < places.get(shown[version.key] or "", 0)
    ]


@contextmanager
def best_effort() -> Iterator[None]:
    """Log what keeps renditions from being removed, for a picture that is finished all the same.

    Whatever cleans the key next removes them too.
    """
    try:
        yield
    except (StorageUnavailableError, *aws.AwsError):
        logger.exception("renditions not cleaned")
        count_not_cleaned()


@contextmanager
def _counted() -> Iterator[None]:
    """Count what will keep renditions from being removed; a service that does not answer is asked again."""
    try:
        yield
    except StorageUnavailableError:
        raise
    except Exception:
        count_not_cleaned()
        raise
