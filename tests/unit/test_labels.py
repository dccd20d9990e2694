"""image_pipeline.labels"""

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber

from image_pipeline import labels
from image_pipeline.errors import LabelsDelayedError, LabelsUnavailableError
from image_pipeline.formats import Header
from image_pipeline.recipes import Recipe, Watermark
from image_pipeline.storage import Source

SOURCE = Source("bucket", "uploads/a.jpg", "etag", "version-1", 100)


@pytest.fixture
def rekognition():
    """Answers are checked against Rekognition's own model by botocore."""
    with Stubber(labels._rekognition()) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (SOURCE, {"S3Object": {"Bucket": "bucket", "Name": "uploads/a.jpg", "Version": "version-1"}}),
        (
            Source("bucket", "uploads/a.jpg", "etag", None, 1),
            {"S3Object": {"Bucket": "bucket", "Name": "uploads/a.jpg"}},
        ),
        (b"jpeg", {"Bytes": b"jpeg"}),
    ],
)
def test_asks_for_exactly_that_picture(rekognition, image, expected):
    """The version that was announced, or the bytes of the copy."""
    rekognition.add_response("detect_labels", {"Labels": []}, {"Image": expected, "MaxLabels": 5, "MinConfidence": 60})
    assert labels.detect(image, 5, 60).labels == []


def test_keeps_name_confidence_parents_and_who_spoke(rekognition):
    """A record tells labels of Rekognition from those of anything else."""
    answer = {
        "Labels": [{"Name": "Beach", "Confidence": 98.76543, "Parents": [{"Name": "Nature"}]}],
        "LabelModelVersion": "3.0",
    }
    rekognition.add_response("detect_labels", answer)
    found = labels.detect(SOURCE, 5, 60)
    assert found.labels == [{"name": "Beach", "confidence": 98.77, "parents": ["Nature"]}]
    assert found.model_version == "3.0"


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError"]
)
def test_throttling_delays_the_labels(rekognition, code):
    """Trying again may work, so the workflow does."""
    rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(LabelsDelayedError, match=code):
        labels.detect(SOURCE, 5, 60)


def test_a_region_without_rekognition_is_final(monkeypatch):
    """There is no endpoint to answer, now or later; the hint says what to check."""

    class Nowhere:
        def detect_labels(self, **_):
            raise EndpointConnectionError(endpoint_url="https://rekognition.nowhere")

    monkeypatch.setattr(labels, "_rekognition", Nowhere)
    with pytest.raises(LabelsUnavailableError, match="region has Rekognition"):
        labels.detect(SOURCE, 5, 60)


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidImageFormatException", "InvalidS3ObjectException"])
def test_a_refusal_is_final(rekognition, code):
    """Trying again changes nothing: the picture is stored without labels."""
    rekognition.add_client_error("detect_labels", code, http_status_code=400)
    with pytest.raises(LabelsUnavailableError, match=code):
        labels.detect(SOURCE, 5, 60)


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
def test_knows_what_rekognition_takes(image, expected):
    """JPEG and PNG, 80 to 10,000 pixels a side, at most 15 MB from S3; anything else needs a copy."""
    assert labels.takes(*image) is expected


HEADER = Header("HEIF", 4000, 3000, "RGB")
FIT = Recipe("web", 1600, 1600)


def rendition(name, image_format, width, height):
    return {"name": name, "format": image_format, "width": width, "height": height, "bucket": "b", "key": name}


def test_the_largest_faithful_rendition_is_labelled():
    """It is upright, legal, and there already."""
    small, large = rendition("small", "JPEG", 640, 480), rendition("web", "JPEG", 1600, 1200)
    chosen = labels.picture(SOURCE, HEADER, [large, small], [FIT, Recipe("small", 640, 480)])
    assert chosen == large | {"versionId": None}


def test_a_jpeg_is_preferred_to_a_larger_webp():
    """Rekognition reads the one itself; the other would be read and encoded again."""
    webp, jpeg = rendition("web", "WEBP", 1600, 1200), rendition("small", "JPEG", 640, 480)
    assert labels.picture(SOURCE, HEADER, [webp, jpeg], [FIT, Recipe("small", 640, 480)])["key"] == "small"


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("web", 1600, 1600, fit="cover"),
        Recipe("web", 1600, 1600, fit="pad"),
        Recipe("web", 1600, 1600, watermark=Watermark(text="Sold")),
    ],
)
def test_a_rendition_that_shows_something_else_is_not_labelled(recipe):
    """A crop hides, a border and a mark add: the upload itself is asked about."""
    chosen = labels.picture(SOURCE, HEADER, [rendition("web", "JPEG", 1600, 1600)], [recipe])
    assert (chosen["key"], chosen["versionId"], chosen["format"]) == (SOURCE.key, SOURCE.version_id, "HEIF")


def test_a_rendition_too_small_to_tell_is_not_labelled():
    """Unless the upload is as small itself."""
    tiny = rendition("web", "JPEG", 100, 75)
    assert labels.picture(SOURCE, HEADER, [tiny], [FIT])["key"] == SOURCE.key
    assert labels.picture(SOURCE, Header("PNG", 100, 75, "RGB"), [tiny], [FIT])["key"] == "web"
