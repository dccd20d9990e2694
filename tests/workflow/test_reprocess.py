"""A failed reprocess keeps the previous image and is reported in `lastFailure`."""

import json
import uuid

import pytest

from image_pipeline import errors
from tests.conftest import ROOT, crossed
from tests.workflow.conftest import (
    OTHER,
    PHOTO,
    about,
    deletion,
    ended,
    event_again,
    put,
    put_item,
    renditions,
    repair,
    start,
    statuses,
    uploaded,
)
from tests.workflow.test_process_image import SOUND, error_named, failing, overtake, rejection

pytestmark = pytest.mark.usefixtures("silent")

FAILURE = {"code": "OlderError", "message": "m", "hint": "h", "step": "s", "executionId": "older", "at": "2020-01-01"}
"""The `lastFailure` of an earlier attempt."""
STEPS = ["ClaimUpload", "ValidateImage", "GenerateThumbnails", "StoreResults"]


def reprocess(pipeline, key):
    """Process an unchanged upload again, and wait for the end of the execution."""
    return start(pipeline, event_again(pipeline, key, reprocess=True))


def shown(record):
    """Return the visible fields, without those that a failed attempt may change."""
    return {name: value for name, value in record.items() if name not in ("lastFailure", "updatedAt")}


def break_step(pipeline, step, key, error):
    """Make a step of the next execution fail; a step that writes fails after its write."""
    if step == "ClaimUpload":
        pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=1, containing=key)
    else:
        pipeline.replace(f"{step}Function", failing("", error, -1, []))


@pytest.mark.parametrize(
    ("step", "error"),
    crossed(STEPS, [rejection(), error_named("SettingsError", "Line 3 of recipes.toml.\nCorrect it.")]),
)
def test_a_failed_reprocess_keeps_image_and_outcome(pipeline, processed, key, step, error):
    """After a failure of any step, only `lastFailure` is new, and one notification has reason and hint."""
    before = processed(key)
    break_step(pipeline, step, key, error)
    execution = reprocess(pipeline, key)
    assert execution.status == "FAILED"
    record = pipeline.record(key)
    assert shown(record) == shown(before)
    failure = record["lastFailure"]
    assert failure.keys() == {"code", "message", "hint", "step", "executionId", "at"}
    assert (failure["step"], failure["executionId"]) == (step, execution.name)
    assert before["updatedAt"] < failure["at"] <= record["updatedAt"]
    if step != "ClaimUpload":
        assert (failure["code"], execution.error) == (type(error).__name__,) * 2
        assert f"{failure['message']}\n{failure['hint']}" == str(error)
    (notification,) = about(pipeline, key)
    assert statuses([notification]) == ["FAILURE"]
    assert "previous renditions stay" in notification["Message"]
    assert all(word in notification["Message"] for word in (key, failure["message"], failure["hint"], execution.arn))
    assert not notification["Subject"].startswith("Image failed")


def test_a_typo_in_the_recipes_is_reported_and_keeps_the_image(pipeline, processed, key, tmp_path):
    """The error has the line; after the fix, the next attempt succeeds."""
    before = processed(key)
    typo = tmp_path / "recipes.toml"
    typo.write_text("[recipes.web]\nwidht = 100\nheight = 100\n")
    source = (ROOT / "functions" / "generate_thumbnails" / "app.py").read_text()
    broken = f"""
from pathlib import Path
from image_pipeline.imaging import recipes
load = recipes.load
recipes.load = lambda: load(Path({str(typo)!r}))
"""
    pipeline.alter("GenerateThumbnailsFunction", source=broken + source)
    reprocess(pipeline, key)
    record = pipeline.record(key)
    assert shown(record) == shown(before)
    assert record["lastFailure"]["code"] == "SettingsError"
    assert "line 2" in record["lastFailure"]["message"]
    repair(pipeline)
    reprocess(pipeline, key)
    assert "lastFailure" not in pipeline.record(key)


