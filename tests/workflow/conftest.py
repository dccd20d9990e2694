"""Fixtures and helpers for tests of the workflows on the local engine."""

import itertools
import json
import time
import uuid
from contextlib import contextmanager
from functools import cached_property

import pytest
from boto3.dynamodb.types import TypeSerializer

from image_pipeline.keys import rendition_prefix
from image_pipeline.store import uploads
from image_pipeline.store.storage import SUPERSEDED_TAG
from tests.conftest import ROOT
from tests.pictures import photo

PHOTO, OTHER = photo(200, 150), photo(150, 200)
_numbers = itertools.count()


@pytest.fixture
def pipeline(pipeline):
    """The shared pipeline without the readers of its stream, which would take a quarter of the CPU of these tests."""
    stop_feeds(pipeline)
    return pipeline


def stop_feeds(pipeline):
    """Replace the functions that list and publish changes of records, until `clear`."""
    for function in ("IndexImagesFunction", "PublishOutcomesFunction"):
        pipeline.replace(function, lambda _: None)


def repair(pipeline):
    """Remove all faults and replacements of a test."""
    pipeline.clear()
    stop_feeds(pipeline)


@pytest.fixture(scope="module")
def silent(shared_pipeline):
    """No event of S3 starts an execution during the tests of a module."""
    with silent_bucket(shared_pipeline):
        yield


@pytest.fixture
def quiet_pipeline(pipeline, silent):
    """A pipeline in which only the test starts executions."""
    return pipeline


@pytest.fixture
def key():
    """A key that no other test has."""
    return f"uploads/workflow/{next(_numbers)}.jpg"


@pytest.fixture
def outcome(quiet_pipeline):
    """A function that uploads, processes the upload, and returns the results."""
    return lambda key, data: Outcome(quiet_pipeline, start(quiet_pipeline, put(quiet_pipeline, key, data)))


class Outcome:
    """The results of an upload."""

    def __init__(self, pipeline, execution):
        self.pipeline, self.execution = pipeline, execution
        self.record = pipeline.record(execution.key)

    @cached_property
    def states(self):
        """The names of the states, in the order in which the execution entered them."""
        return self.pipeline.states_entered(self.execution)

    @cached_property
    def notifications(self):
        """All notifications about this key."""
        return about(self.pipeline, self.execution.key)

    @property
    def notified(self):
        """The `status` of every notification about this key."""
        return statuses(self.notifications)


@pytest.fixture(scope="module")
def photo_outcome(shared_pipeline, silent):
    """The results of the upload of a photo."""
    key = f"uploads/workflow/{uuid.uuid4()}.jpg"
    return Outcome(shared_pipeline, start(shared_pipeline, put(shared_pipeline, key, PHOTO)))


@pytest.fixture
def processed(quiet_pipeline, photo_outcome):
    """A function that stores a photo, two renditions and its record as an execution does, which takes much longer."""

    def store(key, **fields):
        photo_record = photo_outcome.record
        entity = put(quiet_pipeline, key, PHOTO)["detail"]["object"]
        bucket, s3 = quiet_pipeline.outputs["ThumbnailsBucketName"], quiet_pipeline.client("s3")
        record = photo_record | {"ImageKey": key, "uploadOrder": uploads.pad(entity["sequencer"])} | fields
        record["upload"] = photo_record["upload"] | {
            "key": key, "versionId": entity["version-id"], "sequencer": entity["sequencer"]
        }  # fmt: skip
        record["renditions"] = []
        for rendition in photo_record["renditions"][:2]:
            own = rendition["key"].replace(rendition_prefix(photo_record["ImageKey"]), rendition_prefix(key))
            version = s3.put_object(Bucket=bucket, Key=own, Body=b"1")["VersionId"]
            record["renditions"].append(rendition | {"key": own, "versionId": version})
        put_item(quiet_pipeline, record)
        return quiet_pipeline.record(key)

    return store


def put_item(pipeline, record):
    """Store a record."""
    item = {name: TypeSerializer().serialize(value) for name, value in record.items()}
    pipeline.client("dynamodb").put_item(TableName=pipeline.outputs["ImageTableName"], Item=item)


def put(pipeline, key, body, **options):
    """Upload to the silent bucket, and return the event that S3 would send."""
    answer = pipeline.client("s3").put_object(Bucket=pipeline.uploads_bucket, Key=key, Body=body, **options)
    return event_of(pipeline, key, answer, len(body))


