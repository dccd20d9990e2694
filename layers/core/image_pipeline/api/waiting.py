"""How long a request waits for the outcome of an upload, and of which upload.

Each request that waits holds an execution of a function, and anyone may send it. So only an upload that is likely to
end soon is waited for as long as the caller asks.
"""

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from image_pipeline import aws, keys
from image_pipeline.api import status
from image_pipeline.errors import InvalidRequestError
from image_pipeline.settings import StatusSettings
from image_pipeline.store import records, uploads

MOST_WAIT_SECONDS = 10  # with what a read may take at worst, this is less than the function's timeout
MOST_BLIND_WAIT_SECONDS = 2
"""For what may never come: a name that anyone may have made up, or an execution that takes long."""
SOON_SECONDS = 30
"""How old an execution may be that is likely to end soon. Most take a few seconds."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0  # seconds between two looks
_SOONEST = "1"
# S3 calls version ids opaque strings of at most 1,024 bytes that need no encoding in a URL.
_VERSION_ID = re.compile(r"[!-~]{1,1024}")
_MISSING = ("null", "undefined")  # what JavaScript makes of a header that it cannot read


@dataclass(frozen=True)
class Wait:
    """What a request asks for."""

    seconds: int = 0
    version_id: str | None = None
    """Of the upload whose outcome the caller wants; None for whatever is the newest."""


@dataclass(frozen=True)
class Found:
    """What is known of an upload when the wait is over."""

    record: records.Record | None
    """As anybody may know it; None when that key was never uploaded."""
    retry_after: str | None
    """Seconds after which it is worth to ask again; None when nothing more is to be expected."""


def parse(parameters: Mapping[str, str]) -> Wait:
    """What `?wait` and `?versionId` ask for.

    Raises:
        InvalidRequestError: one of them is not what it must be.
    """
    wait, version_id = parameters.get("wait", "0"), parameters.get("versionId")
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 9 and int(wait) <= MOST_WAIT_SECONDS):
        raise InvalidRequestError(
            f"`wait` is {wait[:80]!r}.", f"Ask for 0 to {MOST_WAIT_SECONDS} whole seconds, as often as you like."
        )
    if version_id is not None and (version_id in _MISSING or not _VERSION_ID.fullmatch(version_id)):
        raise InvalidRequestError(
            f"`versionId` is {version_id[:80]!a}, which cannot be the id of a version in S3.",
            "Send the upload's `versionId`, or S3's header x-amz-version-id; in a URL, a + in it is %2B.",
        )
    return Wait(int(wait), version_id)


def find(client: aws.Client, bucket: str, path: str, settings: StatusSettings, wait: Wait) -> Found:
    """Read the record that a request means, as soon as it has the outcome or the wait is over.

    Args:
        client: gives clients.
        bucket: of the uploads.
        path: of the request, decoded once.
        settings: where the records are.
        wait: for how long, and for which upload.

    Raises:
        InvalidKeyError: the path cannot be a key.
        StorageUnavailableError: AWS did not answer.
    """
    started = time.monotonic()

    @cache  # S3 is asked again only when the record is about something else
    def is_unclaimed(image_key: str, version_id: str, held: str | None, is_deleted: bool) -> bool:
        return uploads.is_unclaimed(client, bucket, image_key, version_id, held=held, is_deleted=is_deleted)

    def is_coming(record: records.Record | None) -> bool:
        """Whether the pipeline has yet to begin with the version that the caller means."""
        held = uploads.version_of(record)
        if wait.version_id is None or held == wait.version_id:
            return False
        is_deleted = record is not None and record["status"] == "DELETED"
        candidates = (record["ImageKey"],) if record else keys.image_keys(path)
        return any(is_unclaimed(image_key, wait.version_id, held, is_deleted) for image_key in candidates)

    pauses = _pauses()
    while True:
        record = status.find(path, settings)
        coming = is_coming(record)
        left = started + min(wait.seconds, _most_seconds(record, wait, coming)) - time.monotonic()
        if left <= 0:
            return Found(record, _retry_after(record, coming))
        time.sleep(min(next(pauses), left))


def most_looks(seconds: float) -> int:
    """How often the records are read at most by a request that waits for so long."""
    ends = itertools.accumulate(_pauses())
    return 2 + sum(1 for _ in itertools.takewhile(lambda end: end < seconds, ends))


def _pauses() -> Iterator[float]:
    """Seconds between two looks."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def _most_seconds(record: records.Record | None, wait: Wait, coming: bool) -> int:
    """For how long a request may wait: 0 when another look would find the same."""
    if coming:
        return MOST_WAIT_SECONDS
    if record is None:  # S3 would have the version if there was one, and may not have sent the event of any other yet
        return 0 if wait.version_id else MOST_BLIND_WAIT_SECONDS
    if not status.under_way(record) or "stale" in record:
        return 0
    return MOST_WAIT_SECONDS if status.age_seconds(record) <= SOON_SECONDS else MOST_BLIND_WAIT_SECONDS


def _retry_after(record: records.Record | None, coming: bool) -> str | None:
    if coming:
        return _SOONEST
    return status.retry_after(record) if record and status.under_way(record) else None