def test_a_failed_reprocess_keeps_renditions_with_the_same_keys(pipeline, processed, key):
    """The same content has the same keys; versions of the failed attempt do not replace the old ones."""
    before = processed(key)
    break_step(pipeline, "StoreResults", key, error_named("BrokenError"))
    execution = reprocess(pipeline, key)
    assert "ExtractMetadata" in pipeline.states_entered(execution), "renditions were written"
    pointed_at = {rendition["versionId"] for rendition in before["renditions"]}
    assert {rendition["versionId"] for rendition in pipeline.record(key)["renditions"]} == pointed_at
    assert renditions(pipeline, key)[0].keys() == pointed_at


def test_the_next_success_removes_the_failure(pipeline, processed, key):
    """`lastFailure` is removed."""
    processed(key, lastFailure=FAILURE)
    execution = reprocess(pipeline, key)
    record = pipeline.record(key)
    assert (record["status"], record["execution"]["id"]) == ("COMPLETED", execution.name)
    assert "lastFailure" not in record


def test_the_newest_failure_is_shown(pipeline, processed, key):
    """Each failed attempt replaces `lastFailure`."""
    before = processed(key, lastFailure=FAILURE)
    break_step(pipeline, "ValidateImage", key, error_named("SecondError"))
    execution = reprocess(pipeline, key)
    record = pipeline.record(key)
    assert (record["lastFailure"]["code"], record["lastFailure"]["executionId"]) == ("SecondError", execution.name)
    assert shown(record) == shown(before)


def test_a_failed_reprocess_keeps_a_partial_image(pipeline, processed, key):
    """PARTIAL is an outcome, too."""
    before = processed(key, status="PARTIAL", labels=[])
    break_step(pipeline, "ValidateImage", key, rejection())
    reprocess(pipeline, key)
    assert shown(pipeline.record(key)) == shown(before)


def test_a_reprocess_without_labels_keeps_the_old_labels(pipeline, processed, key):
    """The renditions are new, the labels old; record and notification say so."""
    before = processed(key)
    refusal = errors.LabelsUnavailableError("Rekognition refused.", "Later.")
    pipeline.replace("ExtractMetadataFunction", failing("ExtractMetadata", refusal, -1, []))
    execution = reprocess(pipeline, key)
    record = pipeline.record(key)
    assert (record["status"], record["execution"]["id"]) == ("COMPLETED", execution.name)
    assert (record["labels"], record["labelModelVersion"]) == (before["labels"], before["labelModelVersion"])
    assert len(before["labels"]) > 0
    assert [warning["code"] for warning in record["warnings"]] == ["LabelsUnavailableError"]
    (notification,) = about(pipeline, key)
    assert "Labels: as before" in notification["Message"]
    assert "Rekognition refused." in notification["Message"]


def test_an_archived_upload_fails_by_name_and_keeps_its_image(pipeline, processed, key):
    """A lifecycle may archive old uploads under the same version."""
    before = processed(key)
    pipeline.replace("ValidateImageFunction", failing("", errors.UploadArchivedError("GLACIER.", "Restore."), -1, []))
    reprocess(pipeline, key)
    record = pipeline.record(key)
    assert shown(record) == shown(before)
    assert record["lastFailure"]["code"] == "UploadArchivedError"


def test_an_upload_into_an_archive_fails_by_name(pipeline, key):
    """There is no previous image, and the reason is the storage class."""
    start(pipeline, put(pipeline, key, PHOTO, StorageClass="GLACIER"))
    record = pipeline.record(key)
    assert (record["status"], record["error"]["code"]) == ("FAILED", "UploadArchivedError")
    assert "GLACIER" in record["error"]["message"]


def test_a_copy_of_a_failed_upload_fails_again(pipeline, outcome, key):
    """There is no image to keep; the new reason replaces the old one."""
    outcome(key, b"Only words.")
    break_step(pipeline, "ValidateImage", key, rejection())
    reprocess(pipeline, key)
    record = pipeline.record(key)
    assert (record["status"], record["error"]["code"]) == ("FAILED", "CorruptImageError")
    assert "lastFailure" not in record


