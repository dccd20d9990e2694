"""The workflow for empty objects, which waits for their content."""

import hashlib

import pytest

from tests.asl import machine
from tests.conftest import HEAVY
from tests.pictures import photo
from tests.workflow.conftest import deletion, silent_bucket, start, uploaded

PHOTO = photo(200, 150)
NOTHING = hashlib.md5(b"", usedforsecurity=False).hexdigest()


def created(pipeline, key, version, sequencer="F0", size=0, etag=NOTHING):
    """Return the event of a created object, empty by default."""
    event = uploaded(pipeline, key)
    entity = {"sequencer": sequencer, "size": size, "etag": etag} | ({"version-id": version} if version else {})
    del event["detail"]["object"]["version-id"]
    event["detail"]["object"] |= entity
    return event


def wait(pipeline, event):
    """Start the workflow with an event, and return the state in which it ends."""
    execution = start(pipeline, event, "WaitForContent")
    assert execution.status == "SUCCEEDED", execution.cause
    return pipeline.states_entered(execution)[-1]


def processed(pipeline, key):
    """Return the executions that process this key, after all have ended."""

    def executions():
        return [execution for execution in pipeline.executions("ProcessImageStateMachine") if execution.key == key]

    pipeline.wait_until(lambda: not any(execution.running for execution in executions()), key)
    return executions()


def notified_outcomes(pipeline, key):
    """Return the notified outcomes of this key."""
    sent = [notification["MessageAttributes"] for notification in pipeline.notifications()]
    return [attributes["status"]["Value"] for attributes in sent if attributes["imageKey"]["Value"] == key]


def test_an_object_that_stays_empty_is_rejected_once(pipeline, outcome, key):
    """It is FAILED with one notification, like any other invalid file."""
    result = outcome(key, b"")
    assert result.record["status"] == "FAILED"
    assert (result.record["error"]["code"], result.record["error"]["step"]) == ("EmptyUploadError", "ValidateImage")
    assert result.notified == ["FAILURE"]


def test_the_default_wait_is_ten_seconds(template):
    """The default is documented; this pipeline does not wait."""
    assert machine("wait_for_content").states["WaitForContent"]["Seconds"] == "{% ${EmptyUploadSeconds} %}"
    assert template["Parameters"]["EmptyUploadSeconds"]["Default"] == 10


@pytest.mark.parametrize("before", [None, photo(150, 200)], ids=["a new key", "over a good image"])
@pytest.mark.parametrize("late", [False, True], ids=["after the content's event", "before the content's event"])
def test_a_file_that_is_created_before_its_content_is_one_upload(pipeline, key, before, late):
    """In either order of the events, there is one outcome and one notification."""
    with silent_bucket(pipeline):
        if before:
            version = pipeline.upload(key, before)
            start(pipeline, created(pipeline, key, version, "E0", len(before), hashlib.md5(before).hexdigest()))
        empty, full = pipeline.upload(key, b""), pipeline.upload(key, PHOTO)
        events = [
            lambda: wait(pipeline, created(pipeline, key, empty, "F0")) == "UploadReplaced" or pytest.fail("processed"),
            lambda: start(
                pipeline,
                created(pipeline, key, full, "F1", len(PHOTO), hashlib.md5(PHOTO).hexdigest()),
            ),
        ]
        for deliver in events if late else reversed(events):
            record = pipeline.record(key)
            deliver()
            if late and deliver is events[0]:
                assert pipeline.record(key) == record
    record = pipeline.record(key)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", full)
    assert notified_outcomes(pipeline, key) == ["SUCCESS"] * (2 if before else 1)


def test_an_empty_object_that_is_created_again_is_one_upload(pipeline, key):
    """Only the newest version is rejected."""
    with silent_bucket(pipeline):
        first, second = pipeline.upload(key, b""), pipeline.upload(key, b"")
        assert wait(pipeline, created(pipeline, key, first, "F0")) == "UploadReplaced"
        assert processed(pipeline, key) == []
        assert wait(pipeline, created(pipeline, key, second, "F1")) == "StartProcessing"
    (execution,) = processed(pipeline, key)
    assert execution.version_id == second
    assert notified_outcomes(pipeline, key) == ["FAILURE"]


