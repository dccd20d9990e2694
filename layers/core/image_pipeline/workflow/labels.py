"""What is on the picture, by Rekognition's DetectLabels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from image_pipeline import aws
from image_pipeline.errors import LabelsDelayedError, LabelsUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient

    from image_pipeline.imaging.engine import Rendition  # brings Pillow along, which asking for labels does not need
    from image_pipeline.imaging.formats.header import Header
    from image_pipeline.imaging.recipes import Recipe

# Rekognition's quotas: https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
FORMATS = frozenset({"JPEG", "PNG"})
MAX_OBJECT_BYTES = 15 * 1024 * 1024
MIN_SIDE = 80
MAX_SIDE = 10_000

LEGIBLE_SIDE = 640
"""Pixels of the longer side from which a rendition is taken to tell what the upload tells; a choice, not a limit."""


@dataclass(frozen=True)
class Labels:
    """Labels with the detector that spoke: a model version of Rekognition's, or a stand-in that says so."""

    model_version: str
    labels: list[dict[str, Any]]
    """`name`, `confidence` in percent, `parents` as names; surest first."""


# Looking at a picture takes longer than reading a record.
PATIENT_CONFIG = aws.CLIENT_CONFIG.merge(Config(read_timeout=20))


@cache
def _rekognition() -> RekognitionClient:
    return boto3.client("rekognition", config=PATIENT_CONFIG)


def takes(image_format: str, width: int, height: int, size_bytes: int) -> bool:
    """True when Rekognition reads such an object."""
    return (
        image_format in FORMATS
        and size_bytes <= MAX_OBJECT_BYTES
        and min(width, height) >= MIN_SIDE
        and max(width, height) <= MAX_SIDE
    )


def legible(header: Header, renditions: Sequence[Rendition], recipes: Sequence[Recipe]) -> Rendition | None:
    """The largest rendition that Rekognition takes and that shows what the upload shows.

    It is upright, in sRGB and without the place it was taken. There is none when every recipe crops, pads, marks, makes
    the picture too small to tell what is on it, or is for another format: then a copy is made that Rekognition takes.

    Args:
        header: of the upload.
        renditions: of it.
        recipes: that they were made by.
    """
    faithful = {recipe.name for recipe in recipes if recipe.fit == "fit" and recipe.watermark is None}
    enough = min(LEGIBLE_SIDE, max(header.width, header.height))
    shown = [
        each
        for each in renditions
        if each.name in faithful
        and max(each.width, each.height) >= enough
        and takes(each.format.upper(), each.width, each.height, len(each.data))
    ]
    return max(shown, key=lambda each: each.width * each.height, default=None)


def detect(bucket: str, key: str, most: int, min_confidence: int) -> Labels:
    """Ask Rekognition about an object, which it reads itself.

    Args:
        bucket: of the object.
        key: of a JPEG or PNG that Rekognition `takes`.
        most: number of labels at the most.
        min_confidence: percent.

    Raises:
        LabelsDelayedError: throttled or not answered; worth another try.
        LabelsUnavailableError: refused, and refused again next time.
    """
    try:
        answer = _rekognition().detect_labels(
            Image={"S3Object": {"Bucket": bucket, "Name": key}}, MaxLabels=most, MinConfidence=min_confidence
        )
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
