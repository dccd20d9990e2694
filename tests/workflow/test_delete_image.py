"""The workflow for deletions writes a tombstone and removes the image."""

import time

import pytest

from tests.workflow.conftest import PHOTO, deletion, event_again, repair, start

pytestmark = pytest.mark.usefixtures("silent")

DAY = 86_400


def delete(pipeline, event):
    """Start the workflow with an event and return the name of its last state."""
    execution = start(pipeline, event, "DeleteImage")
    assert execution.status == "SUCCEEDED", execution.cause
    return pipeline.states_entered(execution)[-1]


def stored(pipeline, key):
    """Return every version of every rendition of an upload."""
    prefix = key.replace("uploads/", "thumbnails/", 1) + "/"
    bucket = pipeline.outputs["ThumbnailsBucketName"]
    return pipeline.client("s3").list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", [])


@pytest.mark.parametrize(
    ("version", "kind"), [("a-marker", "Delete Marker Created"), (None, "Permanently Deleted")], ids=["marker", "plain"]
)
def test_a_deletion_leaves_a_tombstone_and_no_rendition(pipeline, processed, key, version, kind):
    """The record is DELETED, has no data of the image, and expires."""
    before = processed(key)
    assert stored(pipeline, key)
    assert delete(pipeline, deletion(pipeline, key, version=version, kind=kind)) == "CleanRenditions"
    record = pipeline.record(key)
    assert record["status"] == "DELETED"
    assert record["deletedAt"] == "2026-11-21T12:00:00Z"
    assert record["createdAt"] == before["createdAt"]
    assert not {"image", "exif", "renditions", "labels", "summary", "warnings", "error", "claimedAt"} & record.keys()
    assert 29 * DAY < int(record["expiresAt"]) - time.time() <= 30 * DAY
    assert stored(pipeline, key) == []


def test_a_late_upload_does_not_restore_a_deleted_image(pipeline, processed, key):
    """An event that is older than the deletion changes no record and sends no notification."""
    processed(key)
    late = event_again(pipeline, key, reprocess=False, sequencer="F0")
    delete(pipeline, deletion(pipeline, key))
    tombstone = pipeline.record(key)
    again = start(pipeline, late)
    assert pipeline.states_entered(again)[-1] == "Superseded"
    assert pipeline.record(key) == tombstone


def test_a_deletion_before_its_upload_wins(pipeline, outcome, key):
    """Events arrive in any order, and the first one creates the record."""
    assert delete(pipeline, deletion(pipeline, key)) == "CleanRenditions"
    result = outcome(key, PHOTO)
    assert result.states[-1] == "Superseded"
    assert result.record["status"] == "DELETED"
    assert result.notified == []


def test_an_upload_after_a_deletion_is_processed(pipeline, processed, key):
    """The record of the new upload never expires."""
    processed(key)
    newer = event_again(pipeline, key, reprocess=False, sequencer="F2")
    delete(pipeline, deletion(pipeline, key, sequencer="F1"))
    start(pipeline, newer)
    record = pipeline.record(key)
    assert record["status"] == "COMPLETED"
    assert not {"deletedAt", "expiresAt"} & record.keys()
    assert delete(pipeline, deletion(pipeline, key, sequencer="F1")) == "Superseded"
    assert pipeline.record(key) == record
    assert stored(pipeline, key)


def test_a_duplicate_deletion_changes_nothing(pipeline, processed, key):
    """EventBridge delivers events at least once."""
    processed(key)
    delete(pipeline, deletion(pipeline, key))
    tombstone = pipeline.record(key)
    assert delete(pipeline, deletion(pipeline, key)) == "Superseded"
    assert pipeline.record(key) == tombstone


def test_deleting_an_older_version_keeps_the_image(pipeline, processed, key):
    """A lifecycle permanently deletes noncurrent versions every day."""
    old, new = processed(key), processed(key)
    event = deletion(pipeline, key, version=old["upload"]["versionId"], kind="Permanently Deleted")
    assert delete(pipeline, event) == "Superseded"
    assert pipeline.record(key) == new


def test_deleting_the_shown_version_deletes_the_image(pipeline, processed, key):
    """A newer upload still wins if its event arrives after that of the deletion."""
    version = processed(key)["upload"]["versionId"]
    newer = event_again(pipeline, key, reprocess=False, sequencer="F0")
    assert delete(pipeline, deletion(pipeline, key, version=version, kind="Permanently Deleted")) == "CleanRenditions"
    assert pipeline.record(key)["status"] == "DELETED"
    start(pipeline, newer)
    assert pipeline.record(key)["upload"]["sequencer"] == "F0"


def test_a_deletion_supersedes_a_running_execution(pipeline, outcome, key):
    """The execution has lost its claim, deletes its renditions, and sends no notification."""

    def store(event):
        delete(pipeline, deletion(pipeline, key))
        raise type("SupersededError", (Exception,), {})("Deleted.")

    pipeline.replace("StoreResultsFunction", store)
    result = outcome(key, PHOTO)
    assert result.states[-3:] == ["CleanRenditions", "IsSuperseded", "Superseded"]
    assert result.record["status"] == "DELETED"
    assert result.notified == []
    assert stored(pipeline, key) == []


def test_a_failed_deletion_can_be_redriven(pipeline, processed, key):
    """The execution keeps the error and the state, so no deletion is lost."""
    processed(key)
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=-1, containing=key)
    execution = start(pipeline, deletion(pipeline, key), "DeleteImage")
    assert execution.status == "FAILED"
    assert "AccessDenied" in execution.error
    repair(pipeline)
    assert pipeline.record(key)["status"] == "COMPLETED"
    assert delete(pipeline, deletion(pipeline, key)) == "CleanRenditions"
