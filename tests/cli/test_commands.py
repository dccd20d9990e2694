"""`python -m cli` against the local pipeline, and against a stack that CloudFormation knows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli import redrive, reprocess
from cli.commands import LEFT, NO_STACK, OK, USAGE, main
from cli.stack import deployed
from local.pipeline import ROOT, Pipeline
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

PHOTO = photo(200, 150)


def key() -> str:
    return f"uploads/cli/{uuid.uuid4()}.jpg"


def undelivered(pipeline: Pipeline, body: str, target: str) -> None:
    """Put a message into the queue as EventBridge does."""
    attributes = {"TARGET_ARN": target, "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "Not authorized"}
    pipeline.client("sqs").send_message(
        QueueUrl=pipeline.outputs["UndeliveredEventsQueueUrl"],
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
        },
    )


def waiting(pipeline: Pipeline) -> int:
    """How many messages the queue has, hidden ones included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = pipeline.outputs["UndeliveredEventsQueueUrl"]
    found = pipeline.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in found.values())


@pytest.fixture(autouse=True)
def _drained(pipeline: Pipeline) -> Iterator[None]:
    """What a test has left in the queue is gone for the next."""
    yield
    sqs, url = pipeline.client("sqs"), pipeline.outputs["UndeliveredEventsQueueUrl"]
    while messages := sqs.receive_message(QueueUrl=url).get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=messages[0]["ReceiptHandle"])


@pytest.fixture
def lost(pipeline: Pipeline) -> Any:
    """An upload whose event was not delivered: the rule's role may not start the workflow."""
    pipeline.restrict("ProcessImageStateMachineImageUploadedRole", [])
    image_key = key()
    pipeline.upload(image_key, PHOTO)
    pipeline.wait_until(lambda: waiting(pipeline) > 0, "the event to be given up")
    pipeline.clear()
    return image_key


def test_what_could_not_be_delivered_is_put_back_in(pipeline, running, lost, capsys):
    """One command, and the picture is there; the queue is empty."""
    assert pipeline.record(lost) is None
    assert main(["redrive", *running]) == OK
    assert pipeline.wait_for(lost)["status"] == "COMPLETED"
    assert waiting(pipeline) == 0
    out = capsys.readouterr().out
    assert f"Started: Object Created '{lost}'" in out
    assert "1 started, 0 sent again, 0 left in the queue." in out


