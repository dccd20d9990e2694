"""image_pipeline.status"""

import pytest

from image_pipeline import settings, status
from tests.conftest import ENVIRONMENT, THUMBNAILS_BUCKET, put_record

pytestmark = pytest.mark.usefixtures("aws")
SETTINGS = settings.load(ENVIRONMENT)


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
