"""functions/extract_metadata"""

import pytest
from botocore.stub import ANY, Stubber

from image_pipeline import errors, labels
from tests.conftest import put_upload, watched
from tests.pictures import encoded, gradient, opened, photo

ANSWER = {"Labels": [{"Name": "Sea", "Confidence": 97.5, "Parents": []}], "LabelModelVersion": "3.0"}


@pytest.fixture
def rekognition():
    """Answers are checked against Rekognition's own model by botocore."""
    with Stubber(labels._rekognition()) as stub:
        yield stub
        stub.assert_no_pending_responses()


def event(data, image_format, size, labels_error=None):
    image = {"format": image_format, "width": size[0], "height": size[1]}
    return {
        "source": put_upload("uploads/a", data),
        "image": image,
        "labelsError": labels_error,
        "executionId": "execution-1",
    }


def with_camera(data_format="JPEG"):
    image = gradient(200, 150)
    exif = image.getexif()
    exif[0x010F], exif[0x0110] = "ACME", "Rocket 1"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (47.0, 22.0, 0.0)
    return encoded(image, data_format, exif=exif)


def test_a_jpeg_is_labelled_from_s3_and_its_camera_is_told(handler, rekognition):
    """Rekognition reads the object itself; no byte of it passes through the function twice."""
    request = event(with_camera(), "JPEG", (200, 150))
    reference = {"Bucket": ANY, "Name": "uploads/a", "Version": request["source"]["versionId"]}
    rekognition.add_response(
        "detect_labels", ANSWER, {"Image": {"S3Object": reference}, "MaxLabels": 10, "MinConfidence": 75}
    )
    result = handler(request)
    assert result["labels"] == [{"name": "Sea", "confidence": 97.5, "parents": []}]
    assert result["labelModelVersion"] == "3.0"
    assert (result["exif"]["make"], result["exif"]["model"]) == ("ACME", "Rocket 1")
    assert result["warnings"] == []


def test_the_place_is_never_told(handler, rekognition):
    """GPS stays in the upload."""
    rekognition.add_response("detect_labels", ANSWER)
    told = repr(handler(event(with_camera(), "JPEG", (200, 150)))).lower()
    assert "latitude" not in told
    assert "47" not in told


@pytest.mark.parametrize(
    ("image_format", "size"), [("GIF", (300, 200)), ("WEBP", (300, 200)), ("PNG", (40, 30)), ("TIFF", (300, 200))]
)
def test_what_rekognition_does_not_take_it_gets_as_a_legal_copy(handler, rekognition, image_format, size):
    """JPEG, at most 5 MB, 80 to 10,000 pixels a side."""
    rekognition.add_response("detect_labels", ANSWER)
    with watched(labels._rekognition(), "rekognition.DetectLabels") as calls:
        handler(event(encoded(gradient(*size), image_format), image_format, size))
    sent = calls[0]["Image"]["Bytes"]
    copy = opened(sent)
    assert copy.format == "JPEG"
    assert min(copy.size) >= 80
    assert max(copy.size) <= 10_000
    assert len(sent) <= 5_000_000


def test_without_labels_the_warning_says_why(handler, rekognition):
    """The workflow gave up on labels: everything else is still there, and Rekognition is not asked."""
    result = handler(event(with_camera(), "JPEG", (200, 150), "Rekognition refused: X.\nCheck the region."))
    assert "labels" not in result
    assert result["exif"]["make"] == "ACME"
    assert result["warnings"] == [
        {"code": "LabelsUnavailableError", "message": "Rekognition refused: X.", "hint": "Check the region."}
    ]


@pytest.mark.parametrize(
    ("code", "error"),
    [("ThrottlingException", errors.LabelsDelayedError), ("AccessDeniedException", errors.LabelsUnavailableError)],
)
def test_the_workflow_learns_whether_to_try_again(handler, rekognition, code, error):
    """Retries and catches go by the class's name."""
    for _ in range(3):
        rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(error):
        handler(event(photo(), "JPEG", (800, 600)))
    rekognition._queue.clear()
