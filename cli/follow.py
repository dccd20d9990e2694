"""How uploads go: read their records, and follow them until each has its outcome."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from botocore.exceptions import ClientError

from cli import parallel, terminal
from cli.exits import NO_OUTCOME, OK, PICTURE_FAILED
from cli.stack import Stack
from image_pipeline import aws
from image_pipeline.api import status
from image_pipeline.store import records, uploads

Body = dict[str, Any]
"""What the status API answers; faults of the inside are told in full."""

_AT_ONCE = 100  # DynamoDB's limit of keys in a request
_URL_SECONDS = 900
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.2, 3.0, 1.5  # seconds; while nothing happens, it is asked less often
_JOBS = 8
_MISSING_CODES = frozenset({"404", "NoSuchKey"})


@dataclass(frozen=True)
class Upload:
    """One upload of a key."""

    version_id: str | None
    etag: str


@dataclass(frozen=True)
class Attempt:
    """One reprocess of an upload."""

    before: str | None
    """The execution that the record told of last before it; None where there was no record."""


Wanted = Upload | Attempt | None
"""What is waited for: an upload, a reprocess, or any outcome."""
IsOutcome = Callable[[Body, Wanted], bool]
"""Whether a record has the outcome of what is wanted, or of what replaced it."""


def head(s3: Any, bucket: str, image_key: str) -> Any:
    """Look at an object; None when there is none."""
    try:
        return s3.head_object(Bucket=bucket, Key=image_key)
    except ClientError as error:
        if aws.code_of(error) in _MISSING_CODES:
            return None
        raise


def uploaded(stack: Stack, image_keys: Collection[str], jobs: int) -> dict[str, Upload | None]:
    """Look which upload of each key is the newest; None for a key that is not in the bucket."""
    s3, bucket = stack.client("s3"), stack.outputs["UploadsBucketName"]

    def look(image_key: str) -> tuple[str, Upload | None]:
        found = head(s3, bucket, image_key)
        # S3's console makes a folder by an empty object, which the workflow passes over: nobody shall wait for it.
        if found is None or (image_key.endswith("/") and not found["ContentLength"]):
            return image_key, None
        return image_key, Upload(found.get("VersionId"), found["ETag"].strip('"'))

    found = dict(parallel.each(look, list(image_keys), jobs))
    return {image_key: found[image_key] for image_key in image_keys}  # as they were named, not as they were found


def read(stack: Stack, image_keys: Iterable[str]) -> dict[str, Body]:
    """Read what is known of keys; those that were never uploaded are left out."""
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


def judge(stack: Stack) -> IsOutcome:
    """Make what tells outcomes; it asks S3 which of two uploads is the newer one, once for each pair."""
    is_unclaimed = cache(partial(uploads.is_unclaimed, stack.client, bucket=stack.outputs["UploadsBucketName"]))

    def is_outcome(body: Body, wanted: Wanted) -> bool:
        if body["status"] == "PROCESSING":
            return False
        if wanted is None:
            return True
        if isinstance(wanted, Attempt):
            return records.last_attempt(body) != wanted.before
        version_id, held = wanted.version_id or uploads.NULL_VERSION, uploads.version_of(body)
        if held == version_id and body["upload"].get("etag") == wanted.etag:
            return True
        is_deleted = body["status"] == "DELETED"
        return not is_unclaimed(
            image_key=body["imageKey"], version_id=version_id, recorded_version=held, is_deleted=is_deleted
        )

    return is_outcome


def has_failed(body: Body) -> bool:
    """Whether the last attempt failed, with nothing to show or with the previous picture kept."""
    return body["status"] == "FAILED" or "lastFailure" in body


def reason(body: Body) -> str:
    """Say why the last attempt failed; the empty text when it did not."""
    if "lastFailure" in body:
        return f"The last attempt failed, and the picture was kept: {body['lastFailure']['message']}"
    message: str = body.get("error", {}).get("message", "")
    return message


def line(body: Body) -> tuple[Any, ...]:
    """One line about an outcome, for `terminal.say`."""
    why = reason(body)
    return terminal.styled(body["status"], 10), body["imageKey"], (f"  {why}" if why else "", "dim")


def changes(stack: Stack, wanted: Mapping[str, Wanted], seconds: float, is_outcome: IsOutcome) -> Iterator[Body]:
    """Give what is known of each key, again whenever its status changes, until each has the wanted outcome.

    Args:
        stack: Where.
        wanted: The upload or the reprocess that is meant, by key.
        seconds: When to give up.
        is_outcome: What `judge` gave.
    """
    waiting, told = dict(wanted), dict[str, Any]()
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE

    def has_outcome(body: Body) -> tuple[str, bool]:
        return body["imageKey"], is_outcome(body, waiting[body["imageKey"]])

    while waiting:
        news = 0
        bodies = read(stack, waiting)
        have_outcome = dict(parallel.each(has_outcome, list(bodies.values()), _JOBS))
        for image_key, body in bodies.items():
            ended = have_outcome[image_key]
            stage = body["status"], body["execution"]["id"], ended
            if told.get(image_key) != stage:
                told[image_key] = stage
                news += 1
                yield body
            if ended:
                del waiting[image_key]
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            return
        time.sleep(min(pause, left))
        pause = _FIRST_PAUSE if news else min(pause * _GROWTH, _LONGEST_PAUSE)


class Outcomes:
    """Counts what has come of uploads."""

    def __init__(self, wanted: Mapping[str, Wanted], is_outcome: IsOutcome) -> None:
        self.wanted = wanted
        self._is_outcome = is_outcome
        self._ended: dict[str, str] = {}
        self._failed: set[str] = set()

    def note(self, body: Body) -> bool:
        """Take note of a change; tell whether it is an outcome."""
        image_key = body["imageKey"]
        ended = self._is_outcome(body, self.wanted[image_key])
        if ended:
            self._ended[image_key] = body["status"]
            (self._failed.add if has_failed(body) else self._failed.discard)(image_key)
        return ended

    @property
    def statuses(self) -> dict[str, int]:
        """How many have each status."""
        return dict(sorted(Counter(self._ended.values()).items()))

    @property
    def open(self) -> list[str]:
        """Those without an outcome."""
        return [image_key for image_key in self.wanted if image_key not in self._ended]

    @property
    def code(self) -> int:
        """The exit code that says so."""
        if self._failed:
            return PICTURE_FAILED
        return NO_OUTCOME if self.open else OK
