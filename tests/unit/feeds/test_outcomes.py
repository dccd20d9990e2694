"""image_pipeline.feeds.outcomes"""

import json

import jsonschema
import pytest

from image_pipeline.feeds import outcomes
from tests.conftest import ROOT

API = "https://api.example"
RELEASE = {"version": "0.1.0", "commit": "5e7ed83"}
SCHEMA = json.loads((ROOT / "docs" / "events" / "outcome.schema.json").read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
EXECUTION = {"id": "e1", "startedAt": "2026-11-21T12:00:01.000Z", "finishedAt": "2026-11-21T12:00:02.500Z"}
UPLOAD = {
    "bucket": "uploads-bucket",
    "key": "uploads/a b.jpg",
    "versionId": "v1",
    "etag": "0123",
    "sequencer": "0055AED6DCD90281E5",
    "sizeBytes": 7,
    "uploadedAt": "2026-11-21T12:00:00Z",
}
RENDITION = {
    "name": "100x100",
    "format": "JPEG",
    "width": 100,
    "height": 75,
    "sizeBytes": 2000,
    "bucket": "thumbnails-bucket",
    "key": "thumbnails/a b.jpg/0/100x100.jpg",
    "versionId": "v2",
    "quality": 80,
}
CLAIMED = {
    "ImageKey": "uploads/a b.jpg",
    "status": "PROCESSING",
    "upload": UPLOAD,
    "execution": {"id": "e1", "startedAt": "2026-11-21T12:00:01.000Z"},
    "createdAt": "2026-11-21T12:00:01.000Z",
    "updatedAt": "2026-11-21T12:00:01.000Z",
}
PICTURE = {
    "execution": {**EXECUTION, "milliseconds": {"ValidateImage": 7}},
    "image": {"format": "JPEG", "width": 4000, "height": 3000, "sha256": "00"},
    "exif": {"make": "ACME", "gps": {"latitude": 52.5}},
    "location": {"latitude": 52.5},
    "renditions": [RENDITION],
    "labels": [{"name": "Coffee", "confidence": 98.7, "parents": ["Beverage"]}],
    "summary": {"thumbhash": "x"},
    "warnings": [],
}
REJECTION = {"code": "EmptyUploadError", "message": "No bytes.", "hint": "Upload it again.", "step": "ValidateImage"}
RECORDS = {
    "COMPLETED": {**CLAIMED, **PICTURE, "status": "COMPLETED"},
    "PARTIAL": {**CLAIMED, **PICTURE, "status": "PARTIAL", "labels": []},
    "FAILED": {**CLAIMED, "status": "FAILED", "execution": EXECUTION, "error": REJECTION},
    "DELETED": {**CLAIMED, "status": "DELETED", "execution": EXECUTION, "deletedAt": "2026-11-21T12:00:00Z"},
}


FAILURE = {**REJECTION, "executionId": "e2", "at": "2026-11-22T12:00:03.000Z"}
AGAIN = {"id": "e2", "startedAt": "2026-11-22T12:00:01.000Z"}


def event_of(record, old=CLAIMED):
    """The event, and its detail as consumers see it."""
    outcome = outcomes.event_of_change(old, record, API, RELEASE)
    return outcome, json.loads(outcome.detail)


def valid(outcome, detail):
    event = {"source": "image-pipeline", "detail-type": outcome.detail_type, "time": outcome.time, "detail": detail}
    VALIDATOR.validate(event)
    return True


@pytest.mark.parametrize(
    ("status", "detail_type"),
    [
        ("COMPLETED", "ImageCompleted"),
        ("PARTIAL", "ImagePartial"),
        ("FAILED", "ImageFailed"),
        ("DELETED", "ImageDeleted"),
    ],
)
def test_every_outcome_has_its_type_and_keeps_the_contract(status, detail_type):
    """An event has exactly the fields of the schema."""
    outcome, detail = event_of(RECORDS[status])
    assert (outcome.detail_type, outcome.time) == (detail_type, EXECUTION["finishedAt"])
    assert (outcome.image_key, outcome.execution_id) == ("uploads/a b.jpg", "e1")
    assert detail["status"] == status
    assert detail["statusUrl"] == "https://api.example/images/uploads/a%20b.jpg/status"
    assert "truncated" not in detail
    assert valid(outcome, detail)


@pytest.mark.parametrize("release", [RELEASE, {"version": "0.1.0"}, {}], ids=["commit", "no commit", "unknown"])
def test_an_event_names_the_deployment_that_published_it(release):
    """A field that is unknown is missing, not empty."""
    for record in RECORDS.values():
        outcome = outcomes.event_of_change(CLAIMED, record, API, release)
        detail = json.loads(outcome.detail)
        assert detail.get("pipeline", {}) == release
        assert ("pipeline" in detail) == bool(release)
        assert valid(outcome, detail)


def test_an_event_contains_no_personal_or_internal_data():
    """An event contains no EXIF, location, sequencer or durations, and no details of internal errors."""
    for record in RECORDS.values():
        text = outcomes.event_of_change(CLAIMED, record, API, RELEASE).detail
        assert not [word for word in ("ACME", "52.5", "gps", "0055AED6", "milliseconds", "sha256") if word in text]
    error = {**REJECTION, "code": "ClientError", "message": "User: arn:aws:sts::1:assumed-role/x may not"}
    outcome, detail = event_of({**RECORDS["FAILED"], "error": error})
    assert (detail["error"]["code"], detail["error"]["step"]) == ("ClientError", "ValidateImage")
    assert "arn:" not in outcome.detail
    assert event_of(RECORDS["FAILED"])[1]["error"] == REJECTION


@pytest.mark.parametrize("status", RECORDS)
def test_the_same_outcome_is_published_once(status):
    """A repeated write after a lost response is not a new outcome."""
    again = {**RECORDS[status], "execution": {**EXECUTION, "finishedAt": "2026-11-21T12:00:09Z"}}
    assert outcomes.event_of_change(RECORDS[status], again, API, RELEASE) is None


def test_an_id_belongs_to_one_outcome():
    """Another execution or status has another id; a repeated event has the same id."""
    later = {**RECORDS["COMPLETED"], "execution": {**EXECUTION, "id": "e2"}}
    ids = [event_of(record)[1]["id"] for record in (*RECORDS.values(), later)]
    assert len(set(ids)) == 5
    assert event_of(RECORDS["COMPLETED"], None)[1]["id"] == ids[0]
    assert event_of(later, RECORDS["COMPLETED"])[1]["id"] == ids[-1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, CLAIMED),
        (RECORDS["COMPLETED"], {**CLAIMED, "execution": {"id": "e2", "startedAt": "2026-11-21T12:00:01.000Z"}}),
        (RECORDS["DELETED"], None),
        (None, {"ImageKey": "uploads/a.jpg"}),
    ],
)
def test_a_status_without_an_outcome_is_not_published(old, new):
    """A claim, an expired record and a new record cause no event."""
    assert outcomes.event_of_change(old, new, API, RELEASE) is None


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIAL"])
def test_a_failed_reprocess_is_published_as_a_failure(status):
    """The event describes the failed attempt, not the outcome that the record keeps."""
    record = {**RECORDS[status], "lastFailure": FAILURE}
    under_way = {**record, "status": "PROCESSING", "execution": AGAIN}
    del under_way["lastFailure"]
    outcome, detail = event_of(record, under_way)
    assert (outcome.detail_type, outcome.execution_id, outcome.time) == ("ImageReprocessFailed", "e2", FAILURE["at"])
    assert (detail["status"], detail["lastFailure"]) == (status, FAILURE)
    assert detail["execution"] == {**AGAIN, "finishedAt": FAILURE["at"]}
    assert detail["id"] != event_of(RECORDS[status])[1]["id"]
    assert not {"renditions", "image", "labels", "error"} & detail.keys()
    assert valid(outcome, detail)


