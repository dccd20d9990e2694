"""The workflow for executions that ended outside of their failure path."""

import json

import pytest

from tests.conftest import WITH_OUTCOME
from tests.workflow.conftest import about, ended, put_item, repair, start, uploaded


def claimed(pipeline, key, status="PROCESSING"):
    """Return event and name of an execution that claimed a record and did nothing more."""
    event, name = uploaded(pipeline, key), f"execution-of-{key.rpartition('/')[2]}"
    entity = event["detail"]["object"]
    execution = {"id": name, "startedAt": "2020-01-01T12:00:00Z"}
    record = {
        "ImageKey": key,
        "status": status,
        "upload": {
            "bucket": pipeline.uploads_bucket, "key": key, "versionId": None, "etag": entity["etag"],
            "sequencer": entity["sequencer"], "sizeBytes": 7, "uploadedAt": event["time"],
        },
        "uploadOrder": entity["sequencer"].ljust(64, "0"),
        "execution": execution,
        "claimShard": "0",
        "claimedAt": "2020-01-01T12:00:00Z",
    }  # fmt: skip
    if status != "PROCESSING":
        record |= WITH_OUTCOME | {"execution": WITH_OUTCOME["execution"] | execution}
    put_item(pipeline, record)
    return event, name


def settle(pipeline, event):
    execution = start(pipeline, event, "SettleImage")
    assert execution.status == "SUCCEEDED", execution.cause
    return pipeline.states_entered(execution)


@pytest.mark.parametrize(
    ("status", "more", "code", "words"),
    [
        ("TIMED_OUT", {}, "ExecutionTimedOutError", "did not end within its time"),
        ("ABORTED", {}, "ExecutionAbortedError", "was aborted."),
        ("ABORTED", {"error": "Ops", "cause": "Wrong bucket."}, "ExecutionAbortedError", "aborted. Wrong bucket."),
        ("FAILED", {"error": "States.Runtime", "cause": "Too deep."}, "States.Runtime", "Too deep."),
        ("FAILED", {"error": "States.DataLimitExceeded"}, "States.DataLimitExceeded", "without a message"),
    ],
)
def test_an_execution_that_ended_without_an_outcome_gets_one(pipeline, key, status, more, code, words):
    """It is FAILED with the reason, and one notification links to the execution."""
    event, name = claimed(pipeline, key)
    states = settle(pipeline, ended(pipeline, event, name, status, **more))
    assert states[-4:] == ["RecordFailure", "WasNotified", "NotifyFailure", "CleanRenditions"]
    record = pipeline.record(key)
    assert record["status"] == "FAILED"
    assert (record["error"]["code"], record["error"]["step"]) == (code, "ProcessImage")
    assert words in record["error"]["message"]
    assert "not a fault of the file" in record["error"]["hint"]
    assert record["upload"]["sizeBytes"] == event["detail"]["object"]["size"]
    assert record["execution"]["id"] == name
    assert not {"claimShard", "claimedAt"} & record.keys()
    (notification,) = about(pipeline, key)
    assert notification["MessageAttributes"]["status"]["Value"] == "FAILURE"
    assert (
        "/executions/details/arn:aws:states:us-east-1:123456789012:execution:image-pipeline-ProcessImage"
        in (notification["Message"])
    )
    assert words in notification["Message"]


@pytest.mark.parametrize(
    ("status", "more", "code"),
    [
        ("ABORTED", {}, "ExecutionAbortedError"),
        ("TIMED_OUT", {}, "ExecutionTimedOutError"),
        ("FAILED", {"error": "StepFunctions.StateMachineDoesNotExistException"}, None),
    ],
)
def test_a_wait_for_content_that_ended_without_an_outcome_gets_one(pipeline, key, status, more, code):
    """The record is created, and a notification is sent."""
    event = ended(pipeline, uploaded(pipeline, key), "waiting", status, machine="WaitForContent", **more)
    states = settle(pipeline, event)
    assert states[-4:] == ["RecordFailure", "WasNotified", "NotifyFailure", "CleanRenditions"]
    record = pipeline.record(key)
    assert (record["status"], record["error"]["step"]) == ("FAILED", "WaitForContent")
    assert record["error"]["code"] == (code or more["error"])
    (notification,) = about(pipeline, key)
    assert event["detail"]["executionArn"] in notification["Message"]