def test_a_duplicate_event_is_one_upload(pipeline, key):
    """EventBridge delivers events at least once."""
    with silent_bucket(pipeline):
        event = created(pipeline, key, pipeline.upload(key, b""))
        for _ in range(2):
            assert wait(pipeline, event) == "StartProcessing"
            processed(pipeline, key)
    assert pipeline.record(key)["error"]["code"] == "EmptyUploadError"
    assert notified_outcomes(pipeline, key) == ["FAILURE"]


@pytest.mark.parametrize("for_good", [False, True], ids=["marker", "version"])
def test_a_deleted_empty_object_is_not_rejected(pipeline, key, for_good):
    """The deletion has its own event."""
    with silent_bucket(pipeline):
        version = pipeline.upload(key, b"")
        which = {"VersionId": version} if for_good else {}
        pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key, **which)
        assert wait(pipeline, created(pipeline, key, version)) == "UploadReplaced"
    assert processed(pipeline, key) == []
    assert pipeline.record(key) is None
    assert notified_outcomes(pipeline, key) == []


def test_a_late_event_of_a_deleted_empty_object_changes_nothing(pipeline, key):
    """The DELETED record stays."""
    with silent_bucket(pipeline):
        version = pipeline.upload(key, b"")
        pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
        start(pipeline, deletion(pipeline, key, sequencer="F1"), "DeleteImage")
        tombstone = pipeline.record(key)
        assert tombstone["status"] == "DELETED"
        assert wait(pipeline, created(pipeline, key, version, "F0")) == "UploadReplaced"
    assert pipeline.record(key) == tombstone


@pytest.mark.parametrize(("content", "end"), [(b"", "StartProcessing"), (PHOTO, "UploadReplaced")])
def test_the_etag_identifies_an_object_without_a_version(pipeline, key, content, end):
    """An event may have no version."""
    with silent_bucket(pipeline):
        pipeline.upload(key, content)
        assert wait(pipeline, created(pipeline, key, None)) == end


@pytest.mark.parametrize("name", ["uploads/workflow/folder/", "uploads/"])
def test_a_folder_marker_is_ignored_quietly(pipeline, name):
    """There is no record, wait, notification or failure."""
    version = pipeline.upload(name, b"")
    assert pipeline.wait_for(name, version) is None
    (execution,) = [execution for execution in pipeline.executions() if execution.key == name]
    assert pipeline.states_entered(execution) == ["IsFolderMarker", "FolderMarkerIgnored"]
    assert notified_outcomes(pipeline, name) == []


def test_a_key_that_ends_in_a_slash_but_has_bytes_is_an_upload(outcome, key):
    """Only empty objects are folder markers."""
    assert outcome(key + "/", PHOTO).record["status"] == "COMPLETED"


@pytest.mark.parametrize(
    "name",
    [
        "a b+c%20&=ü🏝.jpg",
        "{% $x %}.jpg",
        *(pytest.param(name, marks=HEAVY) for name in ("what?.jpg", "..//x.jpg", "a" * 900)),
    ],
    ids=len,
)
def test_the_wait_supports_every_name(pipeline, name):
    """S3 receives exactly the key."""
    key = f"uploads/waited/{name}"
    with silent_bucket(pipeline):
        version = pipeline.upload(key, b"")
        assert wait(pipeline, created(pipeline, key, version)) == "StartProcessing"
        processed(pipeline, key)
        assert pipeline.record(key)["error"]["code"] == "EmptyUploadError"
        pipeline.upload(key, PHOTO)
        assert wait(pipeline, created(pipeline, key, version)) == "UploadReplaced"
        pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
        assert wait(pipeline, created(pipeline, key, version)) == "UploadReplaced"
