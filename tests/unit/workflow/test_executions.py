"""image_pipeline.workflow.executions"""

import json
from datetime import datetime, timedelta

import pytest

from image_pipeline import settings
from image_pipeline.workflow import executions
from tests.conftest import MACHINES, aws_client, put_upload

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def machines():
    states = aws_client("stepfunctions")
    arn = states.create_state_machine(name="settle", definition="{}", roleArn="arn:aws:iam::123456789012:role/r")
    return settings.Machines(MACHINES["PROCESS_IMAGE_ARN"], arn["stateMachineArn"], settings.WorkflowType.STANDARD)


def claim(upload):
    return {
        "ImageKey": upload["key"],
        "upload": upload,
        "execution": {"id": "execution-1", "startedAt": "2026-11-21T12:00:01.000Z"},
    }


def started(machines):
    states = aws_client("stepfunctions")
    executions = states.list_executions(stateMachineArn=machines.settle_image)["executions"]
    inputs = [states.describe_execution(executionArn=execution["executionArn"])["input"] for execution in executions]
    return [json.loads(text)["detail"] for text in inputs]


def test_settling_sends_the_same_event_as_eventbridge(machines):
    """SettleImage therefore needs no second form of input."""
    upload = put_upload("uploads/é.jpg", b"x")
    executions.settle(aws_client, machines, claim(upload))
    (detail,) = started(machines)
    assert detail["executionArn"] == "arn:aws:states:eu-west-1:123456789012:execution:process:execution-1"
    assert (detail["name"], detail["status"], detail["startDate"]) == ("execution-1", "TIMED_OUT", 1795262401000)
    event = json.loads(detail["input"])
    assert event["time"] == upload["uploadedAt"]
    assert event["detail"]["object"] == {
        "key": "uploads/é.jpg",
        "etag": upload["etag"],
        "sequencer": upload["sequencer"],
        "size": 1,
        "version-id": upload["versionId"],
    }


def test_an_unversioned_upload_has_no_version(machines):
    """The event has no version id, as S3's events."""
    executions.settle(aws_client, machines, claim(put_upload("uploads/a.jpg", b"x") | {"versionId": None}))
    assert "version-id" not in json.loads(started(machines)[0]["input"])["detail"]["object"]


def test_an_express_execution_has_no_known_arn(machines):
    """The ARN of an Express execution is unknown, so the ARN of the state machine is used."""
    express = machines._replace(workflow=settings.WorkflowType.EXPRESS)
    executions.settle(aws_client, express, claim(put_upload("uploads/a.jpg", b"x")))
    assert started(machines)[0]["executionArn"] == MACHINES["PROCESS_IMAGE_ARN"]


@pytest.mark.parametrize(("seconds", "again"), [(3599, True), (3600, False)])
def test_an_express_execution_is_restarted_for_an_hour(machines, seconds, again):
    """The event is for the same upload, but is not a duplicate."""
    express = settings.Machines(machines.settle_image, machines.settle_image, settings.WorkflowType.EXPRESS)
    upload = put_upload("uploads/a.jpg", b"x")
    now = datetime.fromisoformat("2026-11-21T12:00:01.000Z") + timedelta(seconds=seconds)
    assert executions.end_lost(aws_client, express, claim(upload), now) is again
    states = aws_client("stepfunctions")
    (execution,) = states.list_executions(stateMachineArn=machines.settle_image)["executions"]
    event = json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
    if again:
        assert event["detail"]["reprocess"] is True
        assert event["detail"]["object"]["sequencer"] == upload["sequencer"]
        assert event["detail"]["first-started-at"] == "2026-11-21T12:00:01.000Z"
    else:
        assert event["detail"]["status"] == "TIMED_OUT"


def test_a_claim_is_lost_when_its_execution_must_have_ended(machines):
    """A claim counts as lost only after the longest execution and the grace period."""
    claims = [{"claimedAt": "2026-11-21T12:00:01.000Z"}]
    latest = datetime.fromisoformat(claims[0]["claimedAt"]) + timedelta(seconds=machines.workflow.lost_seconds)
    assert executions.lost_claims(claims, machines, latest) == []
    assert executions.lost_claims(claims, machines, latest + timedelta(seconds=1)) == claims


def test_the_hour_begins_with_the_first_execution():
    """The hour starts with the first execution, however often it was restarted."""
    execution = {"id": "3", "startedAt": "2026-11-21T12:20:00Z", "firstStartedAt": "2026-11-21T12:00:00Z"}
    assert executions.first_started_at({"execution": execution}) == "2026-11-21T12:00:00Z"
    del execution["firstStartedAt"]
    assert executions.first_started_at({"execution": execution}) == "2026-11-21T12:20:00Z"


def test_a_standard_execution_is_never_restarted(machines):
    """A Standard execution had a whole day."""
    now = datetime.fromisoformat("2026-11-21T12:00:01.000Z")
    assert executions.end_lost(aws_client, machines, claim(put_upload("uploads/a.jpg", b"x")), now) is False
    assert len(started(machines)) == 1


def test_the_same_execution_is_not_settled_twice_within_the_hour(machines):
    """Repeated runs of WatchRecords start one SettleImage execution."""
    for _ in range(2):
        executions.settle(aws_client, machines, claim(put_upload("uploads/a.jpg", b"x")))
    assert len(started(machines)) == 1
