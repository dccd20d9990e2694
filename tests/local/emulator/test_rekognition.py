"""emulator/rekognition.py: the stand-in accepts requests of Rekognition and describes only what pixels show."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from local.emulator.rekognition import MAX_INLINE_BYTES, MODEL_VERSION, detect_labels
from tests.pictures import encoded


def picture(colour: Any = (200, 30, 30), size: tuple[int, int] = (200, 100), kind: str = "PNG") -> bytes:
    return encoded(Image.new("RGB", size, colour), kind)


def ask(data: bytes, **options: Any) -> tuple[int, dict[str, Any]]:
    return detect_labels({"Image": {"S3Object": {"Bucket": "b", "Name": "k"}}, **options}, lambda *_: data)


def names(data: bytes) -> set[str]:
    status, answer = ask(data)
    assert status == 200
    return {label["Name"] for label in answer["Labels"]}


def test_the_response_has_the_shape_of_rekognition_and_names_the_stand_in():
    """Its labels cannot be confused with those of Rekognition."""
    _, answer = ask(picture())
    assert answer["LabelModelVersion"] == MODEL_VERSION
    assert "not Rekognition" in MODEL_VERSION
    for label in answer["Labels"]:
        assert label.keys() == {"Name", "Confidence", "Instances", "Parents", "Aliases", "Categories"}
        assert 55 <= label["Confidence"] <= 99


@pytest.mark.parametrize(
    ("data", "expected", "unexpected"),
    [
        (picture((200, 30, 30)), {"Red", "Colorful", "Landscape Orientation"}, {"Blue", "Bright"}),
        (picture((20, 60, 220), (100, 300)), {"Blue", "Portrait Orientation"}, {"Red"}),
        (picture((250, 250, 250), (100, 100)), {"White", "Bright", "Monochrome", "Square"}, {"Dark", "Colorful"}),
        (picture((5, 5, 5)), {"Black", "Dark", "Monochrome"}, {"Bright"}),
        (picture((110, 60, 10)), {"Brown"}, {"Orange"}),
        (picture((40, 160, 40)), {"Green"}, {"Yellow"}),
    ],
)
def test_labels_describe_the_pixels(data, expected, unexpected):
    """Brightness, colours and shape come from the pixels."""
    assert expected <= names(data)
    assert not unexpected & names(data)


def test_the_exif_orientation_is_applied():
    """A label describes the image as displayed."""
    image = Image.new("RGB", (300, 100))
    exif = image.getexif()
    exif[0x0112] = 6
    assert "Portrait Orientation" in names(encoded(image, "JPEG", exif=exif))


def test_limits_of_the_request_are_applied():
    """Number and confidence of labels are limited; the labels are sorted by confidence."""
    _, answer = ask(picture(), MaxLabels=2)
    assert len(answer["Labels"]) == 2
    _, answer = ask(picture(), MinConfidence=95)
    confidences = [label["Confidence"] for label in answer["Labels"]]
    assert confidences == sorted(confidences, reverse=True)
    assert min(confidences) >= 95


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"words", "InvalidImageFormatException"),
        (b"", "InvalidParameterException"),
        (encoded(Image.new("RGB", (100, 100)), "GIF"), "InvalidImageFormatException"),
        (encoded(Image.new("RGB", (100, 100)), "WEBP"), "InvalidImageFormatException"),
        (picture(kind="JPEG")[:400], "InvalidImageFormatException"),
        (picture(size=(79, 200)), "InvalidParameterException"),
        (encoded(Image.new("1", (10_001, 80)), "PNG"), "ImageTooLargeException"),
        (picture() + b"\0" * (15 * 1024 * 1024), "ImageTooLargeException"),
    ],
)
def test_refuses_the_same_requests_as_rekognition(data, code):
    """The error code is that of Rekognition."""
    status, answer = ask(data)
    assert (status, answer["__type"]) == (400, code)


def test_bytes_in_the_request_have_their_own_limit():
    """Bytes in the request are limited to 5 MB instead of 15 MB."""
    data = picture()
    status, _ = detect_labels({"Image": {"Bytes": base64.b64encode(data).decode()}}, None)  # type: ignore[arg-type]
    assert status == 200
    long = base64.b64encode(data + b"\0" * MAX_INLINE_BYTES).decode()
    status, answer = detect_labels({"Image": {"Bytes": long}}, None)  # type: ignore[arg-type]
    assert (status, answer["__type"]) == (400, "ImageTooLargeException")


def test_a_missing_object_is_an_invalid_s3_object(pipeline):
    """boto3 raises the same error as with Rekognition."""
    rekognition = pipeline.client("rekognition")
    with pytest.raises(rekognition.exceptions.InvalidS3ObjectException):
        rekognition.detect_labels(Image={"S3Object": {"Bucket": pipeline.uploads_bucket, "Name": "none"}})


def test_boto3_parses_the_response(pipeline, folder):
    """boto3 parses responses about versions of S3 objects and about bytes."""
    first = pipeline.upload(f"{folder}/x", picture((200, 30, 30)))
    pipeline.upload(f"{folder}/x", picture((20, 60, 220)))
    rekognition = pipeline.client("rekognition")
    address = {"Bucket": pipeline.uploads_bucket, "Name": f"{folder}/x"}
    old = rekognition.detect_labels(Image={"S3Object": {**address, "Version": first}})
    new = rekognition.detect_labels(Image={"S3Object": address})
    assert "Red" in {label["Name"] for label in old["Labels"]}
    assert "Blue" in {label["Name"] for label in new["Labels"]}
    data = io.BytesIO(picture()).getvalue()
    assert rekognition.detect_labels(Image={"Bytes": data})["Labels"]