def test_nothing_to_redrive_is_no_failure(running, capsys):
    """A script may call it at any time."""
    assert main(["redrive", *running, "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"started": 0, "sent": 0, "left": 0}


@pytest.mark.parametrize(
    "body", ["{}", "no json", '{"detail": {"object": {"key": "a\\u001b[2J"}}, "detail-type": "x"}']
)
def test_what_belongs_to_no_workflow_of_the_stack_stays(pipeline, running, body, capsys):
    """It is named, safely for a terminal, and nothing is started."""
    undelivered(pipeline, body, "arn:aws:lambda:us-east-1:123456789012:function:other")
    before = len(pipeline.executions())
    assert main(["redrive", *running]) == LEFT
    assert len(pipeline.executions()) == before
    assert waiting(pipeline) == 1
    out = capsys.readouterr().out
    assert "is no workflow of this stack" in out
    assert out.replace("\n", "").isprintable()


def event_of(pipeline: Pipeline, image_key: str, kind: str = "Object Created", **changes: Any) -> dict[str, Any]:
    """The event of an upload that is in the bucket, or was."""
    s3, where = pipeline.client("s3"), {"Bucket": pipeline.uploads_bucket, "Key": image_key}
    entity = {"key": image_key, "sequencer": f"{time.time_ns():016X}"}
    if kind == "Object Created":
        head = s3.head_object(**where)
        entity |= {"version-id": head["VersionId"], "etag": head["ETag"][1:-1], "size": head["ContentLength"]}
    detail = {"bucket": {"name": pipeline.uploads_bucket}, "object": entity, "deletion-type": "Delete Marker Created"}
    return {"source": "aws.s3", "detail-type": kind, "time": "2026-11-21T12:00:00Z", "detail": detail} | changes


@pytest.fixture
def unheard(pipeline: Pipeline) -> Iterator[Pipeline]:
    """S3's own events start nothing."""
    with silent_bucket(pipeline):
        yield pipeline


def earlier(pipeline: Pipeline, machine: str) -> str:
    """The ARN of a state machine that was replaced, as CloudFormation names another one of the same resource."""
    return f"{pipeline.outputs[f'{machine}StateMachineArn']}-1a2B3c4D5e6F"


def test_an_event_for_a_workflow_that_was_replaced_starts_the_one_of_today(unheard, running, capsys):
    """Another WorkflowType makes another state machine, and uploads of those seconds name the one before."""
    image_key = key()
    unheard.upload(image_key, PHOTO)
    undelivered(unheard, json.dumps(event_of(unheard, image_key)), earlier(unheard, "ProcessImage"))
    assert main(["redrive", *running]) == OK
    assert unheard.wait_for(image_key)["status"] == "COMPLETED"
    assert waiting(unheard) == 0
    gone = event_of(unheard, image_key, "Object Deleted")
    undelivered(unheard, json.dumps(gone), earlier(unheard, "DeleteImage"))
    assert main(["redrive", *running]) == OK
    unheard.wait_until(lambda: unheard.record(image_key)["status"] == "DELETED", "the deletion")


@pytest.mark.parametrize("name", ["empty.jpg", "folder/"])
def test_an_empty_object_is_redriven_to_where_it_is_waited_for(unheard, running, name):
    """Also when its event is from before there was a wait: no folder marker ever gets a record."""
    image_key = f"uploads/cli/{uuid.uuid4()}/{name}"
    unheard.upload(image_key, b"")
    undelivered(unheard, json.dumps(event_of(unheard, image_key)), unheard.outputs["ProcessImageStateMachineArn"])
    assert main(["redrive", *running]) == OK
    record = unheard.wait_for(image_key)
    assert record is None if name.endswith("/") else record["error"]["code"] == "EmptyUploadError"


@pytest.mark.parametrize(
    "target",
    [
        "arn:aws:states:us-east-1:123456789012:stateMachine:other-ProcessImageStateMachine",
        "arn:aws:states:us-east-1:123456789012:stateMachine:ProcessImageStateMachine-1a2B3c4D5e6F",
        "arn:aws:states:eu-west-1:123456789012:stateMachine:image-pipeline-ProcessImageStateMachine",
        "arn:aws:states:us-east-1:210987654321:stateMachine:image-pipeline-ProcessImageStateMachine",
        "arn:aws:states:us-east-1:123456789012:stateMachine:image-pipeline-ProcessImageStateMachineToo",
        "arn:aws:states:us-east-1:123456789012:execution:image-pipeline-ProcessImageStateMachine:x",
        "image-pipeline-ProcessImageStateMachine",
    ],
)
def test_no_message_can_name_a_workflow_of_another_stack(unheard, running, target, capsys):
    """Neither is it started, nor does its event start ours."""
    image_key = key()
    unheard.upload(image_key, PHOTO)
    undelivered(unheard, json.dumps(event_of(unheard, image_key)), target)
    before = len(unheard.executions())
    assert main(["redrive", *running]) == LEFT
    assert "is no workflow of this stack" in capsys.readouterr().out
    assert len(unheard.executions()) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"detail": {"bucket": {"name": "another"}, "object": {"key": "uploads/x.jpg"}}},
        {"detail": {"bucket": "another"}},
        {"detail": [1]},
        {"source": "aws.states"},
    ],
    ids=str,
)
def test_an_event_of_another_bucket_is_never_taken_for_one_of_ours(unheard, running, changes, capsys):
    """Whatever workflow it names that is not there any more."""
    image_key = key()
    unheard.upload(image_key, PHOTO)
    undelivered(unheard, json.dumps(event_of(unheard, image_key, **changes)), earlier(unheard, "ProcessImage"))
    assert main(["redrive", *running]) == LEFT
    assert "is no workflow of this stack" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ProcessImageStateMachine-Zz9Yy8Xx7Ww6", "ProcessImageStateMachine-0a1B2c3D4e5F6"])
