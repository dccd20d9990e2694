"""Messages of BatchQueue through the real queue, function and workflow."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

import pytest

from image_pipeline.errors import UnsupportedFormatError
from local.pipeline import Pipeline
from tests.conftest import heavy
from tests.pictures import photo
from tests.workflow.conftest import drain, silent_bucket, waiting

PHOTO = photo(64, 48)


def send(pipeline: Pipeline, *messages: Any) -> None:
    sqs, url = pipeline.client("sqs"), pipeline.outputs["BatchQueueUrl"]
    for start in range(0, len(messages), 10):
        some = messages[start : start + 10]
        entries = [{"Id": str(n), "MessageBody": json.dumps(message)} for n, message in enumerate(some)]
        assert not sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


@pytest.fixture
def quiet(pipeline):
    """Events of S3 start nothing, and the queue is empty."""
    sqs = pipeline.client("sqs")
    if waiting(pipeline, "BatchQueueUrl"):
        with suppress(sqs.exceptions.PurgeQueueInProgress):
            sqs.purge_queue(QueueUrl=pipeline.outputs["BatchQueueUrl"])
    with silent_bucket(pipeline):
        yield pipeline


@pytest.fixture
def folder() -> str:
    """A folder that no other test uses."""
    return f"uploads/batches/{uuid.uuid4()}"


@heavy
def test_a_hundred_messages_are_processed_without_a_loss(quiet, folder):
    """Each upload is processed once, and the queue is empty only after all executions have ended."""
    keys = [f"{folder}/{number}.jpg" for number in range(100)]
    for key in keys:
        quiet.upload(key, PHOTO)
    send(quiet, *({"bucket": quiet.uploads_bucket, "key": key} for key in keys))
    drain(quiet, 180)
    assert {(quiet.record(key) or {}).get("status") for key in keys} == {"COMPLETED"}
    started = [execution.key for execution in quiet.executions() if execution.key in keys]
    assert sorted(started) == sorted(keys)
    assert waiting(quiet, "BatchDeadLetterQueueUrl") == 0


def test_messages_in_the_shape_of_s3_are_processed(quiet, folder):
    """The key is encoded as by S3."""
    key = f"{folder}/a b+c%20d é.jpg"
    version = quiet.upload(key, PHOTO)
    s3_object = {"key": quote_plus(key), "versionId": version, "sequencer": "F0"}
    entity = {"bucket": {"name": quiet.uploads_bucket}, "object": s3_object}
    send(quiet, {"Records": [{"eventName": "ObjectCreated:Put", "s3": entity}]})
    drain(quiet)
    record = quiet.record(key)
    assert (record["status"], record["upload"]["sequencer"]) == ("COMPLETED", "F0")


def test_messages_reject_empty_objects_and_ignore_folder_markers(quiet, folder):
    """A message names an upload explicitly, so there is no wait for its content."""
    keys = [f"{folder}/empty.jpg", f"{folder}/folder/"]
    for key in keys:
        quiet.upload(key, b"")
    send(quiet, *({"bucket": quiet.uploads_bucket, "key": key} for key in keys))
    drain(quiet)
    assert quiet.record(keys[0])["error"]["code"] == "EmptyUploadError"
    assert quiet.record(keys[1]) is None
    assert not [execution for execution in quiet.executions("WaitForContentStateMachine") if execution.key in keys]


def test_a_known_upload_is_processed_again_only_on_request(quiet, folder):
    """A duplicate message has no effect."""
    key = f"{folder}/a.jpg"
    quiet.upload(key, PHOTO)
    message = {"bucket": quiet.uploads_bucket, "key": key}
    for more, expected in (({}, 1), ({}, 1), ({"reprocess": True}, 2)):
        send(quiet, {**message, **more})
        drain(quiet)
        assert len([execution for execution in quiet.executions() if execution.key == key]) == expected
    assert quiet.record(key)["status"] == "COMPLETED"


def test_a_message_without_an_upload_becomes_a_dead_letter(quiet, folder):
    """Other messages of the batch are processed."""
    key = f"{folder}/a.jpg"
    quiet.upload(key, PHOTO)
    wrong = {"bucket": "another", "key": key}
    send(quiet, {"bucket": quiet.uploads_bucket, "key": key}, wrong, {"bucket": quiet.uploads_bucket, "key": "x.jpg"})
    quiet.wait_until(lambda: waiting(quiet, "BatchDeadLetterQueueUrl") == 2, "the dead letters")
    drain(quiet)
    assert quiet.record(key)["status"] == "COMPLETED"
    letters = quiet.take_messages(quiet.outputs["BatchDeadLetterQueueUrl"])
    assert wrong in [json.loads(letter["Body"]) for letter in letters]
    log = (quiet.run_dir / "logs" / "StartBatchFunction.log").read_text()
    assert "InvalidMessageError" in log
    assert folder not in log


def test_a_message_is_retried_after_an_aws_error(quiet, folder):
    """No message is lost in an outage."""
    key = f"{folder}/a.jpg"
    quiet.upload(key, PHOTO)
    quiet.fault("stepfunctions", "StartExecution", "ThrottlingException", times=3, containing=key)
    send(quiet, {"bucket": quiet.uploads_bucket, "key": key})
    drain(quiet)
    assert quiet.record(key)["status"] == "COMPLETED"
    assert waiting(quiet, "BatchDeadLetterQueueUrl") == 0


def test_a_batch_occupies_its_slot_until_its_executions_have_ended(quiet, reconfigure, folder):
    """The queue keeps a message while all slots are occupied, and delivers it when a batch has ended."""
    reconfigure(BatchConcurrency="2")
    first, second, last = keys = [f"{folder}/{name}.jpg" for name in ("first", "second", "last")]
    free = {key: threading.Event() for key in keys}

    def validate(event: Any) -> Any:
        free[event["upload"]["key"]].wait(30)
        raise UnsupportedFormatError("It is no image.", "Upload an image.")  # the shortest way to an outcome

    def has_started(key: str) -> bool:
        return key in [execution.key for execution in quiet.executions()]

    quiet.replace("ValidateImageFunction", validate)
    with silent_bucket(quiet):  # again, because an update enables the rules
        for key in keys:
            quiet.upload(key, PHOTO)
    for key in (first, second):
        send(quiet, {"bucket": quiet.uploads_bucket, "key": key})  # a batch of its own
        quiet.wait_until(lambda key=key: has_started(key), key)
    send(quiet, {"bucket": quiet.uploads_bucket, "key": last})
    for _ in range(30):  # without a limit, its execution would start before the second request
        assert waiting(quiet, "BatchQueueUrl") == len(keys)
        assert not has_started(last)
    free[first].set()
    quiet.wait_until(lambda: has_started(last), "the last message")
    for event in free.values():
        event.set()
    drain(quiet)


@heavy  # thirty executions
def test_the_queue_applies_back_pressure(quiet, reconfigure, folder):
    """Running executions limit the number of new ones to ten times the number of batches."""
    reconfigure(BatchConcurrency="2")
    limit = 10 * int(quiet.outputs["BatchConcurrency"])
    keys = [f"{folder}/{number}.jpg" for number in range(limit + 5)]
    states, machine = quiet.client("stepfunctions"), quiet.outputs["ProcessImageStateMachineArn"]

    def running() -> int:
        return len(states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"])

    most = 0

    def validate(_event: Any) -> Any:
        nonlocal most
        most = max(most, running())
        raise UnsupportedFormatError("It is no image.", "Upload an image.")  # the shortest way to an outcome

    quiet.replace("ValidateImageFunction", validate)
    quiet.wait_until(lambda: running() == 0, "the end of other executions")
    with silent_bucket(quiet):  # again, because an update enables the rules
        for key in keys:
            quiet.upload(key, PHOTO)
        send(quiet, *({"bucket": quiet.uploads_bucket, "key": key} for key in keys))
        drain(quiet, 180)
    assert 1 < most <= limit
