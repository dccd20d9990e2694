"""Wait for the outcome of an upload, for a bounded time.

Each waiting request occupies an execution environment of a function, and anyone may send such requests. Therefore a
request waits for the full time only if the upload is likely to end soon.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from image_pipeline import aws, pauses
from image_pipeline.api import status
from image_pipeline.errors import InvalidRequestError
from image_pipeline.settings import StatusSettings
from image_pipeline.store import records, uploads

MAX_WAIT_SECONDS = 10  # with the slowest possible read, this is less than the function's timeout
MAX_BLIND_WAIT_SECONDS = 2
"""The limit for an upload that may not exist, or whose execution takes long."""
SOON_SECONDS = 30
"""The age up to which an execution is likely to end soon. Most executions take a few seconds."""

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0
_SHORTEST_RETRY = "1"
# S3 documents version ids as opaque strings of at most 1,024 bytes that need no encoding in a URL.
_VERSION_ID = re.compile(r"[!-~]{1,1024}")
_MISSING = ("null", "undefined")  # JavaScript's text for a header that a page cannot read


class WaitRequest(NamedTuple):
    """The parameters of a request."""

    seconds: int = 0
    version_id: str | None = None
    """The upload whose outcome the caller wants; None for the newest one."""


class WaitResult(NamedTuple):
    """The state of an upload at the end of the wait."""

    record: records.Record | None
    """The public view of the record; None when the key was never uploaded."""
    retry_after: str | None
    """Seconds after which to ask again; None when no outcome is pending."""


def parse(parameters: Mapping[str, str], *, may_wait: bool = True) -> WaitRequest:
    """Parse `?wait` and `?versionId`.

    Args:
        parameters: the query parameters.
        may_wait: whether the request waits; if not, `wait` is only checked.

    Raises:
        InvalidRequestError: a parameter is invalid.
    """
    wait = parameters.get("wait", "0")
    version_id = parameters.get("versionId")
    if not (wait.isascii() and wait.isdigit() and len(wait) <= 9 and int(wait) <= MAX_WAIT_SECONDS):
        raise InvalidRequestError(
            f"`wait` is {wait[:80]!r}, not a whole number from 0 to {MAX_WAIT_SECONDS}.",
            "To wait longer, repeat the request.",
        )
    if version_id is not None and (version_id in _MISSING or not _VERSION_ID.fullmatch(version_id)):
        raise InvalidRequestError(
            f"`versionId` is {version_id[:80]!a}, which is not a valid version id.",
            "Send the upload's `versionId`, or S3's header x-amz-version-id; in a URL, encode + as %2B.",
        )
    return WaitRequest(int(wait) if may_wait else 0, version_id)


def find(
    client: aws.Client, *, bucket: str, image_keys: Sequence[str], settings: StatusSettings, request: WaitRequest
) -> WaitResult:
    """Read the record that a request names, and return when it has its outcome or the wait is over.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        image_keys: the keys that the path of the request may mean, the likeliest first.
        settings: the settings of the status API.
        request: the time to wait, and the upload to wait for.

    Raises:
        StorageUnavailableError: AWS was not available.
    """
    started = time.monotonic()

    @cache  # S3 is called again only when the record describes another version
    def is_unclaimed(image_key: str, version_id: str, recorded_version: str | None, is_deleted: bool) -> bool:
        return uploads.is_unclaimed(
            client,
            bucket=bucket,
            image_key=image_key,
            version_id=version_id,
            recorded_version=recorded_version,
            is_deleted=is_deleted,
        )

    def is_pending(record: records.Record | None) -> bool:
        """Return whether the pipeline has not started to process the requested version."""
        recorded_version = uploads.version_of(record)
        if request.version_id is None or recorded_version == request.version_id:
            return False
        is_deleted = record is not None and record["status"] == "DELETED"
        candidates = (record["ImageKey"],) if record else image_keys
        return any(is_unclaimed(key, request.version_id, recorded_version, is_deleted) for key in candidates)

    read_pauses = pauses_between_reads()
    while True:
        record = status.find(client, image_keys, settings)
        pending = is_pending(record)
        limit = min(request.seconds, _max_seconds(record, request, pending))
        remaining = started + limit - time.monotonic()
        if remaining <= 0:
            return WaitResult(record, _retry_after(record, pending))
        time.sleep(min(next(read_pauses), remaining))


def pauses_between_reads() -> Iterator[float]:
    """Return the seconds between two reads of the record."""
    return pauses.growing(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, growth=2)


def _max_seconds(record: records.Record | None, request: WaitRequest, pending: bool) -> int:
    """Return the limit of a wait in seconds; 0 when another read would return the same."""
    if pending:
        return MAX_WAIT_SECONDS
    if record is None:  # S3 does not have a requested version; without one, S3's event may still be on its way
        return 0 if request.version_id else MAX_BLIND_WAIT_SECONDS
    if not status.is_processing(record) or "stale" in record:
        return 0
    return MAX_WAIT_SECONDS if status.age_seconds(record) <= SOON_SECONDS else MAX_BLIND_WAIT_SECONDS


def _retry_after(record: records.Record | None, pending: bool) -> str | None:
    if pending:
        return _SHORTEST_RETRY
    return status.retry_after(record) if record and status.is_processing(record) else None