def event_of(pipeline, key, answer, size):
    """Return the event of an upload with the answer of S3."""
    event = uploaded(pipeline, key)
    event["detail"]["object"] |= {
        "version-id": answer["VersionId"],
        "etag": answer["ETag"].strip('"'),
        "size": size,
        "sequencer": f"{time.time_ns():016X}",
    }
    return event


def about(pipeline, key):
    """Return the notifications about a key, oldest first."""
    return [
        notification
        for notification in pipeline.notifications()
        if notification["MessageAttributes"]["imageKey"]["Value"] == key
    ]


def statuses(notifications):
    """Return the outcome that each notification reports."""
    return [notification["MessageAttributes"]["status"]["Value"] for notification in notifications]


def uploaded(pipeline, key):
    """Return an event without an upload, because the S3 of moto rejects some names that S3 accepts."""
    event = json.loads((ROOT / "events" / "object_created.json").read_text())
    event["detail"]["bucket"]["name"] = pipeline.uploads_bucket
    event["detail"]["object"]["key"] = key
    return event


def start(pipeline, event, machine="ProcessImage"):
    """Start an execution with an event, and wait for its end."""
    states = pipeline.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=pipeline.outputs[f"{machine}StateMachineArn"], name=str(uuid.uuid4()), input=json.dumps(event)
    )["executionArn"]
    return pipeline.wait_for_end(arn)


def event_again(pipeline, key, **changes):
    """Return an event of the current upload of a key that another program sends, such as the API for a reprocess."""
    table = pipeline.outputs["ImageTableName"]
    state = uploads.UploadState.read(pipeline.client, bucket=pipeline.uploads_bucket, table=table, key=key)
    return state.event(**changes)


def start_again(pipeline, execution, **changes):
    """Start an execution with the event of another one."""
    event = json.loads(json.dumps(execution.event))
    event["detail"]["object"] |= changes
    return start(pipeline, event)


def ended(pipeline, event, name, status, *, machine="ProcessImage", **more):
    """Return the event that EventBridge publishes when an execution ends."""
    machine_arn = pipeline.outputs[f"{machine}StateMachineArn"]
    detail = {
        "executionArn": f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
        "stateMachineArn": machine_arn,
        "name": name,
        "status": status,
        "startDate": 1577880000000,
        "input": json.dumps(event),
        "error": None,
        "cause": None,
        **more,
    }
    return {"detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail}


def deletion(pipeline, key, sequencer="F1", version="a-marker", kind="Delete Marker Created"):
    """Return the event of a deletion; its `version-id` is that of the marker or of the deleted version."""
    entity = {"key": key, "sequencer": sequencer} | ({"version-id": version} if version else {})
    return {
        "id": "1",
        "detail-type": "Object Deleted",
        "source": "aws.s3",
        "time": "2026-11-21T12:00:00Z",
        "detail": {"bucket": {"name": pipeline.uploads_bucket}, "object": entity, "deletion-type": kind},
    }


def renditions(pipeline, key):
    """Return the versions of renditions that do not expire, and all versions, as keys by version id."""
    s3, bucket = pipeline.client("s3"), pipeline.outputs["ThumbnailsBucketName"]
    listed = s3.list_object_versions(Bucket=bucket, Prefix=rendition_prefix(key)).get("Versions", [])
    kept = {
        version["VersionId"]: version["Key"]
        for version in listed
        if SUPERSEDED_TAG
        not in s3.get_object_tagging(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["TagSet"]
    }
    return kept, {version["VersionId"]: version["Key"] for version in listed}


def waiting(pipeline, output):
    """Return the number of messages in a queue; those that are being processed count, too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = pipeline.outputs[output]
    attributes = pipeline.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in attributes.values())


def drain(pipeline, seconds=60):
    """Wait until all messages of BatchQueue are processed."""

    def is_empty():
        # Both numbers are approximate, here as on AWS: a message that just becomes visible is in neither.
        return all(waiting(pipeline, "BatchQueueUrl") == 0 for _ in range(3))

    pipeline.wait_until(is_empty, "the queue to be empty", seconds)


@contextmanager
def silent_bucket(pipeline):
    """Disable the rules for events of S3, so that only the test starts executions."""
    events = pipeline.client("events")
    of_bucket = [name for rule, _, name in pipeline.resources if rule.endswith(("Uploaded", "Deleted"))]
    assert len(of_bucket) == 4
    for name in of_bucket:
        events.disable_rule(Name=name)
    try:
        yield
    finally:
        for name in of_bucket:
            events.enable_rule(Name=name)
