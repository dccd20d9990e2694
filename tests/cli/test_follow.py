"""cli.follow: what counts as the outcome of an upload."""

from __future__ import annotations

import pytest

from cli.follow import Attempt, Outcomes, Upload, is_outcome

UPLOAD = Upload("v2", "e2", "2026-11-02T12:00:00Z")


@pytest.mark.parametrize(
    ("status", "upload", "expected"),
    [
        ("PROCESSING", {"versionId": "v2", "etag": "e2", "uploadedAt": "2026-11-02T12:00:00Z"}, False),
        ("COMPLETED", {"versionId": "v2", "etag": "e2", "uploadedAt": "2026-11-02T12:00:00Z"}, True),
        ("COMPLETED", {"versionId": "v1", "etag": "e2", "uploadedAt": "2026-11-01T12:00:00Z"}, False),
        ("FAILED", {"versionId": "v3", "etag": "e3", "uploadedAt": "2026-11-03T12:00:00Z"}, True),
    ],
)
def test_an_outcome_is_of_this_upload_or_of_what_came_after_it(status, upload, expected):
    """What the record said before is none."""
    assert is_outcome({"status": status, "upload": upload}, UPLOAD) is expected


@pytest.mark.parametrize(
    ("deleted_at", "expected"), [("2026-11-01T12:00:00.000Z", False), ("2026-11-02T12:00:01.000Z", True)]
)
def test_a_deletion_may_be_all_that_is_known_of_a_key(deleted_at, expected):
    """A deletion whose upload was never seen leaves a record without one; it counts when it came after the upload."""
    tombstone = {"status": "DELETED", "deletedAt": deleted_at}
    assert is_outcome(tombstone, UPLOAD) is expected
    assert is_outcome(tombstone, None)


FAILED_AGAIN = {"code": "CorruptImageError", "message": "m", "hint": "h", "executionId": "again", "at": "2026"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "COMPLETED", "execution": {"id": "first"}}, False),
        ({"status": "PROCESSING", "execution": {"id": "again"}}, False),
        ({"status": "COMPLETED", "execution": {"id": "again"}}, True),
        ({"status": "COMPLETED", "execution": {"id": "first"}, "lastFailure": FAILED_AGAIN}, True),
        ({"status": "DELETED", "execution": {"id": "deletion"}}, True),
    ],
)
def test_the_outcome_of_a_reprocess_is_its_own_or_what_came_after_it(body, expected):
    """The picture that it may keep was there before, so only the attempt tells."""
    assert is_outcome(body, Attempt("first")) is expected


def test_the_failure_before_is_not_that_of_this_attempt():
    """The record tells of it until the new attempt has claimed it."""
    before = {"status": "COMPLETED", "execution": {"id": "first"}, "lastFailure": FAILED_AGAIN}
    assert not is_outcome(before, Attempt("again"))
    assert is_outcome({**before, "lastFailure": {**FAILED_AGAIN, "executionId": "third"}}, Attempt("again"))


def test_a_picture_that_was_kept_counts_as_a_failure():
    """Its status is that of the picture, the exit code that of the attempt."""
    outcomes = Outcomes({"uploads/a.jpg": None})
    kept = {"ImageKey": "uploads/a.jpg", "status": "COMPLETED", "execution": {"id": "e"}, "lastFailure": FAILED_AGAIN}
    outcomes.note(kept)
    assert (outcomes.code, outcomes.statuses) == (4, {"COMPLETED": 1})
    outcomes.note({name: value for name, value in kept.items() if name != "lastFailure"})
    assert outcomes.code == 0