def test_a_wait_that_started_the_processing_is_not_settled(pipeline, key):
    """Only the response was lost; the other execution has the outcome."""
    event, _ = claimed(pipeline, key)
    record = pipeline.record(key)
    waited = ended(pipeline, event, "waiting", "FAILED", machine="WaitForContent", error="States.Timeout")
    assert settle(pipeline, waited)[-1] == "AlreadySettled"
    assert pipeline.record(key) == record
    assert about(pipeline, key) == []


@pytest.mark.parametrize(
    ("more", "durations"),
    [({"stopDate": 1577880001234}, {"ProcessImage": 1234}), ({"stopDate": None}, {}), ({}, {})],
)
def test_the_record_has_the_duration_of_the_execution(pipeline, key, more, durations):
    """The durations of steps are unknown, and the end only if EventBridge reported it."""
    event, name = claimed(pipeline, key)
    settle(pipeline, ended(pipeline, event, name, "ABORTED", **more))
    assert pipeline.record(key)["execution"]["milliseconds"] == durations


def test_settling_twice_notifies_once(pipeline, key):
    """EventBridge delivers events at least once."""
    event, name = claimed(pipeline, key)
    settle(pipeline, ended(pipeline, event, name, "ABORTED"))
    record = pipeline.record(key)
    assert settle(pipeline, ended(pipeline, event, name, "ABORTED"))[-1] == "AlreadySettled"
    assert pipeline.record(key) == record
    assert len(about(pipeline, key)) == 1


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIAL", "FAILED", "DELETED"])
def test_a_record_that_has_its_outcome_keeps_it(pipeline, key, status):
    """The execution ended after its outcome, and no further notification is sent."""
    event, name = claimed(pipeline, key, status)
    before = pipeline.record(key)
    assert settle(pipeline, ended(pipeline, event, name, "ABORTED"))[-1] == "AlreadySettled"
    assert pipeline.record(key) == before
    assert about(pipeline, key) == []


def test_a_newer_upload_is_not_affected(pipeline, key):
    """Another execution has the claim."""
    event, _ = claimed(pipeline, key)
    before = pipeline.record(key)
    assert settle(pipeline, ended(pipeline, event, "an-older-execution", "TIMED_OUT"))[-1] == "AlreadySettled"
    assert pipeline.record(key) == before


def test_an_execution_without_a_claim_leaves_a_record(pipeline, key):
    """Every uploaded key has a record."""
    settle(pipeline, ended(pipeline, uploaded(pipeline, key), "early", "ABORTED"))
    assert pipeline.record(key)["status"] == "FAILED"
    assert len(about(pipeline, key)) == 1


def test_a_published_outcome_is_not_published_again(pipeline, key):
    """The execution sent its notification and failed only to write the record."""
    event, name = claimed(pipeline, key)
    failed = ended(pipeline, event, name, "FAILED", error="CorruptImageError", cause="Broken at byte 7.")
    assert settle(pipeline, failed)[-2:] == ["WasNotified", "CleanRenditions"]
    assert pipeline.record(key)["error"]["code"] == "CorruptImageError"
    assert about(pipeline, key) == []


def test_a_failed_notification_changes_nothing(pipeline, key):
    """The record is not affected."""
    event, name = claimed(pipeline, key)
    pipeline.fault("sns", "Publish", "AuthorizationError", times=-1, status=403)
    settle(pipeline, ended(pipeline, event, name, "ABORTED"))
    assert pipeline.record(key)["status"] == "FAILED"


def test_a_failure_that_cannot_be_recorded_is_not_notified(pipeline, key):
    """An alarm fires, the execution can be redriven, and the notification is sent with the record."""
    event, name = claimed(pipeline, key)
    pipeline.fault("dynamodb", "UpdateItem", "AccessDeniedException", times=-1, containing=key)
    assert start(pipeline, ended(pipeline, event, name, "ABORTED"), "SettleImage").status == "FAILED"
    assert about(pipeline, key) == []
    repair(pipeline)
    settle(pipeline, ended(pipeline, event, name, "ABORTED"))
    assert len(about(pipeline, key)) == 1


def test_the_watcher_settles_forgotten_executions(pipeline, key):
    """Even without an event of its end, the record does not stay PROCESSING."""
    claimed(pipeline, key)
    watch = {"FunctionName": "image-pipeline-WatchRecordsFunction", "Payload": json.dumps({"id": "1"})}
    answer = pipeline.client("lambda").invoke(**watch)
    assert json.loads(answer["Payload"].read())["settled"] >= 1
    pipeline.wait_until(lambda: about(pipeline, key) != [], "the notification")
    assert pipeline.record(key)["error"]["code"] == "ExecutionTimedOutError"