def test_a_replaced_workflow_is_known_by_the_names_that_cloudformation_gives(name):
    """They are the logical id and some letters and digits, without the stack's name."""
    current = "arn:aws:states:us-east-1:123456789012:stateMachine:ProcessImageStateMachine-Aa1Bb2Cc3Dd4"
    outputs = {"ProcessImageStateMachineArn": current, "UploadsBucketName": "b"}
    event = {"source": "aws.s3", "detail": {"bucket": {"name": "b"}}}
    target = f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}"
    assert redrive._machine_for(outputs, target, event) == current


def test_an_upload_is_reprocessed_although_it_has_not_changed(pipeline, running):
    """On purpose, so the event that is as old as the record wins, and the picture stays the same."""
    image_key = key()
    version = pipeline.upload(image_key, PHOTO)
    before = pipeline.wait_for(image_key, version)
    assert main(["reprocess", image_key, *running]) == OK
    pipeline.wait_until(
        lambda: (
            pipeline.record(image_key)["status"] == "COMPLETED"
            and pipeline.record(image_key)["execution"]["id"].startswith("reprocess_")
        ),
        "the reprocess",
    )
    after = pipeline.record(image_key)
    assert after["upload"]["versionId"] == version
    assert [r["key"] for r in after["renditions"]] == [r["key"] for r in before["renditions"]]
    assert after["createdAt"] == before["createdAt"]


def test_a_second_reprocess_waits_for_its_turn(pipeline, running, monkeypatch, capsys):
    """As the API does, but with patience: the message says for how long."""
    image_key = key()
    pipeline.wait_for(image_key, pipeline.upload(image_key, PHOTO))
    waits: list[int] = []

    def pass_time(seconds: int) -> None:
        waits.append(seconds)
        pipeline.client("dynamodb").update_item(
            TableName=pipeline.outputs["ImageTableName"],
            Key={"ImageKey": {"S": image_key}},
            UpdateExpression="REMOVE reprocessRequestedAt",
        )

    monkeypatch.setattr(reprocess, "time", SimpleNamespace(sleep=pass_time))
    assert main(["reprocess", image_key, *running]) == OK
    assert main(["reprocess", image_key, "--json", *running]) == OK
    assert len(waits) == 1
    assert 1 <= waits[0] <= 10
    told = capsys.readouterr()
    assert f"Waiting {waits[0]} s" in told.err
    assert json.loads(told.out.splitlines()[-1])["failed"] == []


def test_a_newer_upload_wins_against_a_reprocess(pipeline, running):
    """The reprocess takes the place of what was known, not of what comes."""
    image_key = key()
    pipeline.wait_for(image_key, pipeline.upload(image_key, PHOTO))
    main(["reprocess", image_key, *running])
    newest = pipeline.upload(image_key, photo(150, 200))
    pipeline.wait_for(image_key, newest)
    pipeline.wait_until(lambda: not any(e.running for e in pipeline.executions()), "all to end")
    record = pipeline.record(image_key)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", newest)


def test_a_restored_upload_is_reprocessed(pipeline, running):
    """Removing the marker of a deletion sends no event that tells so; the command brings the picture back."""
    image_key = key()
    version = pipeline.upload(image_key, PHOTO)
    pipeline.wait_for(image_key, version)
    where = {"Bucket": pipeline.uploads_bucket, "Key": image_key}
    marker = pipeline.client("s3").delete_object(**where)["VersionId"]
    pipeline.wait_until(lambda: pipeline.record(image_key)["status"] == "DELETED", "the deletion")
    pipeline.client("s3").delete_object(**where, VersionId=marker)
    assert main(["reprocess", image_key, *running]) == OK
    pipeline.wait_until(lambda: pipeline.record(image_key)["status"] == "COMPLETED", "the picture")
    assert pipeline.record(image_key)["upload"]["versionId"] == version


def test_what_was_never_uploaded_cannot_be_reprocessed(running, capsys):
    """The exit code says that something was left undone, the message what to do."""
    assert main(["reprocess", "uploads/no such.jpg", *running]) == LEFT
    assert "'uploads/no such.jpg'" in capsys.readouterr().err
    assert main(["reprocess", "uploads/no such.jpg", "--json", *running]) == LEFT
    (failed,) = json.loads(capsys.readouterr().out)["failed"]
    assert failed["key"] == "uploads/no such.jpg"