def test_a_failed_upload_of_other_content_keeps_no_image(pipeline, outcome, processed, key):
    """The previous image and its `lastFailure` belong to other content."""
    processed(key, lastFailure=FAILURE)
    records = []

    def validate(event):
        records.append(pipeline.record(key))
        raise rejection()

    pipeline.replace("ValidateImageFunction", validate)
    record = outcome(key, OTHER).record
    assert (record["status"], record["error"]["code"]) == ("FAILED", "CorruptImageError")
    assert not {"lastFailure", "renditions", "image"} & record.keys()
    assert (records[0]["status"], "lastFailure" in records[0]) == ("PROCESSING", False)


def test_a_deletion_removes_the_failure(pipeline, processed, key):
    """`lastFailure` says that the image is kept, which is no longer true."""
    processed(key, lastFailure=FAILURE)
    start(pipeline, deletion(pipeline, key), "DeleteImage")
    record = pipeline.record(key)
    assert record["status"] == "DELETED"
    assert "lastFailure" not in record


def test_a_newer_upload_is_not_affected_by_a_reprocess(pipeline, processed, key):
    """The reprocess has lost its claim and reports no failure."""
    processed(key)
    newest = overtake(pipeline, key, OTHER, failing("ValidateImage", rejection(), -1, []))
    execution = reprocess(pipeline, key)
    assert pipeline.states_entered(execution)[-1] == "Superseded"
    record = pipeline.record(key)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", newest[0])
    assert "lastFailure" not in record
    assert statuses(about(pipeline, key)) == ["SUCCESS"]


def test_a_reprocess_of_a_running_upload_keeps_no_older_image(pipeline, processed, key):
    """The reprocess takes over a claim that had replaced the image of other content."""
    processed(key)
    again = []

    def validate(event):
        if not again:  # of the newer upload, which its reprocess overtakes
            again.append(None)
            again[0] = reprocess(pipeline, key)
        raise rejection()

    pipeline.replace("ValidateImageFunction", validate)
    start(pipeline, put(pipeline, key, OTHER))
    record = pipeline.record(key)
    assert (record["status"], record["execution"]["id"]) == ("FAILED", again[0].name)
    assert not {"lastFailure", "renditions"} & record.keys()


def test_a_reprocess_that_takes_over_another_keeps_the_same_image(pipeline, processed, key):
    """The second claim keeps the image that the first one replaced."""
    before = processed(key)
    again = []

    def validate(event):
        if not again:
            again.append(None)
            again[0] = reprocess(pipeline, key)
        raise rejection()

    pipeline.replace("ValidateImageFunction", validate)
    first = reprocess(pipeline, key)
    assert pipeline.states_entered(first)[-1] == "Superseded"
    record = pipeline.record(key)
    assert shown(record) == shown(before)
    assert record["lastFailure"]["executionId"] == again[0].name


def test_a_claim_with_lost_answers_keeps_the_image(pipeline, processed, key):
    """The claim was written, and the workflow finds it in the record."""
    before = processed(key)
    event = event_again(pipeline, key, reprocess=True)
    pipeline.hang("dynamodb", "UpdateItem", times=7, containing=key, effective=True)
    start(pipeline, event)
    record = pipeline.record(key)
    assert shown(record) == shown(before)
    assert record["lastFailure"]["step"] == "ClaimUpload"


def test_a_failed_first_claim_is_settled(pipeline, key):
    """An upload without a record gets one."""
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=2, containing=key)
    event = uploaded(pipeline, key)
    event["detail"] |= {"reprocess": True}
    execution = start(pipeline, event)
    assert execution.status == "FAILED"
    assert len(about(pipeline, key)) == 1
    pipeline.wait_until(lambda: pipeline.record(key) is not None, "the settlement")
    record = pipeline.record(key)
    assert (record["status"], record["error"]["step"]) == ("FAILED", "ProcessImage")
    assert "lastFailure" not in record


def test_a_run_that_is_started_twice_fails_once(pipeline, processed, key):
    """An Express execution may run twice; the second run finds the failure."""
    processed(key)
    event = event_again(pipeline, key, reprocess=True)
    break_step(pipeline, "ValidateImage", key, rejection())
    first = start(pipeline, event)
    repair(pipeline)
    record = pipeline.record(key)
    assert rerun(pipeline, event, first.name)[-1] == "Superseded"
    assert pipeline.record(key) == record


