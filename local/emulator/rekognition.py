"""A stand-in for `DetectLabels` of Rekognition that analyses the image itself.

Its labels describe brightness, colours and shape, in the format and within the limits of Rekognition. It identifies
itself in `LabelModelVersion`, so that its labels are never taken for those of Rekognition. It recognises no objects.
"""

import base64
import binascii
import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image, ImageOps, ImageStat

MODEL_VERSION = "local stand-in 1 (not Rekognition)"

# https://docs.aws.amazon.com/rekognition/latest/dg/limits.html
MAX_OBJECT_BYTES = 15 * 1024 * 1024
MAX_INLINE_BYTES = 5 * 1024 * 1024
MIN_SIDE = 80
MAX_SIDE = 10_000

ReadObject = Callable[[str, str, str | None], bytes]
"""Reads an object of S3 by bucket, key and version; raises KeyError if that fails."""

_ANALYSIS_SIZE = (64, 64)  # large enough for shares of colours, small enough to take a millisecond

# Names of hues and the degree at which each starts, according to a survey (https://xkcd.com/color/rgb/).
_HUES = [(0, "Red"), (16, "Orange"), (46, "Yellow"), (70, "Green"), (165, "Cyan"), (190, "Blue"), (260, "Purple"),
         (290, "Pink"), (345, "Red")]  # fmt: skip
_HUE_NAMES = [next(name for start, name in reversed(_HUES) if hue * 360 / 256 >= start) for hue in range(256)]
"""The name of each value of the band H in Pillow."""


class RekognitionRefusalError(Exception):
    """Rekognition would reject this request; the exception has the error code."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def detect_labels(request: Mapping[str, Any], read_object: ReadObject) -> tuple[int, dict[str, Any]]:
    """Answer a `DetectLabels` request.

    Returns:
        The HTTP status and the body.
    """
    try:
        image = _open(_bytes(request.get("Image", {}), read_object))
        most = request.get("MaxLabels", 1000)
        least = request.get("MinConfidence", 55)
        if most < 0 or not 0 <= least <= 100:
            raise RekognitionRefusalError("InvalidParameterException", "Request has invalid parameters")
        labels = [label for label in _describe(image) if label["Confidence"] >= least]
    except RekognitionRefusalError as error:
        return 400, {"__type": error.code, "Code": error.code, "Message": str(error)}
    return 200, {"Labels": labels[:most], "LabelModelVersion": MODEL_VERSION}


def _bytes(image: Mapping[str, Any], read_object: ReadObject) -> bytes:
    if "Bytes" in image:
        try:
            data = base64.b64decode(image["Bytes"], validate=True)
        except binascii.Error as error:
            raise RekognitionRefusalError("InvalidParameterException", "Request has invalid parameters") from error
        limit = MAX_INLINE_BYTES
    elif "S3Object" in image:
        address = image["S3Object"]
        try:
            data = read_object(address["Bucket"], address["Name"], address.get("Version"))
        except KeyError as error:
            message = "Unable to get object metadata from S3. Check object key, region and/or access permissions."
            raise RekognitionRefusalError("InvalidS3ObjectException", message) from error
        limit = MAX_OBJECT_BYTES
    else:
        raise RekognitionRefusalError("InvalidParameterException", "Request has invalid parameters")
    if len(data) > limit:
        raise RekognitionRefusalError(
            "ImageTooLargeException", f"Image size is too large: {len(data)} bytes, limit {limit}"
        )
    return data


def _open(data: bytes) -> Image.Image:
    invalid = "Request has invalid image format"
    if not data:
        raise RekognitionRefusalError("InvalidParameterException", "Request has invalid parameters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
            width, height = image.size
            if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
                raise RekognitionRefusalError(
                    "InvalidParameterException" if min(width, height) < MIN_SIDE else "ImageTooLargeException",
                    f"Image dimensions {width} x {height} are not between {MIN_SIDE} and {MAX_SIDE} pixels",
                )
            image.draft("RGB", (256, 256))
            image.load()
    except RekognitionRefusalError:
        raise
    except Exception as error:
        raise RekognitionRefusalError("InvalidImageFormatException", invalid) from error
    return ImageOps.exif_transpose(image)


def _describe(image: Image.Image) -> list[dict[str, Any]]:
    """Return labels by confidence, which is how far a measured value exceeds the threshold of its label."""
    width, height = image.size
    rgba = image.convert("RGBA")
    rgba.thumbnail(_ANALYSIS_SIZE)
    small = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    light = ImageStat.Stat(small.convert("L"))
    brightness, contrast = light.mean[0] / 255, light.stddev[0] / 255
    labels: list[tuple[str, float, str]] = []
    ratio = width / height
    if 0.95 <= ratio <= 1.05:
        labels.append(("Square", _confidence(0.05 - abs(ratio - 1), 0.05), "Orientation"))
    elif ratio > 1:
        labels.append(("Landscape Orientation", _confidence(ratio - 1.05, 0.5), "Orientation"))
    else:
        labels.append(("Portrait Orientation", _confidence(1 / ratio - 1.05, 0.5), "Orientation"))
    if brightness >= 0.6:
        labels.append(("Bright", _confidence(brightness - 0.6, 0.3), "Light"))
    elif brightness <= 0.35:
        labels.append(("Dark", _confidence(0.35 - brightness, 0.3), "Light"))
    if contrast >= 0.25:
        labels.append(("High Contrast", _confidence(contrast - 0.25, 0.15), "Light"))
    elif contrast <= 0.1:
        labels.append(("Low Contrast", _confidence(0.1 - contrast, 0.1), "Light"))
    labels += _colours(small)
    labels.sort(key=lambda entry: -entry[1])
    return [
        {
            "Name": name,
            "Confidence": confidence,
            "Instances": [],
            "Parents": [{"Name": parent}],
            "Aliases": [],
            "Categories": [{"Name": "Image Properties"}],
        }
        for name, confidence, parent in labels
    ]


def _colours(small: Image.Image) -> list[tuple[str, float, str]]:
    names: dict[str, int] = {}
    saturated = 0
    pixels = small.width * small.height
    colours: Any = small.convert("HSV").getcolors(pixels)
    for count, (hue, saturation, value) in colours:
        if value < 40:
            name = "Black"
        elif saturation < 38:
            name = "White" if value > 215 else "Gray"
        else:
            saturated += count
            name = _HUE_NAMES[hue]
            if name == "Orange" and value < 165:
                name = "Brown"
        names[name] = names.get(name, 0) + count
    colourful = saturated / pixels
    labels = [
        (name, _confidence(share / pixels - 0.15, 0.35), "Color")
        for name, share in names.items()
        if share / pixels >= 0.15
    ]
    if colourful <= 0.02:
        labels.append(("Monochrome", _confidence(0.02 - colourful, 0.02), "Color"))
    elif colourful >= 0.5:
        labels.append(("Colorful", _confidence(colourful - 0.5, 0.4), "Color"))
    return labels


def _confidence(distance: float, span: float) -> float:
    """Convert the distance from a threshold into a confidence from 60 to 99 percent."""
    return round(60 + 39 * min(1.0, max(0.0, distance / span)), 2)
