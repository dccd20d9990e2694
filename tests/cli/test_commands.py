"""`image-pipeline` against the local pipeline and against a stack in CloudFormation."""

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

import pytest

from image_pipeline_cli import redrive, reprocess
from image_pipeline_cli.commands import INCOMPLETE, NO_STACK, OK, USAGE, main
from image_pipeline_cli.stack import find_on_aws
from local.pipeline import ROOT, Pipeline
from tests.conftest import aws_client
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

PHOTO = photo(200, 150)


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for messages: the queues of the local run have one server, which delivers at once."""
    monkeypatch.setattr(redrive, "_WAIT_SECONDS", 0)


def key() -> str:
    return f"uploads/cli/{uuid.uuid4()}.jpg"


@pytest.fixture
def image_key(shared_image_name: str) -> str:
    """The key of an image that tests of this file process again."""
    return f"uploads/{shared_image_name}"


def send_undelivered(pipeline: Pipeline, body: str, target: str) -> None:
    """Send a message to the queue of undelivered events, as EventBridge does."""
    attributes = {"TARGET_ARN": target, "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "Not authorized"}
    pipeline.client("sqs").send_message(
        QueueUrl=pipeline.outputs["UndeliveredEventsQueueUrl"],
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
        },
    )


def count_undelivered(pipeline: Pipeline) -> int:
    """Count the undelivered events, including messages in flight."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = pipeline.outputs["UndeliveredEventsQueueUrl"]
    counts = pipeline.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(count) for count in counts.values())


@pytest.fixture
def undelivered_key(pipeline: Pipeline) -> Any:
    """The key of an upload whose event was not delivered, because the rule may not start the workflow."""
    pipeline.restrict("ProcessImageStateMachineImageUploadedRole", [])
    image_key = key()
    pipeline.upload(image_key, PHOTO)
    pipeline.wait_until(lambda: count_undelivered(pipeline) > 0, "the event to be given up")
    pipeline.clear()
    return image_key


def test_undelivered_events_are_redriven(pipeline, running, undelivered_key, capsys):
    """After one command the image is processed and the queue is empty."""
    assert pipeline.record(undelivered_key) is None
    assert main(["redrive", *running]) == OK
    assert pipeline.wait_for(undelivered_key)["status"] == "COMPLETED"
    assert count_undelivered(pipeline) == 0
    assert ascii(undelivered_key) in capsys.readouterr().out