@pytest.mark.parametrize("name", ["\udcff.jpg", "a" * 1017, "é" * 509], ids=ascii)
@pytest.mark.parametrize("command", ["status", "reprocess", "delete", "download"])
def test_what_cannot_be_a_name_is_refused(command, name, running, capsys):
    """By whichever command, before anything is asked of AWS."""
    assert main([command, name, *(["--yes"] if command == "delete" else []), *running]) == USAGE
    assert "cannot be one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["upload", ""],
        ["upload", "x", "--to", "\udcff"],
        ["backfill", "uploads/\udcff"],
        ["backfill", f"uploads/{'a' * 1017}"],
        ["backfill", "other/"],
    ],
    ids=ascii,
)
def test_what_names_nothing_is_a_wrong_argument(arguments, running, capsys):
    """An empty path is not the folder that one is in: in a script, it is a variable that nobody has set."""
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *running])
    assert ended.value.code == USAGE
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_said(running):
    """In a sentence, whichever command writes."""
    command = [sys.executable, "-m", "cli", "keys", "list", *running]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.returncode == LEFT
    assert "No space left on device" in run.stderr
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr


def test_without_a_running_copy_the_command_says_how_to_start_one(tmp_path, capsys):
    """Not a stack trace."""
    assert main(["redrive", "--local", "--run-dir", str(tmp_path)]) == NO_STACK
    assert "make run" in capsys.readouterr().err


def test_a_stack_on_aws_is_found_by_its_name(capsys):
    """Its outputs say where everything is; another stack is refused."""
    outputs = {"ProcessImageStateMachineArn": {"Value": "arn"}}
    bucket = {"Bucket": {"Type": "AWS::S3::Bucket"}}
    with mock_aws():
        formation = boto3.client("cloudformation")
        for name, body in {
            "pictures": {"Resources": bucket, "Outputs": outputs},
            "other": {"Resources": bucket},
        }.items():
            formation.create_stack(StackName=name, TemplateBody=json.dumps(body))
        assert deployed("pictures", None).outputs == {"ProcessImageStateMachineArn": "arn"}
        assert main(["redrive", "--stack", "other"]) == NO_STACK
        assert "no image pipeline" in capsys.readouterr().err
        assert main(["redrive", "--stack", "missing"]) == NO_STACK
        assert "missing" in capsys.readouterr().err


def test_messages_that_were_given_up_get_another_chance(pipeline, running, capsys):
    """The cause is mended, the picture comes; what is wrong by itself ends as a dead letter again."""
    image_key = key()
    pipeline.wait_for(image_key, pipeline.upload(image_key, PHOTO))
    message = {"bucket": pipeline.uploads_bucket, "key": image_key, "reprocess": True}
    sqs, dead = pipeline.client("sqs"), pipeline.outputs["BatchDeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody=json.dumps(message))
    assert main(["redrive", *running]) == OK
    assert "0 started, 1 sent again, 0 left in the queue." in capsys.readouterr().out
    pipeline.wait_until(
        lambda: (
            pipeline.record(image_key)["execution"]["id"].startswith("batch_")
            and pipeline.record(image_key)["status"] == "COMPLETED"
        ),
        "the batch",
    )
    assert pipeline.take_messages(dead) == []


def test_a_message_stays_when_its_queue_does_not_take_it(pipeline, running, capsys):
    """Nothing is lost by trying."""
    dead = pipeline.outputs["BatchDeadLetterQueueUrl"]
    pipeline.client("sqs").send_message(QueueUrl=dead, MessageBody="words \x1b[2J")
    pipeline.fault("sqs", "SendMessage", "KmsThrottled")
    assert main(["redrive", *running]) == LEFT
    out = capsys.readouterr().out
    assert "as SQS said KmsThrottled" in out
    assert out.replace("\n", "").isprintable()
    assert [each["Body"] for each in pipeline.take_messages(dead)] == ["words \x1b[2J"]
