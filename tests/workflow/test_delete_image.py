"""The workflow for deletions: a tombstone, and nothing left of the picture."""

import time

import pytest

from tests.pictures import photo
from tests.workflow.conftest import deletion, start, start_again

PHOTO = photo(200, 150)
DAY = 86_400


def delete(pipeline, event):
    """Deliver it, and name the state in which it ends."""
    execution = start(pipeline, event, "DeleteImage")
    assert execution.status == "SUCCEEDED", execution.cause
    return pipeline.states_entered(execution)[-1]


def stored(pipeline, key):
    """Every version of every rendition of an upload."""
    prefix = key.replace("uploads/", "thumbnails/", 1) + "/"
    bucket = pipeline.outputs["ThumbnailsBucketName"]
    return pipeline.client("s3").list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", [])


@pytest.mark.parametrize(
    ("version", "kind"), [("a-marker", "Delete Marker Created"), (None, "Permanently Deleted")], ids=["marker", "plain"]
)
def test_a_deletion_leaves_a_tombstone_and_no_rendition(pipeline, outcome, key, version, kind):
    """DELETED, with nothing of the picture, until it expires."""
    before = outcome(key, PHOTO)
    assert stored(pipeline, key)
    assert delete(pipeline, deletion(pipeline, key, version=version, kind=kind)) == "CleanRenditions"
    record = pipeline.record(key)
    assert record["status"] == "DELETED"
    assert record["deletedAt"] == "2026-11-21T12:00:00Z"
    assert record["createdAt"] == before.record["createdAt"]
    assert not {"image", "exif", "renditions", "labels", "summary", "warnings", "error", "claimedAt"} & record.keys()
    assert 29 * DAY < int(record["expiresAt"]) - time.time() <= 30 * DAY
    assert stored(pipeline, key) == []


def test_a_late_upload_does_not_bring_the_dead_back(pipeline, outcome, key):
    """Its event is older than the deletion: nothing is written, nobody is told."""
    first = outcome(key, PHOTO)
    delete(pipeline, deletion(pipeline, key))
    tombstone = pipeline.record(key)
    again = start_again(pipeline, first.execution, sequencer="F0")
    assert pipeline.states_entered(again)[-1] == "Superseded"
    assert pipeline.record(key) == tombstone


def test_a_deletion_that_comes_before_its_upload_wins(pipeline, outcome, key):
    """Events come in any order; the record is made by whichever is first."""
    assert delete(pipeline, deletion(pipeline, key)) == "CleanRenditions"
    result = outcome(key, PHOTO)
    assert result.states[-1] == "Superseded"
    assert result.record["status"] == "DELETED"
    assert result.notified == []


def test_a_newer_upload_lives(pipeline, outcome, key):
    """Deleted, uploaded again: a picture like any other, which never expires."""
    first = outcome(key, PHOTO)
    delete(pipeline, deletion(pipeline, key, sequencer="F1"))
    start_again(pipeline, first.execution, sequencer="F2")
    record = pipeline.record(key)
    assert record["status"] == "COMPLETED"
    assert not {"deletedAt", "expiresAt"} & record.keys()
    assert delete(pipeline, deletion(pipeline, key, sequencer="F1")) == "Superseded"
    assert pipeline.record(key) == record
    assert stored(pipeline, key)


def test_a_deletion_that_is_delivered_twice_changes_nothing(pipeline, outcome, key):
    """At least once is what EventBridge promises."""
    outcome(key, PHOTO)
    delete(pipeline, deletion(pipeline, key))
    tombstone = pipeline.record(key)
    assert delete(pipeline, deletion(pipeline, key)) == "Superseded"
    assert pipeline.record(key) == tombstone


def test_the_end_of_an_older_version_does_not_end_the_picture(pipeline, outcome, key):
    """Lifecycles delete noncurrent versions for good, every day."""
    old = outcome(key, PHOTO)
    new = outcome(key, PHOTO)
    event = deletion(pipeline, key, version=old.execution.version_id, kind="Permanently Deleted")
    assert delete(pipeline, event) == "Superseded"
    assert pipeline.record(key) == new.record


def test_the_end_of_the_version_that_is_shown_ends_the_picture(pipeline, outcome, key):
    """And says nothing of the order: a newer upload whose event comes later still wins."""
    result = outcome(key, PHOTO)
    event = deletion(pipeline, key, version=result.execution.version_id, kind="Permanently Deleted")
    assert delete(pipeline, event) == "CleanRenditions"
    assert pipeline.record(key)["status"] == "DELETED"
    start_again(pipeline, result.execution, sequencer="F0")
    assert pipeline.record(key)["upload"]["sequencer"] == "F0"


def test_a_deletion_while_the_picture_is_processed(pipeline, outcome, key):
    """The execution finds its claim gone, cleans what it wrote, and tells nobody."""

    def store(event):
        delete(pipeline, deletion(pipeline, key))
        raise type("SupersededError", (Exception,), {})("Deleted.")

    pipeline.replace("StoreResultsFunction", store)
    result = outcome(key, PHOTO)
    assert result.states[-3:] == ["CleanRenditions", "IsSuperseded", "Superseded"]
    assert result.record["status"] == "DELETED"
    assert result.notified == []
    assert stored(pipeline, key) == []


def test_what_cannot_be_deleted_now_fails_so_that_it_can_be_redriven(pipeline, outcome, key):
    """No deletion is forgotten: the execution keeps the error and the place."""
    outcome(key, PHOTO)
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=-1, containing=key)
    execution = start(pipeline, deletion(pipeline, key), "DeleteImage")
    assert execution.status == "FAILED"
    assert "AccessDenied" in execution.error
    pipeline.clear()
    assert pipeline.record(key)["status"] == "COMPLETED"
    assert delete(pipeline, deletion(pipeline, key)) == "CleanRenditions"