def test_redriving_empty_queues_succeeds(running, capsys):
    """A script may run the command at any time."""
    assert main(["redrive", *running, "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"started": 0, "sent": 0, "left": 0}


@pytest.mark.parametrize(
    "body", ["{}", "no json", '{"detail": {"object": {"key": "a\\u001b[2J"}}, "detail-type": "x"}']
)
def test_events_with_a_foreign_target_stay_in_the_queue(pipeline, running, body, capsys):
    """The event is printed without control characters, and no execution starts."""
    target = "arn:aws:lambda:us-east-1:123456789012:function:other"
    send_undelivered(pipeline, body, target)
    before = len(pipeline.executions())
    assert main(["redrive", *running]) == INCOMPLETE
    assert len(pipeline.executions()) == before
    assert count_undelivered(pipeline) == 1
    out = capsys.readouterr().out
    assert target in out
    assert out.replace("\n", "").isprintable()


def event_of(pipeline: Pipeline, image_key: str, kind: str = "Object Created", **changes: Any) -> dict[str, Any]:
    """Return an event about an upload that exists or existed."""
    entity = {"key": image_key, "sequencer": f"{time.time_ns():016X}"}
    if kind == "Object Created":
        head = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=image_key)
        entity |= {"version-id": head["VersionId"], "etag": head["ETag"][1:-1], "size": head["ContentLength"]}
    detail = {"bucket": {"name": pipeline.uploads_bucket}, "object": entity, "deletion-type": "Delete Marker Created"}
    return {"source": "aws.s3", "detail-type": kind, "time": "2026-11-21T12:00:00Z", "detail": detail} | changes


@pytest.fixture
def silent_pipeline(pipeline: Pipeline) -> Iterator[Pipeline]:
    """The pipeline while events of S3 start nothing."""
    with silent_bucket(pipeline):
        yield pipeline


def predecessor_arn(pipeline: Pipeline, machine: str) -> str:
    """Return the ARN of a replaced state machine, as CloudFormation names another one of the same resource."""
    return f"{pipeline.outputs[f'{machine}StateMachineArn']}-1a2B3c4D5e6F"


def test_an_event_for_a_replaced_state_machine_starts_its_successor(silent_pipeline, running, capsys):
    """Changing WorkflowType replaces the state machine; events from before that name the old one."""
    image_key = key()
    silent_pipeline.upload(image_key, PHOTO)
    send_undelivered(
        silent_pipeline,
        json.dumps(event_of(silent_pipeline, image_key)),
        predecessor_arn(silent_pipeline, "ProcessImage"),
    )
    assert main(["redrive", *running]) == OK
    assert silent_pipeline.wait_for(image_key)["status"] == "COMPLETED"
    assert count_undelivered(silent_pipeline) == 0
    deletion = event_of(silent_pipeline, image_key, "Object Deleted")
    send_undelivered(silent_pipeline, json.dumps(deletion), predecessor_arn(silent_pipeline, "DeleteImage"))
    assert main(["redrive", *running]) == OK
    silent_pipeline.wait_until(lambda: silent_pipeline.record(image_key)["status"] == "DELETED", "the deletion")


@pytest.mark.parametrize("name", ["empty.jpg", "folder/"])
def test_an_empty_object_is_redriven_to_the_wait_for_content(silent_pipeline, running, name):
    """This holds for events of older versions, too; a folder marker never gets a record."""
    image_key = f"uploads/cli/{uuid.uuid4()}/{name}"
    silent_pipeline.upload(image_key, b"")
    send_undelivered(
        silent_pipeline,
        json.dumps(event_of(silent_pipeline, image_key)),
        silent_pipeline.outputs["ProcessImageStateMachineArn"],
    )
    assert main(["redrive", *running]) == OK
    record = silent_pipeline.wait_for(image_key)
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
def test_a_message_cannot_start_a_state_machine_of_another_stack(silent_pipeline, running, target, capsys):
    """Neither the named state machine nor one of this stack is started."""
    image_key = key()
    silent_pipeline.upload(image_key, PHOTO)
    send_undelivered(silent_pipeline, json.dumps(event_of(silent_pipeline, image_key)), target)
    before = len(silent_pipeline.executions())
    assert main(["redrive", *running]) == INCOMPLETE
    assert target in capsys.readouterr().out
    assert len(silent_pipeline.executions()) == before


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
def test_an_event_of_another_bucket_starts_nothing(silent_pipeline, running, changes, capsys):
    """This holds even if its target is a replaced state machine of this stack."""
    image_key = key()
    silent_pipeline.upload(image_key, PHOTO)
    target = predecessor_arn(silent_pipeline, "ProcessImage")
    send_undelivered(silent_pipeline, json.dumps(event_of(silent_pipeline, image_key, **changes)), target)
    assert main(["redrive", *running]) == INCOMPLETE
    assert target in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ProcessImageStateMachine-Zz9Yy8Xx7Ww6", "ProcessImageStateMachine-0a1B2c3D4e5F6"])
def test_a_replaced_state_machine_is_recognised_by_its_generated_name(name):
    """CloudFormation generates names from the logical id and random letters and digits."""
    current = "arn:aws:states:us-east-1:123456789012:stateMachine:ProcessImageStateMachine-Aa1Bb2Cc3Dd4"
    outputs = {"ProcessImageStateMachineArn": current, "UploadsBucketName": "b"}
    event = {"source": "aws.s3", "detail": {"bucket": {"name": "b"}}}
    target = f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}"
    assert redrive._machine_for(outputs, target, event) == current


def test_an_unchanged_upload_is_reprocessed(pipeline, running, image_key):
    """The new execution replaces the record although its event is as old; version, renditions and creation stay."""
    before = pipeline.record(image_key)
    assert main(["reprocess", image_key, *running]) == OK
    pipeline.wait_until(
        lambda: (
            pipeline.record(image_key)["status"] == "COMPLETED"
            and pipeline.record(image_key)["execution"]["id"] != before["execution"]["id"]
        ),
        "the reprocess",
    )
    after = pipeline.record(image_key)
    assert after["execution"]["id"].startswith("reprocess_")
    assert after["upload"]["versionId"] == before["upload"]["versionId"]
    assert [r["key"] for r in after["renditions"]] == [r["key"] for r in before["renditions"]]
    assert after["createdAt"] == before["createdAt"]


def test_a_second_reprocess_waits_for_the_cooldown(pipeline, running, image_key, monkeypatch, capsys):
    """The API rejects it, but the command waits and says for how long."""
    waits: list[int] = []

    def end_cooldown() -> None:
        pipeline.client("dynamodb").update_item(
            TableName=pipeline.outputs["ImageTableName"],
            Key={"ImageKey": {"S": image_key}},
            UpdateExpression="REMOVE reprocessRequestedAt",
        )

    def pass_time(seconds: int) -> None:
        waits.append(seconds)
        end_cooldown()

    end_cooldown()  # of the test before
    monkeypatch.setattr(reprocess, "time", SimpleNamespace(sleep=pass_time))
    assert main(["reprocess", image_key, *running]) == OK
    assert main(["reprocess", image_key, "--json", *running]) == OK
    assert len(waits) == 1
    assert 1 <= waits[0] <= 10
    output = capsys.readouterr()
    assert str(waits[0]) in output.err
    assert json.loads(output.out.splitlines()[-1])["failed"] == []


def test_a_newer_upload_wins_over_a_reprocess(without_cooldown, pipeline, running, image_key):
    """A reprocess replaces the existing record, but never that of a newer upload."""
    main(["reprocess", image_key, *running])
    newest = pipeline.upload(image_key, photo(150, 200))
    pipeline.wait_for(image_key, newest)
    pipeline.wait_until(lambda: not any(e.running for e in pipeline.executions()), "all to end")
    record = pipeline.record(image_key)
    assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", newest)


