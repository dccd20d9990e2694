"""moto_seams/events.py: events of S3 are those that AWS documents."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from moto.s3 import notifications
from moto.s3.models import S3Backend

from local.emulator.moto_seams import events
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

# The same page, "Object deleted (using DeleteObject)"
DOCUMENTED_DELETION: dict[str, Any] = {
    **DOCUMENTED,
    "detail-type": "Object Deleted",
    "detail": {
        "version": "0",
        "event-version": "1.1",
        "bucket": {"name": "amzn-s3-demo-bucket1"},
        "object": {
            "key": "example-key",
            "etag": "d41d8cd98f00b204e9800998ecf8427e",
            "version-id": "1QW9g1Z99LUNbvaaYVpW9xDlOLU.qxgF",
            "sequencer": "617f0837b476e463",
        },
        "request-id": "0BH729840619AG5K",
        "requester": "123456789012",
        "source-ip-address": "1.2.3.4",
        "reason": "DeleteObject",
        "deletion-type": "Delete Marker Created",
    },
}
# Its note: "etag and size are present only when a delete marker is created".
PERMANENTLY_DELETED = {
    **DOCUMENTED_DELETION,
    "detail": {**DOCUMENTED_DELETION["detail"], "object": {"key": "example-key", "sequencer": "617f0837b476e463"}},
}


def shape(value: Any) -> Any:
    """Return names and types of an event, without its values."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def bucket(versioned: bool) -> Any:
    return SimpleNamespace(name="b", arn="arn:aws:s3:::b", region_name="eu-west-1", is_versioned=versioned)


def key(version: str = "null") -> Any:
    return SimpleNamespace(name="uploads/a+b ü.jpg", size=5, etag='"abc"', version_id=version, multipart=None)


def test_an_upload_gives_the_documented_event(pipeline, folder):
    """The event has exactly the documented names and types."""
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
    """AWS omits the version."""
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
    """The reason is spelled as in AWS."""
    assert events.event_for("1", bucket(True), name, key("v"))["detail"]["reason"] == reason


def test_ids_are_unique_and_sequencers_increase():
    """Events of one key are distinct and ordered."""
    announcements = [events.event_for("1", bucket(True), "s3:ObjectCreated:Put", key("v")) for _ in range(50)]
    assert len({event["id"] for event in announcements}) == 50
    sequencers = [event["detail"]["object"]["sequencer"] for event in announcements]
    assert sequencers == sorted(set(sequencers))


def test_a_deletion_event_has_its_type():
    """A deletion has no size or etag; a delete marker has the etag of empty content, as documented."""
    deletion = events.event_for("1", bucket(False), "s3:ObjectRemoved:Delete", key())
    marker = events.event_for("1", bucket(True), "s3:ObjectRemoved:DeleteMarkerCreated", key("v"))
    assert shape(deletion["detail"]) == shape(PERMANENTLY_DELETED["detail"])
    assert shape(marker["detail"]) == shape(DOCUMENTED_DELETION["detail"])
    assert marker["detail"]["object"]["etag"] == DOCUMENTED_DELETION["detail"]["object"]["etag"]
    assert [event["detail"]["deletion-type"] for event in (deletion, marker)] == [
        "Permanently Deleted",
        "Delete Marker Created",
    ]
    assert {event["detail"]["reason"] for event in (deletion, marker)} == {"DeleteObject"}


def deletions(wait_for_events: Any, count: int) -> list[tuple[str, str | None, str]]:
    """Return key, version and kind of each deletion, ordered by sequencer."""
    details = sorted(
        (event["detail"] for event in wait_for_events(count)), key=lambda detail: detail["object"]["sequencer"]
    )
    return [
        (detail["object"]["key"], detail["object"].get("version-id"), detail["deletion-type"]) for detail in details
    ]


@pytest.mark.parametrize("batch", [False, True])
def test_every_deletion_in_a_versioned_bucket_sends_an_event(pipeline, listen, batch):
    """Deletions of markers and versions send an event; deletions of missing objects do not."""
    wait_for_events = listen({"detail-type": ["Object Deleted"]})
    name, s3 = f"elsewhere/deleted-{batch}.jpg", pipeline.client("s3")

    def delete(**version: str) -> str:
        if batch:
            selection = {"Objects": [{"Key": name, **version}]}
            deleted = s3.delete_objects(Bucket=pipeline.uploads_bucket, Delete=selection)["Deleted"][0]
            return deleted.get("DeleteMarkerVersionId") or deleted["VersionId"]
        return s3.delete_object(Bucket=pipeline.uploads_bucket, Key=name, **version)["VersionId"]

    first, second = pipeline.upload(name, b"1"), pipeline.upload(name, b"2")
    marker = delete()
    for version in (first, "none", marker, second):
        delete(VersionId=version)
    assert deletions(wait_for_events, 4) == [
        (name, marker, "Delete Marker Created"),
        (name, first, "Permanently Deleted"),
        (name, marker, "Permanently Deleted"),
        (name, second, "Permanently Deleted"),
    ]


def test_a_deletion_in_an_unversioned_bucket_is_permanent(pipeline, listen):
    """The event has no version; a missing object or a bucket without events sends none."""
    wait_for_events = listen({"detail-type": ["Object Deleted"]})
    s3 = pipeline.client("s3")
    for name in ("with-events", "without-events"):
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="x", Body=b"x")
    s3.put_bucket_notification_configuration(
        Bucket="with-events", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    s3.delete_object(Bucket="without-events", Key="x")
    s3.delete_object(Bucket="with-events", Key="nothing")
    s3.delete_object(Bucket="with-events", Key="x")
    assert deletions(wait_for_events, 1) == [("x", None, "Permanently Deleted")]


def test_sequencers_order_writes_and_deletions(pipeline, listen):
    """A deletion comes after its upload and before the next one."""
    wait_for_events = listen({"source": ["aws.s3"]})
    for body in (b"1", b"2"):
        pipeline.upload("elsewhere/order.jpg", body)
        pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key="elsewhere/order.jpg")
    in_order = sorted(wait_for_events(4), key=lambda event: event["detail"]["object"]["sequencer"])
    assert [event["detail-type"] for event in in_order] == ["Object Created", "Object Deleted"] * 2


@pytest.mark.parametrize(
    ("owner", "name"), [(notifications, "_send_event_bridge_message"), (S3Backend, "delete_object")]
)
def test_a_moved_seam_is_reported(monkeypatch, owner, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.delattr(owner, name)
    with pytest.raises(RuntimeError, match=r"moto_seams/events\.py"):
        events.install()
