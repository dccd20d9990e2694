"""functions/store_results"""

from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline import errors
from image_pipeline.store import records
from tests.conftest import IMAGE_TABLE, THUMBNAILS_BUCKET, metrics, put_record
from tests.unit.store.test_cleanup import marked, rendition

LABELLED = {
    "labels": [{"name": "Sea", "confidence": 97.5, "parents": []}],
    "labelModelVersion": "3.0",
    "warnings": [],
}
UNLABELLED = {"warnings": [{"code": "LabelsUnavailableError", "message": "No.", "hint": "Later."}]}


def event(metadata, execution_id="execution-1", overwrites=False):
    return {
        "overwrites": overwrites,
        "imageKey": "uploads/a.jpg",
        "executionId": execution_id,
        "startedAt": "2026-11-20T12:00:01.000Z",
        "thumbnails": {
            "exif": {"make": "ACME"},
            "image": {"format": "JPEG", "width": 800, "height": 600, "sizeBytes": 90_000},
            "renditions": [{"name": "100x100", "sizeBytes": 3000, "key": "thumbnails/a.jpg/new/100x100.jpg"}],
            "summary": {"thumbhash": "x"},
            "warnings": [],
        },
        "metadata": metadata,
        "milliseconds": {"ValidateImage": 12},
    }


def test_with_labels_the_record_is_completed(handler):
    """The record contains the results of all steps and the times of the execution."""
    put_record("uploads/a.jpg")
    assert handler(event(LABELLED))["status"] == "COMPLETED"
    record = records.read(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert record["status"] == "COMPLETED"
    assert record["image"]["width"] == 800
    assert record["labels"][0]["name"] == "Sea"
    assert record["labelModelVersion"] == "3.0"
    assert record["exif"] == {"make": "ACME"}
    assert record["renditions"][0]["sizeBytes"] == 3000
    milliseconds = record["execution"]["milliseconds"]
    assert milliseconds == {"ValidateImage": 12, "StoreResults": milliseconds["StoreResults"]}
    assert 0 <= milliseconds["StoreResults"] < 10_000
    assert record["execution"]["startedAt"] < record["execution"]["finishedAt"] == record["updatedAt"]


def test_without_labels_the_record_is_partial_with_a_reason(handler):
    """A failure of Rekognition results in PARTIAL with a warning."""
    put_record("uploads/a.jpg")
    assert handler(event(UNLABELLED))["status"] == "PARTIAL"
    record = records.read(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert record["status"] == "PARTIAL"
    assert record["warnings"][0]["code"] == "LabelsUnavailableError"
    assert record["labels"] == []


@pytest.mark.parametrize("attempts", [1, 2])
def test_labels_of_the_same_bytes_are_kept(handler, attempts):
    """The labels are kept even if the function is retried."""
    again = event(UNLABELLED, overwrites=True)
    again["thumbnails"]["image"]["sha256"] = "0" * 64
    put_record(
        "uploads/a.jpg",
        previousStatus="COMPLETED",
        image={"sha256": "0" * 64},
        labels=LABELLED["labels"],
        labelModelVersion="3.0",
    )
    for _ in range(attempts):
        assert handler(again)["status"] == "COMPLETED"
    record = records.read(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert (record["status"], record["labels"]) == ("COMPLETED", LABELLED["labels"])
    (warning,) = record["warnings"]
    assert warning["code"] == "LabelsUnavailableError"


def test_an_image_without_labels_is_completed(handler):
    """An empty list of labels is a valid result."""
    put_record("uploads/a.jpg")
    assert handler(event(LABELLED | {"labels": []}))["status"] == "COMPLETED"


def test_a_superseded_execution_changes_nothing(handler, capsys):
    """The record of the newer upload stays, and no metric is written."""
    put_record("uploads/a.jpg", execution={"id": "execution-2"})
    with pytest.raises(errors.SupersededError):
        handler(event(LABELLED))
    assert records.read(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")["status"] == "PROCESSING"
    assert metrics(capsys) == []


@pytest.mark.parametrize(
    ("metadata", "completed", "partial"), [(LABELLED, 1, 0), (UNLABELLED, 0, 1)], ids=["labelled", "unlabelled"]
)
def test_a_stored_image_is_counted(handler, capsys, metadata, completed, partial):
    """Each image is counted once, with its bytes and duration."""
    put_record("uploads/a.jpg")
    handler(event(metadata))
    (counted,) = metrics(capsys)
    assert (counted["ImageCompleted"], counted["ImagePartial"], counted["ImageFailed"]) == (completed, partial, 0)
    assert (counted["BytesIn"], counted["BytesOut"]) == (90_000, 3000)
    record = records.read(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    took = datetime.fromisoformat(record["execution"]["finishedAt"]) - datetime(2026, 11, 20, 12, 0, 1, tzinfo=UTC)
    assert counted["ProcessingMilliseconds"] == took.total_seconds() * 1000


def test_replaced_renditions_are_marked(handler):
    """The old renditions are marked when the record points to the new ones."""
    put_record("uploads/a.jpg")
    new, old = rendition("uploads/a.jpg", "new"), rendition("uploads/a.jpg", "old")
    handler(event(LABELLED, overwrites=True))
    assert marked() == {old.version_id}
    assert new.version_id not in marked()


def test_a_superseded_execution_marks_nothing(handler):
    """The listed versions may belong to the newer upload."""
    put_record("uploads/a.jpg", execution={"id": "execution-2"})
    rendition("uploads/a.jpg", "newer")
    with pytest.raises(errors.SupersededError):
        handler(event(LABELLED, overwrites=True))
    assert marked() == set()


@pytest.mark.parametrize("operation", ["list_object_versions", "put_object_tagging"])
def test_a_failed_clean_up_does_not_fail_the_image(handler, operation):
    """A failed clean-up does not change the outcome."""
    put_record("uploads/a.jpg")
    rendition("uploads/a.jpg", "old")
    answer = clients.client("s3").list_object_versions(Bucket=THUMBNAILS_BUCKET)
    with Stubber(clients.client("s3")) as stub:
        if operation == "put_object_tagging":
            stub.add_response("list_object_versions", {"Versions": answer["Versions"]})
        stub.add_client_error(operation, "AccessDenied", http_status_code=403)
        assert handler(event(LABELLED, overwrites=True))["status"] == "COMPLETED"
    assert records.read(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")["status"] == "COMPLETED"
