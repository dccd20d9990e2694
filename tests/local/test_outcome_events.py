"""Every outcome is one event that matches docs/events/outcome.schema.json."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jsonschema
import pytest

from image_pipeline.keys import status_path
from local.pipeline import Pipeline
from tests.conftest import ROOT
from tests.pictures import photo

SCHEMA = json.loads((ROOT / "docs" / "events" / "outcome.schema.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
PHOTO, OTHER_PHOTO = photo(200, 150), photo(150, 200)

EventsOf = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def events_of(pipeline: Pipeline) -> EventsOf:
    """A function that returns the events of a key after all changes are published."""

    def published(key: str) -> list[dict[str, Any]]:
        return [event for event in pipeline.events() if event["detail"]["imageKey"] == key]

    def wait_for_events(key: str) -> list[dict[str, Any]]:
        # Changes are published in their order, so the event of this one is the last.
        fence = f"uploads/fence/{uuid.uuid4()}"
        item = {"ImageKey": fence, "status": "DELETED"}
        execution = {"id": fence, "startedAt": "2026-11-21T12:00:00.000Z", "finishedAt": "2026-11-21T12:00:01.000Z"}
        pipeline.client("dynamodb").put_item(
            TableName=pipeline.outputs["ImageTableName"],
            Item={name: {"S": text} for name, text in item.items()}
            | {"execution": {"M": {name: {"S": text} for name, text in execution.items()}}},
        )
        pipeline.wait_until(lambda: bool(published(fence)), f"the events of {key}")
        for event in [*published(fence), *published(key)]:
            VALIDATOR.validate(event)
        return published(key)

    return wait_for_events


def wait_for_machine(pipeline: Pipeline, machine: str, key: str) -> None:
    pipeline.wait_until(
        lambda: any(not e.running and key in str(e.event) for e in pipeline.executions(machine)), f"{machine} of {key}"
    )


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["detail-type"] for event in events]


def test_each_outcome_of_a_key_is_published_once(pipeline, folder, events_of):
    """An upload, an overwrite and a deletion have one event each, in order; a duplicate event of S3 has none."""
    key = f"{folder}/ä b?.jpg"
    version = pipeline.upload(key, PHOTO)
    record = pipeline.wait_for(key)
    (event,) = events_of(key)
    detail = event["detail"]
    assert (event["source"], event["detail-type"]) == ("image-pipeline", "ImageCompleted")
    assert detail["pipeline"] == {"version": pipeline.outputs["Version"], "commit": "unknown"}
    assert event["time"] == record["execution"]["finishedAt"][:19] + "Z"
    assert datetime.fromisoformat(detail["execution"]["finishedAt"])
    assert (detail["imageKey"], detail["upload"]["versionId"]) == (key, version)
    assert (detail["image"]["width"], detail["image"]["height"]) == (200, 150)
    assert [rendition["key"] for rendition in detail["renditions"]] == [
        rendition["key"] for rendition in record["renditions"]
    ]
    assert [label["name"] for label in detail["labels"]] == [label["name"] for label in record["labels"]]
    for rendition in detail["renditions"]:
        address = {"Bucket": rendition["bucket"], "Key": rendition["key"], "VersionId": rendition["versionId"]}
        assert pipeline.client("s3").head_object(**address)["ContentLength"] == rendition["sizeBytes"]
    assert detail["statusUrl"] == pipeline.api_url + status_path(key)
    (notification,) = [notification for notification in pipeline.notifications() if key in notification["Message"]]
    assert detail["statusUrl"] in notification["Message"]

    deliver_again(pipeline, key)
    newer = pipeline.upload(key, OTHER_PHOTO)
    pipeline.wait_for(key)
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
    wait_for_machine(pipeline, "DeleteImageStateMachine", key)
    events = events_of(key)
    assert types(events) == ["ImageCompleted", "ImageCompleted", "ImageDeleted"]
    assert [event["detail"]["upload"]["versionId"] for event in events] == [version, newer, newer]
    assert len({event["detail"]["id"] for event in events}) == 3


def deliver_again(pipeline: Pipeline, key: str) -> None:
    """Start the workflow with the event of an upload again, and wait for its end."""
    (first,) = [execution for execution in pipeline.executions("ProcessImageStateMachine") if execution.key == key]
    arn = pipeline.client("stepfunctions").start_execution(
        stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"],
        name=str(uuid.uuid4()),
        input=json.dumps(first.event),
    )["executionArn"]
    pipeline.wait_for_end(arn)


def test_an_image_without_labels_is_published_as_partial(pipeline, folder, events_of):
    """The partial outcome is the only event."""
    key = f"{folder}/x.jpg"
    pipeline.fault("rekognition", "DetectLabels", "AccessDeniedException", times=-1)
    pipeline.upload(key, PHOTO)
    assert pipeline.wait_for(key)["status"] == "PARTIAL"
    (event,) = events_of(key)
    assert (event["detail-type"], event["detail"]["labels"]) == ("ImagePartial", [])


def test_a_rejected_file_is_published_with_its_reason(pipeline, folder, events_of):
    """Reason and hint are those of the status API; the expiration of the record publishes nothing."""
    key = f"{folder}/x.jpg"
    pipeline.upload(key, b"words")
    pipeline.wait_for(key)
    (event,) = events_of(key)
    assert event["detail-type"] == "ImageFailed"
    assert event["detail"]["error"]["code"] == "UnsupportedFormatError"
    assert "text" in event["detail"]["error"]["message"]
    name = pipeline.outputs["ImageTableName"]
    pipeline.client("dynamodb").delete_item(TableName=name, Key={"ImageKey": {"S": key}})
    assert types(events_of(key)) == ["ImageFailed"]


def test_an_internal_fault_is_shown_without_details(pipeline, folder, events_of):
    """The record has the error of a deployment without a permission, with the name of a role; the event does not."""
    key = f"{folder}/x.jpg"
    pipeline.restrict("GenerateThumbnailsFunctionRole", [])
    pipeline.upload(key, PHOTO)
    record = pipeline.wait_for(key)
    assert (record["status"], record["error"]["step"]) == ("FAILED", "GenerateThumbnails")
    assert "AccessDenied" in record["error"]["message"]
    assert "arn:" in record["error"]["message"]
    (event,) = events_of(key)
    assert event["detail"]["error"]["step"] == "GenerateThumbnails"
    assert "arn:" not in json.dumps(event["detail"])


def test_an_aborted_execution_is_published_once(pipeline, folder, events_of):
    """The workflow that settles it publishes the event."""
    key = f"{folder}/x.jpg"

    def validate(event: dict[str, Any]) -> dict[str, Any]:
        (execution,) = [execution for execution in pipeline.executions() if execution.key == key and execution.running]
        pipeline.client("stepfunctions").stop_execution(executionArn=execution.arn)
        return {"source": event["upload"], "image": {}, "milliseconds": 1}

    pipeline.replace("ValidateImageFunction", validate)
    pipeline.upload(key, PHOTO)
    wait_for_machine(pipeline, "SettleImageStateMachine", key)
    (event,) = events_of(key)
    assert (event["detail-type"], event["detail"]["error"]["code"]) == ("ImageFailed", "ExecutionAbortedError")


def test_a_failed_publication_is_retried(pipeline, folder, events_of):
    """After throttling, all outcomes are published once and in order."""
    key = f"{folder}/x.jpg"
    pipeline.fault("events", "PutEvents", "ThrottlingException", times=7)
    for data in (b"words", b"more words"):
        pipeline.upload(key, data)
        pipeline.wait_for(key)
    assert types(events_of(key)) == ["ImageFailed", "ImageFailed"]


def test_an_outcome_that_breaks_the_function_delays_no_other(pipeline, folder, events_of, listen):
    """The broken outcome becomes a dead letter with its position; a rule of the user receives those that match it."""
    broken, outside, inside = (f"{folder}/{name}" for name in ("in/broken.jpg", "out/x.jpg", "in/y.jpg"))
    pattern = {"source": ["image-pipeline"], "detail": {"imageKey": [{"prefix": f"{folder}/in/"}]}}
    wait_for_events = listen({**pattern, "detail-type": ["ImageFailed"]})
    pipeline.client("dynamodb").put_item(
        TableName=pipeline.outputs["ImageTableName"],
        Item={"ImageKey": {"S": broken}, "status": {"S": "COMPLETED"}, "execution": {"M": {"id": {"S": "e"}}}},
    )
    for key in (outside, inside):
        pipeline.upload(key, b"words")
        pipeline.wait_for(key)
    assert [types(events_of(key)) for key in (broken, outside, inside)] == [[], ["ImageFailed"], ["ImageFailed"]]
    assert [event["detail"]["imageKey"] for event in wait_for_events(1)] == [inside]
    (letter,) = pipeline.take_messages(pipeline.outputs["UnpublishedOutcomesQueueUrl"])
    body = json.loads(letter["Body"])
    assert body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert body["DDBStreamBatchInfo"]["batchSize"] == 1
