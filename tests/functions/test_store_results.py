"""functions/store_results"""

import pytest

from image_pipeline import errors, records
from tests.conftest import IMAGE_TABLE, put_record

LABELLED = {
    "labels": [{"name": "Sea", "confidence": 97.5, "parents": []}],
    "labelModelVersion": "3.0",
    "warnings": [],
}
UNLABELLED = {"warnings": [{"code": "LabelsUnavailableError", "message": "No.", "hint": "Later."}]}


def event(metadata, execution_id="execution-1"):
    return {
        "imageKey": "uploads/a.jpg",
        "executionId": execution_id,
        "startedAt": "2026-11-20T12:00:01.000Z",
        "thumbnails": {
            "exif": {"make": "ACME"},
            "image": {"format": "JPEG", "width": 800, "height": 600},
            "renditions": [{"name": "100x100", "sizeBytes": 3000}],
            "summary": {"thumbhash": "x"},
            "warnings": [],
        },
        "metadata": metadata,
        "milliseconds": {"ValidateImage": 12},
    }


def test_with_labels_the_record_is_completed(handler):
    """Everything that the steps found is in it, and when it began and ended."""
    put_record("uploads/a.jpg")
    assert handler(event(LABELLED))["status"] == "COMPLETED"
    record = records.read(IMAGE_TABLE, "uploads/a.jpg")
    assert record["status"] == "COMPLETED"
    assert record["image"]["width"] == 800
    assert record["labels"][0]["name"] == "Sea"
    assert record["labelModelVersion"] == "3.0"
    assert record["exif"] == {"make": "ACME"}
    assert record["renditions"][0]["sizeBytes"] == 3000
    assert record["execution"]["milliseconds"] == {"ValidateImage": 12}
    assert record["execution"]["startedAt"] < record["execution"]["finishedAt"] == record["updatedAt"]


def test_without_labels_the_record_is_partial_and_says_why(handler):
    """A Rekognition failure is neither hidden nor the end of the picture."""
    put_record("uploads/a.jpg")
    assert handler(event(UNLABELLED))["status"] == "PARTIAL"
    record = records.read(IMAGE_TABLE, "uploads/a.jpg")
    assert record["status"] == "PARTIAL"
    assert record["warnings"][0]["code"] == "LabelsUnavailableError"
    assert record["labels"] == []


def test_no_labels_found_is_still_complete(handler):
    """Rekognition spoke, and saw nothing it is sure of."""
    put_record("uploads/a.jpg")
    assert handler(event(LABELLED | {"labels": []}))["status"] == "COMPLETED"


def test_a_superseded_execution_changes_nothing(handler):
    """The newer upload's record stays."""
    put_record("uploads/a.jpg", execution={"id": "execution-2"})
    with pytest.raises(errors.SupersededError):
        handler(event(LABELLED))
    assert records.read(IMAGE_TABLE, "uploads/a.jpg")["status"] == "PROCESSING"
