"""The workflow for empty objects, which waits for their content."""

import hashlib

import pytest

from tests.asl import machine
from tests.conftest import HEAVY
from tests.workflow.conftest import OTHER, PHOTO, about, deletion, start, statuses, uploaded

pytestmark = pytest.mark.usefixtures("silent")

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


def ended_executions(pipeline, key):
    """Return the executions that process this key, after all have ended."""

    def executions():
        return [execution for execution in pipeline.executions("ProcessImageStateMachine") if execution.key == key]

    pipeline.wait_until(lambda: not any(execution.running for execution in executions()), key)
    return executions()


def test_an_object_that_stays_empty_is_rejected_once(pipeline, key):
    """It is FAILED with one notification, like any other invalid file, also after a duplicate event."""
    event = created(pipeline, key, pipeline.upload(key, b""))
    for _ in range(2):
        assert wait(pipeline, event) == "StartProcessing"
        ended_executions(pipeline, key)
    record = pipeline.record(key)
    assert record["status"] == "FAILED"
    assert (record["error"]["code"], record["error"]["step"]) == ("EmptyUploadError", "ValidateImage")
    assert statuses(about(pipeline, key)) == ["FAILURE"]


def test_the_default_wait_is_ten_seconds(template):
    """The default is documented; this pipeline does not wait."""
    assert machine("wait_for_content").states["WaitForContent"]["Seconds"] == "{% ${EmptyUploadSeconds} %}"
    assert template["Parameters"]["EmptyUploadSeconds"]["Default"] == 10


@pytest.mark.parametrize("before", [False, True], ids=["a new key", "over a good image"])
@pytest.mark.parametrize("late", [False, True], ids=["after the content's event", "before the content's event"])
def test_a_file_that_is_created_before_its_content_is_one_upload(pipeline, processed, key, before, late):
    """In either order of the events, there is one outcome and one notification."""
    if before:
        processed(key)
    empty, full = pipeline.upload(key, b""), pipeline.upload(key, OTHER)
    content = created(pipeline, key, full, "F1", len(OTHER), hashlib.md5(OTHER).hexdigest())
    if not late:
        start(pipeline, content)
    record = pipeline.record(key)
    assert wait(pipeline, created(pipeline, key, empty, "F0")) == "UploadReplaced"
    assert pipeline.record(key) == record
    if late:
        start(pipeline, content)
    record = pipeline.record(key)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", full)
    assert statuses(about(pipeline, key)) == ["SUCCESS"]


def test_an_empty_object_that_is_created_again_is_one_upload(pipeline, key):
    """Only the newest version is rejected."""
    first, second = pipeline.upload(key, b""), pipeline.upload(key, b"")
    assert wait(pipeline, created(pipeline, key, first, "F0")) == "UploadReplaced"
    assert ended_executions(pipeline, key) == []
    assert wait(pipeline, created(pipeline, key, second, "F1")) == "StartProcessing"
    (execution,) = ended_executions(pipeline, key)
    assert execution.version_id == second
    assert statuses(about(pipeline, key)) == ["FAILURE"]


@pytest.mark.parametrize("for_good", [False, True], ids=["marker", "version"])
def test_a_deleted_empty_object_is_not_rejected(pipeline, key, for_good):
    """The deletion has its own event."""
    version = pipeline.upload(key, b"")
    which = {"VersionId": version} if for_good else {}
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key, **which)
    assert wait(pipeline, created(pipeline, key, version)) == "UploadReplaced"
    assert ended_executions(pipeline, key) == []
    assert pipeline.record(key) is None
    assert statuses(about(pipeline, key)) == []


def test_a_late_event_of_a_deleted_empty_object_changes_nothing(pipeline, key):
    """The DELETED record stays."""
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
    pipeline.upload(key, content)
    assert wait(pipeline, created(pipeline, key, None)) == end


@pytest.mark.parametrize("name", ["uploads/workflow/folder/", "uploads/"])
def test_a_folder_marker_is_ignored_quietly(pipeline, name):
    """There is no record, wait, notification or failure."""
    execution = start(pipeline, created(pipeline, name, pipeline.upload(name, b"")), "WaitForContent")
    assert pipeline.record(name) is None
    assert pipeline.states_entered(execution) == ["IsFolderMarker", "FolderMarkerIgnored"]
    assert about(pipeline, name) == []


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
    version = pipeline.upload(key, b"")
    assert wait(pipeline, created(pipeline, key, version)) == "StartProcessing"
    ended_executions(pipeline, key)
    assert pipeline.record(key)["error"]["code"] == "EmptyUploadError"
    pipeline.upload(key, PHOTO)
    assert wait(pipeline, created(pipeline, key, version)) == "UploadReplaced"
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
    assert wait(pipeline, created(pipeline, key, version)) == "UploadReplaced"