def rerun(pipeline, event, name):
    """Run an execution name again, as only Express does, and return the states that it entered."""
    states = pipeline.client("stepfunctions")
    of = states.describe_state_machine(stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"])
    machine = states.create_state_machine(name=f"run-again-{name}", definition=of["definition"], roleArn=of["roleArn"])[
        "stateMachineArn"
    ]
    run = states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(event))["executionArn"]
    pipeline.wait_for_end(run)
    history = states.get_execution_history(executionArn=run, maxResults=1000)["events"]
    return [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]


# ---- Executions that end outside of their failure path --------------------------------------------------------------


def reprocessing(pipeline, key, **fields):
    """Return event and name of a reprocess that has claimed a completed image and not ended."""
    event, name = uploaded(pipeline, key), f"reprocess-of-{key.rpartition('/')[2]}"
    entity = event["detail"]["object"]
    upload = {
        "bucket": pipeline.uploads_bucket, "key": key, "versionId": entity["version-id"], "etag": entity["etag"],
        "sequencer": entity["sequencer"], "sizeBytes": entity["size"], "uploadedAt": event["time"],
    }  # fmt: skip
    done = {"id": "older", "startedAt": "2019-01-01T12:00:00.000Z", "finishedAt": "2019-01-01T12:00:01.000Z"}
    record = {
        "ImageKey": key,
        "status": "PROCESSING",
        "upload": upload,
        "uploadOrder": entity["sequencer"].ljust(64, "0"),
        "execution": {"id": name, "startedAt": "2020-01-01T12:00:00.000Z"},
        "previousStatus": "COMPLETED",
        "previousUpload": upload,
        "previousExecution": done,
        "image": {"width": 1, "height": 1},
        "renditions": [],
        "labels": [],
        "claimShard": "0",
        "claimedAt": "2020-01-01T12:00:00.000Z",
        "createdAt": "2019-01-01T12:00:00.000Z",
        "updatedAt": "2020-01-01T12:00:00.000Z",
        **fields,
    }
    put_item(pipeline, {field: value for field, value in record.items() if value is not None})
    event["detail"]["reprocess"] = True
    return event, name


def unclaimed(pipeline, key, **fields):
    """Return event and name of a reprocess that has not claimed the record yet."""
    done = {"id": "older", "startedAt": "2019-01-01T12:00:00.000Z", "finishedAt": "2019-01-01T12:00:01.000Z"}
    removed = dict.fromkeys(("previousStatus", "previousUpload", "previousExecution", "claimShard", "claimedAt"))
    return reprocessing(pipeline, key, status="COMPLETED", execution=done, **removed, **fields)


def settle(pipeline, event):
    execution = start(pipeline, event, "SettleImage")
    assert execution.status == "SUCCEEDED", execution.cause
    return pipeline.states_entered(execution)


STOP = {"stopDate": 1577880001234}


@pytest.mark.parametrize(("prepare", "status"), crossed([reprocessing, unclaimed], ["ABORTED", "TIMED_OUT"]))
def test_a_stopped_reprocess_keeps_the_image(pipeline, key, prepare, status):
    """With or without a claim, the attempt failed and a notification is sent."""
    event, name = prepare(pipeline, key)
    assert settle(pipeline, ended(pipeline, event, name, status, **STOP))[-2:] == ["NotifyFailure", "CleanRenditions"]
    record = pipeline.record(key)
    assert (record["status"], record["execution"]["id"]) == ("COMPLETED", "older")
    assert "error" not in record
    assert not {"claimShard", "claimedAt", "previousStatus", "previousUpload", "previousExecution"} & record.keys()
    failure = record["lastFailure"]
    assert (failure["executionId"], failure["step"]) == (name, "ProcessImage")
    assert failure["code"] in ("ExecutionAbortedError", "ExecutionTimedOutError")
    assert failure["at"] <= record["updatedAt"]
    (notification,) = about(pipeline, key)
    assert "previous renditions stay" in notification["Message"]


