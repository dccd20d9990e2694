"""functions/clean_renditions"""

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from tests.conftest import metrics, put_record
from tests.unit.store.test_cleanup import marked, rendition


def event(outcome="FAILED", error="KeyError"):
    return {"imageKey": "uploads/a.jpg", "outcome": outcome, "error": error, "executionId": "execution-1"}


def test_unreferenced_renditions_are_cleaned(handler):
    """Only the renditions of the failed upload are removed."""
    unreferenced, foreign = rendition("uploads/a.jpg", "1"), rendition("uploads/b.jpg", "1")
    put_record("uploads/a.jpg", status="FAILED")
    assert handler(event())["cleaned"] == 1
    assert marked() == {unreferenced.version_id}
    assert foreign.version_id not in marked()


@pytest.mark.parametrize(
    ("outcome", "error", "counted"),
    [
        ("FAILED", "KeyError", {"ImageFailed": 1, "ImageCompleted": 0, "ImagePartial": 0}),
        ("FAILED", "EmptyUploadError", {"ImageRejected": 1}),
        ("SUPERSEDED", None, None),
        ("DELETED", None, None),
    ],
)
def test_a_failure_is_counted_once(handler, capsys, outcome, error, counted):
    """Only this function counts failures, and each only once."""
    handler(event(outcome, error))
    assert metrics(capsys) == ([counted] if counted else [])


def test_a_failure_is_counted_even_if_nothing_can_be_cleaned(handler, capsys):
    """An outage of S3 must not hide the failures that it causes."""
    with Stubber(clients.client("s3")) as stub:
        stub.add_client_error("list_object_versions", "AccessDenied", http_status_code=403)
        with pytest.raises(Exception, match="AccessDenied"):
            handler(event())
    assert [next(iter(line)) for line in metrics(capsys)] == ["ImageCompleted", "RenditionsNotCleaned"]
