"""image_pipeline.workflow.labels"""

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from image_pipeline import aws
from image_pipeline.errors import LabelsDelayedError, LabelsUnavailableError
from image_pipeline.imaging.engine import Rendition
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.recipes import Recipe, Watermark
from image_pipeline.workflow import labels


def detect(key="key", client=aws.client):
    return labels.detect(client, bucket="bucket", key=key, max_labels=5, min_confidence=60)


@pytest.fixture
def rekognition():
    """A stub of Rekognition; botocore checks its responses against the service model."""
    with Stubber(aws.client("rekognition")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def test_requests_the_labels_of_the_image(rekognition):
    """The request names the object and the limits of the answer."""
    image = {"S3Object": {"Bucket": "bucket", "Name": "thumbnails/a.jpg/0/web.jpg"}}
    rekognition.add_response("detect_labels", {"Labels": []}, {"Image": image, "MaxLabels": 5, "MinConfidence": 60})
    assert detect("thumbnails/a.jpg/0/web.jpg").labels == []


def test_keeps_name_confidence_parents_and_model(rekognition):
    """The result contains the version of the model."""
    answer = {
        "Labels": [{"Name": "Beach", "Confidence": 98.76543, "Parents": [{"Name": "Nature"}]}],
        "LabelModelVersion": "3.0",
    }
    rekognition.add_response("detect_labels", answer)
    result = detect()
    assert result.labels == [{"name": "Beach", "confidence": 98.77, "parents": ["Nature"]}]
    assert result.model_version == "3.0"


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError"]
)
def test_throttling_delays_the_labels(rekognition, code):
    """The workflow retries, because the error is transient."""
    rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(LabelsDelayedError, match=code):
        detect()


def test_a_region_without_rekognition_is_final():
    """A missing endpoint is a permanent error."""

    class Nowhere:
        def detect_labels(self, **_):
            raise EndpointConnectionError(endpoint_url="https://rekognition.nowhere")

    with pytest.raises(LabelsUnavailableError):
        detect(client=lambda _: Nowhere())


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidImageFormatException", "InvalidS3ObjectException"])
def test_a_refusal_is_final(rekognition, code):
    """A refusal is permanent, so the image is stored without labels."""
    rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(LabelsUnavailableError, match=code):
        detect()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (("JPEG", 800, 600, 1_000_000), True),
        (("PNG", 80, 80, 15 * 1024 * 1024), True),
        (("PNG", 10_000, 10_000, 1), True),
        (("WEBP", 800, 600, 1), False),
        (("HEIF", 800, 600, 1), False),
        (("JPEG", 79, 600, 1), False),
        (("JPEG", 600, 79, 1), False),
        (("JPEG", 10_001, 600, 1), False),
        (("JPEG", 600, 10_001, 1), False),
        (("JPEG", 800, 600, 15 * 1024 * 1024 + 1), False),
    ],
)
def test_knows_the_limits_of_rekognition(image, expected):
    """Rekognition accepts JPEG and PNG with sides of 80 to 10,000 pixels and at most 15 MB."""
    assert labels.accepts(*image) is expected


HEADER = Header("HEIF", 4000, 3000, "RGB")
FIT = Recipe("web", 1600, 1600)


def rendition(name, image_format, width, height, size_bytes=1):
    return Rendition(name, image_format, image_format, "image/x", width, height, b"x" * size_bytes)


def test_the_largest_faithful_rendition_is_labelled():
    """A suitable rendition already exists."""
    small, large = rendition("small", "jpeg", 640, 480), rendition("web", "png", 1600, 1200)
    assert labels.rendition_for_labels(HEADER, [large, small], [FIT, Recipe("small", 640, 480)]) is large


@pytest.mark.parametrize(
    "unsuitable",
    [
        rendition("web", "webp", 1600, 1200),
        rendition("web", "avif", 1600, 1200),
        rendition("web", "jpeg", 1600, 79),
        rendition("web", "jpeg", 1600, 1200, labels.MAX_OBJECT_BYTES + 1),
    ],
)
def test_a_rendition_that_rekognition_refuses_is_not_labelled(unsuitable):
    """A smaller rendition is used, or none."""
    jpeg = rendition("small", "jpeg", 640, 480)
    assert labels.rendition_for_labels(HEADER, [unsuitable, jpeg], [FIT, Recipe("small", 640, 480)]) is jpeg
    assert labels.rendition_for_labels(HEADER, [unsuitable], [FIT]) is None


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("web", 1600, 1600, fit="cover"),
        Recipe("web", 1600, 1600, fit="pad"),
        Recipe("web", 1600, 1600, watermark=Watermark(text="Sold")),
    ],
)
def test_a_rendition_with_changed_content_is_not_labelled(recipe):
    """Crops, borders and watermarks change the labels."""
    assert labels.rendition_for_labels(HEADER, [rendition("web", "jpeg", 1600, 1600)], [recipe]) is None


def test_a_small_rendition_of_a_large_upload_is_not_labelled():
    """A small rendition is used only for a small upload."""
    tiny = rendition("web", "jpeg", 100, 85)
    assert labels.rendition_for_labels(HEADER, [tiny], [FIT]) is None
    assert labels.rendition_for_labels(Header("PNG", 100, 85, "RGB"), [tiny], [FIT]) is tiny