def test_a_reprocess_without_a_claim_is_published_too():
    """The start of such an attempt is unknown."""
    record = {**RECORDS["COMPLETED"], "lastFailure": FAILURE}
    outcome, detail = event_of(record, RECORDS["COMPLETED"])
    assert detail["execution"] == {"id": "e2", "finishedAt": FAILURE["at"]}
    assert valid(outcome, detail)


def test_each_failure_is_published_once():
    """The execution identifies the failure, because a repeated write may have another time."""
    first = {**RECORDS["COMPLETED"], "lastFailure": FAILURE}
    repeated = {**first, "lastFailure": {**FAILURE, "at": "2026-11-22T12:00:04.000Z"}}
    assert outcomes.event_of_change(first, repeated, API, RELEASE) is None
    later = {**first, "lastFailure": {**FAILURE, "executionId": "e3"}}
    assert event_of(later, first)[1]["id"] != event_of(first, RECORDS["COMPLETED"])[1]["id"]


def test_the_success_after_a_failure_is_an_outcome():
    """A success after a failure causes a normal event."""
    again = {**RECORDS["COMPLETED"], "execution": {**EXECUTION, "id": "e3"}}
    outcome, detail = event_of(again, {**again, "status": "PROCESSING"})
    assert (outcome.detail_type, "lastFailure" in detail) == ("ImageCompleted", False)
    assert valid(outcome, detail)


