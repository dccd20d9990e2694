"""local/watch.py: states and outcomes that `make run` reports."""

from __future__ import annotations

import json
import uuid

from local.pipeline import Pipeline
from local.watch import EnteredState, FinishedUpload, Watch
from tests.pictures import photo


def seen_of(pipeline: Pipeline, key: str, data: bytes) -> tuple[list[str], list[FinishedUpload]]:
    """Upload, wait until all executions have ended, and return the reported states and outcomes."""
    watch = Watch(pipeline)
    pipeline.wait_for(key, pipeline.upload(key, data))
    sights = [sight for sight in watch.poll() if sight.key == key]
    states = [sight.name for sight in sights if isinstance(sight, EnteredState)]
    return states, [sight for sight in sights if isinstance(sight, FinishedUpload)]


def test_an_image_has_one_outcome(pipeline):
    """The outcome follows the states of the execution."""
    states, (outcome,) = seen_of(pipeline, f"uploads/watched/{uuid.uuid4()}.jpg", photo(96, 80))
    assert (states[0], states[-1]) == ("ClaimUpload", "NotifySuccess")
    assert outcome.status == "COMPLETED"


def test_an_empty_upload_waits_and_has_one_outcome(pipeline):
    """The states of the wait are reported, but the wait is not an outcome."""
    states, (outcome,) = seen_of(pipeline, f"uploads/watched/{uuid.uuid4()}.jpg", b"")
    assert states[:2] == ["IsFolderMarker", "WaitForContent"]
    assert states[-1] == "ImageFailed"
    assert (outcome.status, outcome.record["error"]["code"]) == ("FAILED", "EmptyUploadError")
    assert len(outcome.notifications) == 1


def test_a_folder_marker_is_reported_as_ignored(pipeline):
    """A folder marker has no record."""
    states, (outcome,) = seen_of(pipeline, f"uploads/watched/{uuid.uuid4()}/", b"")
    assert states == ["IsFolderMarker", "FolderMarkerIgnored"]
    assert outcome.status == "IGNORED"


def test_a_forged_name_with_half_a_character_does_not_stop_the_watch(pipeline):
    """A forged event has an outcome like any other."""
    key = f"uploads/watched/{uuid.uuid4()}/\ud800.jpg"
    event = {"version": "0", "id": str(uuid.uuid4()), "detail-type": "Object Created", "source": "aws.s3"}
    event["detail"] = {"bucket": {"name": pipeline.uploads_bucket}, "object": {"key": key, "size": 1, "sequencer": "1"}}
    watch = Watch(pipeline)
    pipeline.client("stepfunctions").start_execution(
        stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"],
        name=str(uuid.uuid4()),
        input=json.dumps(event),
    )
    sights = []
    pipeline.wait_until(lambda: sights.extend(watch.poll()) or any(isinstance(s, FinishedUpload) for s in sights), key)
    (outcome,) = [sight for sight in sights if isinstance(sight, FinishedUpload) and sight.key == key]
    assert outcome.status == "IGNORED"
