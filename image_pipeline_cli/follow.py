"""Read the status of uploads, and follow uploads until each has an outcome."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline import aws, pauses
from image_pipeline.api import status
from image_pipeline.store import records, uploads
from image_pipeline_cli import parallel, terminal
from image_pipeline_cli.exits import IMAGE_FAILED, OK, TIMED_OUT
from image_pipeline_cli.stack import Stack

Body = dict[str, Any]
"""The answer of the status API, with internal errors in full."""

_URL_SECONDS = 900
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 3.0
_JOBS = 8
_MISSING_CODES = frozenset({"404", "NoSuchKey"})


@dataclass(frozen=True)
class Version:
    """One version of an uploaded object."""

    version_id: str | None
    etag: str


@dataclass(frozen=True)
class Attempt:
    """One attempt to process an upload again."""

    previous: str | None
    """The execution of the previous attempt; None if there was no record."""


Target = Version | Attempt | None
"""What to wait for: the outcome of a version, of an attempt, or any outcome."""
IsOutcome = Callable[[Body, Target], bool]
"""Returns whether a body has the outcome of the target or of its successor."""


def head(s3: Any, bucket: str, image_key: str) -> Any:
    """Read the metadata of an object; None if it does not exist."""
    try:
        return s3.head_object(Bucket=bucket, Key=image_key)
    except ClientError as error:
        if aws.code_of(error) in _MISSING_CODES:
            return None
        raise


def newest_uploads(stack: Stack, image_keys: Collection[str], jobs: int) -> dict[str, Version | None]:
    """Read the newest version of each key; None for a key that is not in the bucket."""
    s3 = stack.client("s3")
    bucket = stack.outputs["UploadsBucketName"]

    def read_version(image_key: str) -> tuple[str, Version | None]:
        head_response = head(s3, bucket, image_key)
        # The console of S3 creates folders as empty objects. The workflow ignores them, so they never have an outcome.
        if head_response is None or (image_key.endswith("/") and not head_response["ContentLength"]):
            return image_key, None
        return image_key, Version(head_response.get("VersionId"), head_response["ETag"].strip('"'))

    versions = dict(parallel.run(read_version, list(image_keys), jobs))
    return {image_key: versions[image_key] for image_key in image_keys}  # in the order of the arguments


def read(stack: Stack, image_keys: Iterable[str]) -> dict[str, Body]:
    """Read the status of each key; keys that were never uploaded are omitted."""
    keys = [records.item_key(image_key) for image_key in dict.fromkeys(image_keys)]
    items = records.read_many(stack.client, stack.outputs["ImageTableName"], keys, consistent=True)
    return {
        item["ImageKey"]: status.full_status(
            stack.client,
            records.public_attributes(item),
            max_execution_seconds=stack.workflow.seconds,
            url_seconds=_URL_SECONDS,
        )
        for item in items
    }


def outcome_test(stack: Stack) -> IsOutcome:
    """Return a function that recognises outcomes; it asks S3 only once which of two versions is newer."""
    is_unclaimed = cache(partial(uploads.is_unclaimed, stack.client, bucket=stack.outputs["UploadsBucketName"]))

    def is_outcome(body: Body, target: Target) -> bool:
        if body["status"] == "PROCESSING":
            return False
        if target is None:
            return True
        if isinstance(target, Attempt):
            return records.last_attempt(body) != target.previous
        version_id = target.version_id or uploads.NULL_VERSION
        recorded_version = uploads.version_of(body)
        if recorded_version == version_id and body["upload"].get("etag") == target.etag:
            return True
        is_deleted = body["status"] == "DELETED"
        return not is_unclaimed(
            image_key=body["imageKey"],
            version_id=version_id,
            recorded_version=recorded_version,
            is_deleted=is_deleted,
        )

    return is_outcome


def has_failed(body: Body) -> bool:
    """Return whether the last attempt failed, whether a previous image was kept or not."""
    return body["status"] == "FAILED" or "lastFailure" in body


def failure_reason(body: Body) -> str:
    """Return why the last attempt failed; empty if it succeeded."""
    if "lastFailure" in body:
        return f"The last attempt failed and the previous image was kept: {body['lastFailure']['message']}"
    message: str = body.get("error", {}).get("message", "")
    return message


def line(body: Body) -> tuple[Any, ...]:
    """Format an outcome as the arguments of `terminal.say`."""
    reason = failure_reason(body)
    return terminal.styled(body["status"], 10), body["imageKey"], (f"  {reason}" if reason else "", "dim")


def changes(stack: Stack, targets: Mapping[str, Target], seconds: float, is_outcome: IsOutcome) -> Iterator[Body]:
    """Yield the status of each key, again after each change, until every target has its outcome.

    Args:
        stack: The stack to read from.
        targets: What to wait for, by key.
        seconds: The timeout.
        is_outcome: The function that `outcome_test` returned.
    """
    waiting = dict(targets)
    reported: dict[str, Any] = {}
    deadline = time.monotonic() + seconds
    read_pauses = _pauses_between_reads()

    def has_outcome(body: Body) -> tuple[str, bool]:
        return body["imageKey"], is_outcome(body, waiting[body["imageKey"]])

    while waiting:
        changed = False
        bodies = read(stack, waiting)
        have_outcome = dict(parallel.run(has_outcome, list(bodies.values()), _JOBS))
        for image_key, body in bodies.items():
            ended = have_outcome[image_key]
            stage = body["status"], body["execution"]["id"], ended
            if reported.get(image_key) != stage:
                reported[image_key] = stage
                changed = True
                yield body
            if ended:
                del waiting[image_key]
        remaining = deadline - time.monotonic()
        if not waiting or remaining <= 0:
            return
        time.sleep(min(next(read_pauses), remaining))
        if changed:
            read_pauses = _pauses_between_reads()


def _pauses_between_reads() -> Iterator[float]:
    """Return pauses that grow while nothing changes."""
    return pauses.growing(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, growth=1.5)


class Outcomes:
    """Collects the outcomes of uploads."""

    def __init__(self, targets: Mapping[str, Target], is_outcome: IsOutcome) -> None:
        self.targets = targets
        self._is_outcome = is_outcome
        self._ended: dict[str, str] = {}
        self._failed: set[str] = set()

    def record(self, body: Body) -> bool:
        """Record a change; return whether it is an outcome."""
        image_key = body["imageKey"]
        ended = self._is_outcome(body, self.targets[image_key])
        if ended:
            self._ended[image_key] = body["status"]
            if has_failed(body):
                self._failed.add(image_key)
            else:
                self._failed.discard(image_key)
        return ended

    @property
    def statuses(self) -> dict[str, int]:
        """The number of uploads by status."""
        return dict(sorted(Counter(self._ended.values()).items()))

    @property
    def pending(self) -> list[str]:
        """The keys without an outcome."""
        return [image_key for image_key in self.targets if image_key not in self._ended]

    @property
    def code(self) -> int:
        """The exit code for these outcomes."""
        if self._failed:
            return IMAGE_FAILED
        return TIMED_OUT if self.pending else OK
