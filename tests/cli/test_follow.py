"""cli.follow: what counts as the outcome of an upload."""

from __future__ import annotations

import pytest

from cli.follow import Upload, is_outcome

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
