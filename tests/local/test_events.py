"""The events are the ones that AWS documents, not the ones that moto makes up."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from moto.s3 import notifications

from local import events
from tests.pictures import photo

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html, "Object created"
DOCUMENTED = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2021-11-12T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
    "detail": {
        "version": "0",
        "event-version": "1.0",
        "bucket": {"name": "amzn-s3-demo-bucket1"},
        "object": {
            "key": "example-key",
            "size": 5,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "617f08299329d189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "1.2.3.4",
        "reason": "PutObject",
    },
}


def shape(value: Any) -> Any:
    """The names and types of an event, without its values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def bucket(versioned: bool) -> Any:
    return SimpleNamespace(name="b", arn="arn:aws:s3:::b", region_name="eu-west-1", is_versioned=versioned)


def key(version: str = "null") -> Any:
    return SimpleNamespace(name="uploads/a+b ü.jpg", size=5, etag='"abc"', version_id=version, multipart=None)


def test_an_upload_gives_the_documented_event(pipeline, folder):
    """Same names, same types, nothing more: what an execution starts with is what S3 sends."""
    pipeline.upload(f"{folder}/x.jpg", photo())
    pipeline.wait_for(f"{folder}/x.jpg")
    (event,) = (execution.event for execution in pipeline.executions() if execution.key == f"{folder}/x.jpg")
    assert shape(event) == shape(DOCUMENTED)
    head = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=f"{folder}/x.jpg")
    entity = event["detail"]["object"]
    assert entity["version-id"] == head["VersionId"]
    assert entity["etag"] == head["ETag"].strip('"')
    assert entity["size"] == head["ContentLength"]
    assert re.fullmatch("[0-9A-F]{16,18}", entity["sequencer"])
    age = datetime.now(UTC) - datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S%z")
    assert abs(age.total_seconds()) < 60


def test_an_unversioned_bucket_has_no_version_in_its_events():
    """AWS leaves the version out where there is none."""
    event = events.event_for("1", bucket(False), "s3:ObjectCreated:Put", key())
    assert "version-id" not in event["detail"]["object"]
    assert event["detail"]["object"]["key"] == "uploads/a+b ü.jpg"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("s3:ObjectCreated:Put", "PutObject"),
        ("s3:ObjectCreated:Post", "POST Object"),
        ("s3:ObjectCreated:Copy", "CopyObject"),
        ("s3:ObjectCreated:CompleteMultipartUpload", "CompleteMultipartUpload"),
    ],
)
def test_the_reason_is_the_operation(name, reason):
    """In AWS's spelling."""
    assert events.event_for("1", bucket(True), name, key("v"))["detail"]["reason"] == reason


def test_ids_differ_and_sequencers_grow():
    """Two events of one key can be told apart and put in order."""
    made = [events.event_for("1", bucket(True), "s3:ObjectCreated:Put", key("v")) for _ in range(50)]
    assert len({event["id"] for event in made}) == 50
    sequencers = [event["detail"]["object"]["sequencer"] for event in made]
    assert sequencers == sorted(set(sequencers))


def test_a_deletion_says_of_which_kind():
    """The event of a deletion has neither size nor etag."""
    event = events.event_for("1", bucket(False), "s3:ObjectRemoved:Delete", key())
    assert (event["detail-type"], event["detail"]["deletion-type"]) == ("Object Deleted", "Permanently Deleted")
    assert event["detail"]["object"].keys() == {"key", "sequencer"}


def test_a_moved_seam_says_so(monkeypatch):
    """When moto's function is gone, starting fails with the file that must follow."""
    monkeypatch.delattr(notifications, "_send_event_bridge_message")
    with pytest.raises(RuntimeError, match=r"local/events\.py must follow"):
        events.install()