def test_a_restored_upload_is_reprocessed(without_cooldown, pipeline, running, image_key):
    """S3 sends no event when a delete marker is removed; the command restores the image."""
    version = pipeline.record(image_key)["upload"]["versionId"]
    address = {"Bucket": pipeline.uploads_bucket, "Key": image_key}
    marker = pipeline.client("s3").delete_object(**address)["VersionId"]
    pipeline.wait_until(lambda: pipeline.record(image_key)["status"] == "DELETED", "the deletion")
    pipeline.client("s3").delete_object(**address, VersionId=marker)
    assert main(["reprocess", image_key, *running]) == OK
    pipeline.wait_until(lambda: pipeline.record(image_key)["status"] == "COMPLETED", "the image")
    assert pipeline.record(image_key)["upload"]["versionId"] == version


def test_a_missing_upload_cannot_be_reprocessed(running, capsys):
    """The exit code is 1, and the message names the key."""
    assert main(["reprocess", "uploads/no such.jpg", *running]) == INCOMPLETE
    assert "'uploads/no such.jpg'" in capsys.readouterr().err
    assert main(["reprocess", "uploads/no such.jpg", "--json", *running]) == INCOMPLETE
    (failed,) = json.loads(capsys.readouterr().out)["failed"]
    assert failed["key"] == "uploads/no such.jpg"


@pytest.mark.parametrize("name", ["\udcff.jpg", "a" * 1017, "é" * 509], ids=ascii)
@pytest.mark.parametrize("command", ["status", "reprocess", "delete", "download"])
def test_invalid_names_are_rejected(command, name, running, capsys):
    """Every command rejects them before it sends a request to AWS."""
    assert main([command, name, *(["--yes"] if command == "delete" else []), *running]) == USAGE
    assert ascii(name[:80]) in capsys.readouterr().err


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
def test_invalid_paths_and_prefixes_are_usage_errors(arguments, running, capsys):
    """An empty path does not mean the current folder: in a script it comes from an unset variable."""
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments, *running])
    assert exit_info.value.code == USAGE
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_is_reported(running):
    """The message is a sentence without a traceback."""
    command = [sys.executable, "-m", "image_pipeline_cli", "keys", "list", *running]
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.returncode == INCOMPLETE
    assert "No space left on device" in process.stderr
    assert "Traceback" not in process.stderr
    assert "Exception ignored" not in process.stderr


def test_without_a_running_copy_the_error_names_make_run(tmp_path, capsys):
    """The message says how to start a local copy."""
    assert main(["redrive", "--local", "--run-dir", str(tmp_path)]) == NO_STACK
    assert "make run" in capsys.readouterr().err


def test_a_stack_on_aws_is_found_by_its_name(empty_aws, capsys):
    """Its outputs name the resources; a stack without them is rejected."""
    outputs = {"ProcessImageStateMachineArn": {"Value": "arn"}}
    bucket = {"Bucket": {"Type": "AWS::S3::Bucket"}}
    formation = aws_client("cloudformation")
    for name, body in {"pictures": {"Resources": bucket, "Outputs": outputs}, "other": {"Resources": bucket}}.items():
        formation.create_stack(StackName=name, TemplateBody=json.dumps(body))
    assert find_on_aws("pictures", None).outputs == {"ProcessImageStateMachineArn": "arn"}
    assert main(["redrive", "--stack", "other"]) == NO_STACK
    assert "ProcessImageStateMachineArn" in capsys.readouterr().err
    assert main(["redrive", "--stack", "missing"]) == NO_STACK
    assert "missing" in capsys.readouterr().err


def test_batch_messages_are_redriven(pipeline, running, image_key, capsys):
    """After the cause is fixed, a dead letter of a batch is processed."""
    message = {"bucket": pipeline.uploads_bucket, "key": image_key, "reprocess": True}
    sqs, dead = pipeline.client("sqs"), pipeline.outputs["BatchDeadLetterQueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody=json.dumps(message))
    assert main(["redrive", "--json", *running]) == OK
    assert json.loads(capsys.readouterr().out) == {"started": 0, "sent": 1, "left": 0}
    pipeline.wait_until(
        lambda: (
            pipeline.record(image_key)["execution"]["id"].startswith("batch_")
            and pipeline.record(image_key)["status"] == "COMPLETED"
        ),
        "the batch",
    )
    assert pipeline.take_messages(dead) == []


def test_a_message_stays_if_its_queue_rejects_it(pipeline, running, capsys):
    """A failed redrive loses no message."""
    dead = pipeline.outputs["BatchDeadLetterQueueUrl"]
    pipeline.client("sqs").send_message(QueueUrl=dead, MessageBody="words \x1b[2J")
    pipeline.fault("sqs", "SendMessage", "KmsThrottled")
    assert main(["redrive", *running]) == INCOMPLETE
    out = capsys.readouterr().out
    assert "KmsThrottled" in out
    assert out.replace("\n", "").isprintable()
    assert [message["Body"] for message in pipeline.take_messages(dead)] == ["words \x1b[2J"]