@pytest.mark.parametrize("prepare", [reprocessing, unclaimed])
def test_settling_a_reprocess_twice_notifies_once(pipeline, key, prepare):
    """EventBridge delivers events at least once."""
    event, name = prepare(pipeline, key)
    stopped = ended(pipeline, event, name, "ABORTED", **STOP)
    settle(pipeline, stopped)
    record = pipeline.record(key)
    assert settle(pipeline, stopped)[-1] == "AlreadySettled"
    assert pipeline.record(key) == record
    assert len(about(pipeline, key)) == 1


def test_a_settlement_with_a_lost_answer_notifies_once(pipeline, key):
    """The retry recognises its own write."""
    event, name = reprocessing(pipeline, key)
    pipeline.hang("dynamodb", "UpdateItem", times=3, containing=[key, "lastFailure = :lastFailure"], effective=True)
    settle(pipeline, ended(pipeline, event, name, "ABORTED", **STOP))
    assert pipeline.record(key)["lastFailure"]["executionId"] == name
    assert len(about(pipeline, key)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"execution": {"id": "newer", "startedAt": "2020-01-01T12:00:00.500Z"}},
        {"lastFailure": {"executionId": "newer", "at": "2020-01-01T12:00:02.000Z"}},
        {"lastFailure": {"executionId": "own", "at": "2020-01-01T12:00:01.000Z"}},
        {"upload": {"versionId": "another", "etag": "another"}},
        {"status": "DELETED"},
    ],
    ids=["a newer image", "a newer failure", "its own failure", "another upload", "a deletion"],
)
def test_a_late_end_of_a_reprocess_changes_nothing(pipeline, key, fields):
    """The record is newer or already has the outcome of the execution."""
    done = {"id": "older", "startedAt": "2019-01-01T12:00:00.000Z", "finishedAt": "2019-01-01T12:00:01.000Z"}
    event, name = unclaimed(pipeline, key)
    if fields.get("lastFailure", {}).get("executionId") == "own":
        fields = {"lastFailure": {**fields["lastFailure"], "executionId": name}}
    item = pipeline.record(key) | {"execution": done} | fields
    item |= {"error": {"code": "X", "message": "m", "hint": "h", "step": "s"}} if "status" in fields else {}
    if "lastFailure" in fields:
        item["lastFailure"] |= {"code": "X", "message": "m", "hint": "h", "step": "s"}
    if "execution" in fields:
        item["execution"] = {**fields["execution"], "finishedAt": "2020-01-01T12:00:01.000Z"}
    put_item(pipeline, item)
    before = pipeline.record(key)
    assert settle(pipeline, ended(pipeline, event, name, "ABORTED", **STOP))[-1] == "AlreadySettled"
    assert pipeline.record(key) == before
    assert about(pipeline, key) == []


def test_an_ordinary_event_that_ends_before_its_claim_leaves_no_failure(pipeline, key):
    """A duplicate event of a processed upload is not an attempt."""
    event, name = unclaimed(pipeline, key)
    del event["detail"]["reprocess"]
    before = pipeline.record(key)
    assert settle(pipeline, ended(pipeline, event, name, "ABORTED", **STOP))[-1] == "AlreadySettled"
    assert pipeline.record(key) == before


def test_stopping_a_reprocess_by_hand_keeps_the_image(pipeline, processed, key):
    """The event about the stopped execution settles the record."""
    before = processed(key)
    states, arns = pipeline.client("stepfunctions"), []

    def validate(event):
        states.stop_execution(executionArn=arns[0])
        return SOUND["ValidateImage"](event)

    pipeline.replace("ValidateImageFunction", validate)
    event, name = event_again(pipeline, key, reprocess=True), str(uuid.uuid4())
    machine = pipeline.outputs["ProcessImageStateMachineArn"]
    arns.append(f"{machine.replace(':stateMachine:', ':execution:')}:{name}")
    states.start_execution(stateMachineArn=machine, name=name, input=json.dumps(event))
    pipeline.wait_until(lambda: about(pipeline, key) != [], "the notification of the settlement")
    record = pipeline.record(key)
    assert shown(record) == shown(before)
    assert (record["lastFailure"]["code"], record["lastFailure"]["executionId"]) == ("ExecutionAbortedError", name)
