"""image_pipeline.status"""

from datetime import UTC, datetime, timedelta

import pytest

from image_pipeline import settings, status
from tests.conftest import ENVIRONMENT, THUMBNAILS_BUCKET, put_record

pytestmark = pytest.mark.usefixtures("aws")
SETTINGS = settings.load_for_status(ENVIRONMENT)


def test_every_rendition_has_a_url():
    """The answer can be used as it is."""
    rendition = {"name": "100x100", "bucket": THUMBNAILS_BUCKET, "key": "thumbnails/a.jpg/0/100x100.jpg"}
    put_record("uploads/a.jpg", status="COMPLETED", renditions=[rendition, rendition])
    record = status.find("/images/uploads/a.jpg/status", SETTINGS)
    assert [each["name"] for each in record["renditions"]] == ["100x100", "100x100"]
    assert all("/thumbnails/a.jpg/0/100x100.jpg?" in each["url"] for each in record["renditions"])


def test_a_record_without_renditions_is_answered_too():
    """A failed upload has a status like any other."""
    put_record("uploads/a.jpg", status="FAILED", error={"code": "EmptyUploadError"})
    assert status.find("/images/uploads/a.jpg/status", SETTINGS)["error"] == {"code": "EmptyUploadError"}


def test_unknown_is_none():
    """Never seen is not an error here; the API says 404."""
    assert status.find("/images/uploads/a.jpg/status", SETTINGS) is None


def test_the_raw_spelling_wins_over_the_decoded_one():
    """Two uploads whose names differ only by encoding are told apart."""
    put_record("uploads/a%2Bb.jpg", status="FAILED")
    put_record("uploads/a+b.jpg", status="COMPLETED")
    assert status.find("/images/uploads/a%2Bb.jpg/status", SETTINGS)["ImageKey"] == "uploads/a%2Bb.jpg"
    assert status.find("/images/uploads/a+b.jpg/status", SETTINGS)["ImageKey"] == "uploads/a+b.jpg"


def test_a_path_that_came_encoded_twice_is_found():
    """`?` must be encoded twice to get through API Gateway."""
    put_record("uploads/what?.jpg")
    assert status.find("/images/uploads/what%3F.jpg/status", SETTINGS)["ImageKey"] == "uploads/what?.jpg"


def test_the_inside_is_not_told_to_callers():
    """What AWS says of a refused call names accounts, roles and buckets; the file's own faults are told in full."""
    told = {
        "code": "ClientError",
        "message": "User: arn:aws:sts::1:assumed-role/x is not authorized",
        "hint": "h",
        "step": "s",
    }
    put_record("uploads/a.jpg", status="FAILED", error=told)
    error = status.find("/images/uploads/a.jpg/status", SETTINGS)["error"]
    assert (error["code"], error["step"]) == ("ClientError", "s")
    assert "arn:" not in repr(error)
    rejection = {"code": "CorruptImageError", "message": "Broken at byte 7.", "hint": "Export it again.", "step": "s"}
    put_record("uploads/b.jpg", status="FAILED", error=rejection)
    assert status.find("/images/uploads/b.jpg/status", SETTINGS)["error"] == rejection


PICTURE = {
    "image": {"width": 1},
    "renditions": [{"name": "100x100", "bucket": THUMBNAILS_BUCKET, "key": "k", "versionId": "v1"}],
    "labels": [],
    "warnings": [],
}


def test_the_old_picture_stands_apart_while_the_new_one_is_processed():
    """A reader sees the old picture or the new, never a mix."""
    put_record("uploads/a.jpg", **PICTURE, upload={"etag": "new"})
    record = status.find("/images/uploads/a.jpg/status", SETTINGS)
    assert record["status"] == "PROCESSING"
    assert record["upload"] == {"etag": "new"}
    assert not PICTURE.keys() & record.keys()
    assert record["previous"].keys() == PICTURE.keys()
    assert "versionId=v1" in record["previous"]["renditions"][0]["url"]


@pytest.mark.parametrize("outcome", ["COMPLETED", "PARTIAL"])
def test_a_finished_picture_has_no_previous(outcome):
    """What the record has is the picture."""
    put_record("uploads/a.jpg", **PICTURE | {"status": outcome})
    record = status.find("/images/uploads/a.jpg/status", SETTINGS)
    assert "previous" not in record
    assert "versionId=v1" in record["renditions"][0]["url"]


@pytest.mark.parametrize(("hours", "stale"), [(23, False), (25, True)])
def test_what_no_execution_can_end_any_more_is_called_stale(hours, stale):
    """Whoever polls learns that waiting is in vain."""
    started = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    put_record("uploads/a.jpg", execution={"id": "e", "startedAt": started})
    assert status.find("/images/uploads/a.jpg/status", SETTINGS).get("stale", False) is stale


@pytest.mark.parametrize(("minutes", "stale"), [(4, False), (6, True)])
def test_an_express_execution_is_stale_much_earlier(minutes, stale):
    """It never has more than five minutes."""
    started = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    put_record("uploads/a.jpg", execution={"id": "e", "startedAt": started})
    express = settings.load_for_status({**ENVIRONMENT, "WORKFLOW_TYPE": "EXPRESS"})
    assert status.find("/images/uploads/a.jpg/status", express).get("stale", False) is stale
