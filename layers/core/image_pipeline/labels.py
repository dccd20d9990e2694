"""What is on the picture, by Rekognition's DetectLabels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from image_pipeline import aws
from image_pipeline.errors import LabelsDelayedError, LabelsUnavailableError
from image_pipeline.formats import Header
from image_pipeline.recipes import Recipe
from image_pipeline.storage import Source

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_rekognition.type_defs import ImageTypeDef

# Rekognition's quotas: https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
FORMATS = frozenset({"JPEG", "PNG"})
MAX_OBJECT_BYTES = 15 * 1024 * 1024
MIN_SIDE = 80
MAX_SIDE = 10_000

LEGIBLE_SIDE = 640
"""Pixels of the longer side from which a rendition is taken to tell what the upload tells; a choice, not a limit."""

Rendition = dict[str, Any]


@dataclass(frozen=True)
class Labels:
    """Labels with the detector that spoke: a model version of Rekognition's, or a stand-in that says so."""

    model_version: str
    labels: list[dict[str, Any]]
    """`name`, `confidence` in percent, `parents` as names; surest first."""


@cache
def _rekognition() -> "RekognitionClient":
    # Looking at a picture takes longer than reading a record.
    return boto3.client("rekognition", config=aws.CLIENT_CONFIG.merge(Config(read_timeout=20)))


def takes(image_format: str, width: int, height: int, size_bytes: int) -> bool:
    """True when Rekognition reads the upload itself; anything else it gets as a reduced copy."""
    return (
        image_format in FORMATS
        and size_bytes <= MAX_OBJECT_BYTES
        and min(width, height) >= MIN_SIDE
        and max(width, height) <= MAX_SIDE
    )


def picture(
    upload: Source, header: Header, renditions: Sequence[Rendition], recipes: Sequence[Recipe]
) -> dict[str, Any]:
    """The picture that is labelled, with where it lies: the largest rendition that shows what the upload shows.

    It is there already, upright, in sRGB and without the place it was taken. The upload would be read a second time,
    and decoded a second time when Rekognition does not take its format; so it is the answer only when every recipe
    crops, pads, marks or makes the picture too small to tell what is on it.

    Args:
        upload: the original.
        header: of the original.
        renditions: as they are told to the workflow, `name`, `format`, `width`, `height`, `bucket`, `key` …
        recipes: that the renditions were made by.
    """
    faithful = {recipe.name for recipe in recipes if recipe.fit == "fit" and recipe.watermark is None}
    enough = min(LEGIBLE_SIDE, max(header.width, header.height))
    shown = [each for each in renditions if each["name"] in faithful and max(each["width"], each["height"]) >= enough]
    # JPEG and PNG first: anything else must be read and encoded again.
    best = max(shown, key=lambda each: (each["format"] in FORMATS, each["width"] * each["height"]), default=None)
    if best is None:
        return {**upload.to_json(), "format": header.format, "width": header.width, "height": header.height}
    return {**best, "versionId": None}


def detect(image: Source | bytes, most: int, min_confidence: int) -> Labels:
    """Ask Rekognition.

    Args:
        image: an object that Rekognition reads itself, or the bytes of a JPEG or PNG (at most 5 MB).
        most: number of labels at the most.
        min_confidence: percent.

    Raises:
        LabelsDelayedError: throttled or not answered; worth another try.
        LabelsUnavailableError: refused, and refused again next time.
    """
    try:
        answer = _rekognition().detect_labels(Image=_image(image), MaxLabels=most, MinConfidence=min_confidence)
    except aws.AwsError as error:
        code = aws.code_of(error)
        # A region without Rekognition has no such endpoint, and will not have one a minute later.
        if aws.is_transient(error) and not isinstance(error, EndpointConnectionError):
            raise LabelsDelayedError(
                f"Rekognition did not serve the call: {code}.",
                "Look at its quota in this region; once it answers, upload the picture again for its labels.",
            ) from error
        raise LabelsUnavailableError(
            f"Rekognition refused the call: {code}.",
            "Check that the region has Rekognition and that the function may call it; then upload the picture again.",
        ) from error
    return Labels(
        model_version=answer.get("LabelModelVersion", "unknown"),
        labels=[
            {
                "name": label["Name"],
                "confidence": round(label["Confidence"], 2),
                "parents": [parent["Name"] for parent in label.get("Parents", [])],
            }
            for label in answer["Labels"]
        ],
    )


def _image(image: Source | bytes) -> "ImageTypeDef":
    if isinstance(image, bytes):
        return {"Bytes": image}
    reference: dict[str, str] = {"Bucket": image.bucket, "Name": image.key}
    if image.version_id:
        reference["Version"] = image.version_id
    return {"S3Object": reference}  # type: ignore[typeddict-item]
