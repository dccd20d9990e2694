"""functions/extract_metadata"""

import boto3
import pytest
from botocore.stub import ANY, Stubber

from image_pipeline import errors, labels, storage
from tests.conftest import THUMBNAILS_BUCKET, put_upload, watched
from tests.pictures import encoded, gradient, opened, photo

ANSWER = {"Labels": [{"Name": "Sea", "Confidence": 97.5, "Parents": []}], "LabelModelVersion": "3.0"}


@pytest.fixture
def rekognition():
    """Answers are checked against Rekognition's own model by botocore."""
    with Stubber(labels._rekognition()) as stub:
        yield stub
        stub.assert_no_pending_responses()


def event(data, image_format, size):
    answer = boto3.client("s3").put_object(Bucket=THUMBNAILS_BUCKET, Key="thumbnails/a.jpg/0/web", Body=data)
    picture = {"bucket": THUMBNAILS_BUCKET, "key": "thumbnails/a.jpg/0/web", "versionId": None}
    picture |= {"etag": answer["ETag"].strip('"'), "sizeBytes": len(data)}
    picture |= {"format": image_format, "width": size[0], "height": size[1]}
    return {"picture": picture, "executionId": "execution-1"}


def test_a_jpeg_is_labelled_where_it_lies(handler, rekognition):
    """Rekognition reads the object itself; no byte of it passes through the function."""
    reference = {"Bucket": THUMBNAILS_BUCKET, "Name": "thumbnails/a.jpg/0/web"}
    rekognition.add_response(
        "detect_labels", ANSWER, {"Image": {"S3Object": reference}, "MaxLabels": 10, "MinConfidence": 75}
    )
    with watched(storage._s3(), "s3.GetObject") as calls:
        result = handler(event(photo(200, 150), "JPEG", (200, 150)))
    assert calls == []
    assert result["labels"] == [{"name": "Sea", "confidence": 97.5, "parents": []}]
    assert result["labelModelVersion"] == "3.0"
    assert result["warnings"] == []


def test_an_upload_is_labelled_in_the_version_that_was_announced(handler, rekognition):
    """Where no rendition will do, the bytes are still the announced ones."""
    upload = put_upload("uploads/a.jpg", photo())
    reference = {"Bucket": ANY, "Name": "uploads/a.jpg", "Version": upload["versionId"]}
    rekognition.add_response(
        "detect_labels", ANSWER, {"Image": {"S3Object": reference}, "MaxLabels": 10, "MinConfidence": 75}
    )
    picture = upload | {"format": "JPEG", "width": 800, "height": 600}
    assert handler({"picture": picture, "executionId": "execution-1"})["labels"]


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


@pytest.mark.parametrize(
    ("code", "error"),
    [("ThrottlingException", errors.LabelsDelayedError), ("AccessDeniedException", errors.LabelsUnavailableError)],
)
def test_the_workflow_learns_whether_to_try_again(handler, rekognition, code, error):
    """Retries and catches go by the class's name."""
    rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(error):
        handler(event(photo(), "JPEG", (800, 600)))