def test_an_internal_failure_is_shown_without_details():
    """The event contains only the code and the step of an internal failure."""
    failure = {**FAILURE, "code": "ClientError", "message": "User: arn:aws:sts::1:assumed-role/x may not"}
    outcome, detail = event_of({**RECORDS["COMPLETED"], "lastFailure": failure}, RECORDS["COMPLETED"])
    assert (detail["lastFailure"]["code"], detail["lastFailure"]["step"]) == ("ClientError", "ValidateImage")
    assert "arn:" not in outcome.detail


def test_the_deletion_of_an_upload_without_a_record_is_published():
    """The record of such a deletion has no upload."""
    record = {name: value for name, value in RECORDS["DELETED"].items() if name != "upload"}
    outcome, detail = event_of(record, None)
    assert "upload" not in detail
    assert valid(outcome, detail)


def test_an_upload_without_version_keeps_the_contract():
    """Version ids are optional for the upload and its renditions."""
    rendition = {name: value for name, value in RENDITION.items() if name != "versionId"}
    unversioned = {"upload": {**UPLOAD, "versionId": None}, "renditions": [rendition]}
    assert valid(*event_of({**RECORDS["COMPLETED"], **unversioned}))


def many_labels(count):
    return [{"name": f"Label {number}", "confidence": 99 - number / count, "parents": []} for number in range(count)]


def test_too_many_labels_are_cut_with_a_notice():
    """The labels with the highest confidence stay, and so do the renditions."""
    outcome, detail = event_of({**RECORDS["COMPLETED"], "labels": many_labels(9_000)})
    assert len(outcome.detail.encode()) <= outcomes.MAX_BYTES
    assert detail["truncated"] is True
    assert (
        len(detail["labels"]) == 2_250
    )  # halved twice: each step encodes the whole detail again, so steps must be few
    assert detail["labels"][0]["name"] == "Label 0"
    assert len(detail["renditions"]) == 1
    assert valid(outcome, detail)


def test_the_limit_counts_bytes():
    """EventBridge counts bytes of UTF-8."""
    labels = [{"name": "é" * 100, "confidence": 99.0, "parents": []}] * 1_600
    outcome, detail = event_of({**RECORDS["COMPLETED"], "labels": labels})
    assert len(outcome.detail.encode()) <= outcomes.MAX_BYTES
    assert detail["truncated"] is True


def test_room_remains_for_the_envelope():
    """Targets such as SQS accept 262,144 bytes together with the fields that EventBridge adds."""
    labels = [{"name": "x" * 127_000, "confidence": 99.0, "parents": []}] * 2
    _, detail = event_of({**RECORDS["COMPLETED"], "labels": labels})
    assert detail["truncated"] is True


def test_too_many_renditions_are_cut_last():
    """An event for any record fits into the limit."""
    outcome, detail = event_of({**RECORDS["COMPLETED"], "labels": many_labels(10), "renditions": [RENDITION] * 3_000})
    assert len(outcome.detail.encode()) <= outcomes.MAX_BYTES
    assert (detail["truncated"], detail["labels"]) == (True, [])
    assert 0 < len(detail["renditions"]) < 3_000
    assert valid(outcome, detail)


def test_a_detail_within_the_limit_is_complete():
    """A detail of exactly the limit is not shortened."""
    _, detail = event_of({**RECORDS["COMPLETED"], "labels": many_labels(4_000)})
    assert len(detail["labels"]) == 4_000
    assert "truncated" not in detail


def test_the_schema_is_closed():
    """The schema is valid, and rejects unknown fields at every level."""
    VALIDATOR.check_schema(SCHEMA)
    outcome, detail = event_of(RECORDS["COMPLETED"])
    parts = [detail, *(detail[name] for name in ("upload", "execution", "image")), detail["renditions"][0]]
    for part in [*parts, detail["labels"][0]]:
        part["surprise"] = 1
        with pytest.raises(jsonschema.ValidationError):
            valid(outcome, detail)
        del part["surprise"]
    assert valid(outcome, detail)


def test_an_attempt_after_a_record_without_an_execution_has_only_its_id():
    """The old record may have been written by an older version."""
    record = {**RECORDS["COMPLETED"], "lastFailure": FAILURE}
    _, detail = event_of(record, {"ImageKey": "uploads/a b.jpg"})
    assert detail["execution"] == {"id": "e2", "finishedAt": FAILURE["at"]}
