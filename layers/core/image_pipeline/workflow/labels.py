"""Detect labels with Rekognition's DetectLabels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import EndpointConnectionError

from image_pipeline import aws
from image_pipeline.errors import LabelsDelayedError, LabelsUnavailableError

if TYPE_CHECKING:
    from image_pipeline.imaging.engine import Rendition  # imports Pillow, which detecting labels does not need
    from image_pipeline.imaging.formats.header import Header
    from image_pipeline.imaging.recipes import Recipe

# Rekognition's quotas: https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
FORMATS = frozenset({"JPEG", "PNG"})
MAX_OBJECT_BYTES = 15 * 1024 * 1024
MIN_SIDE = 80
MAX_SIDE = 10_000

LEGIBLE_SIDE = 640
"""The minimum longer side, in pixels, of a rendition that is labelled in place of the upload; a choice, not a quota."""


@dataclass(frozen=True)
class Labels:
    """The detected labels and the version of the model that detected them, if any did."""

    model_version: str | None
    labels: list[dict[str, Any]]
    """`name`, `confidence` in percent, `parents` as names; surest first."""


NOT_DETECTED = Labels(model_version=None, labels=[])
"""The result if the stack detects no labels."""


def accepts(image_format: str, width: int, height: int, size_bytes: int) -> bool:
    """Return whether Rekognition accepts such an image."""
    return (
        image_format in FORMATS
        and size_bytes <= MAX_OBJECT_BYTES
        and min(width, height) >= MIN_SIDE
        and max(width, height) <= MAX_SIDE
    )


def rendition_for_labels(
    header: Header, renditions: Sequence[Rendition], recipes: Sequence[Recipe]
) -> Rendition | None:
    """Return the largest rendition that Rekognition accepts and that shows the whole image.

    A rendition is upright, in sRGB and without GPS data. None when every recipe crops, pads or watermarks the image,
    makes it too small, or has another format. The caller then makes a copy for Rekognition.

    Args:
        header: the header of the upload.
        renditions: its renditions.
        recipes: the recipes of the renditions.
    """
    whole_image = {recipe.name for recipe in recipes if recipe.fit == "fit" and recipe.watermark is None}
    min_side = min(LEGIBLE_SIDE, max(header.width, header.height))
    candidates = [
        rendition
        for rendition in renditions
        if rendition.name in whole_image
        and max(rendition.width, rendition.height) >= min_side
        and accepts(rendition.format.upper(), rendition.width, rendition.height, len(rendition.data))
    ]
    return max(candidates, key=lambda rendition: rendition.width * rendition.height, default=None)


def detect(client: aws.Client, *, bucket: str, key: str, max_labels: int, min_confidence: int) -> Labels:
    """Detect the labels of an object, which Rekognition reads from S3.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the object.
        key: the key of a JPEG or PNG that Rekognition `accepts`.
        max_labels: the maximum number of labels.
        min_confidence: in percent.

    Raises:
        LabelsDelayedError: Rekognition throttled the call, failed, or could not be reached; retry.
        LabelsUnavailableError: Rekognition refused the call; a retry would fail again.
    """
    try:
        response = client("rekognition").detect_labels(
            Image={"S3Object": {"Bucket": bucket, "Name": key}}, MaxLabels=max_labels, MinConfidence=min_confidence
        )
    except aws.AwsError as error:
        code = aws.code_of(error)
        # A region without Rekognition has no endpoint, so a retry cannot succeed.
        if aws.is_transient(error) and not isinstance(error, EndpointConnectionError):
            raise LabelsDelayedError(
                f"Rekognition request failed: {code}.",
                "Check the Rekognition quota of the region; then reprocess the upload to get its labels.",
            ) from error
        raise LabelsUnavailableError(
            f"Rekognition refused the call: {code}.",
            "Check that the region has Rekognition and that the function may call it; then reprocess the upload.",
        ) from error
    return Labels(
        model_version=response.get("LabelModelVersion", "unknown"),
        labels=[
            {
                "name": label["Name"],
                "confidence": round(label["Confidence"], 2),
                "parents": [parent["Name"] for parent in label.get("Parents", [])],
            }
            for label in response["Labels"]
        ],
    )
