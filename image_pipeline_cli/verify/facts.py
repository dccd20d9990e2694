"""Compare the record of an image with the sample that was uploaded."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from image_pipeline.imaging import summary
from image_pipeline_cli.verify.pixels import similar
from image_pipeline_cli.verify.samples import SampleImage

_MOST_BITS = 16  # differing bits of a perceptual hash; different images differ in about half of its 64 bits
_LABELS_OFF = "OFF"


def complaint(body: Mapping[str, Any], sample: SampleImage, parameters: Mapping[str, str]) -> str:
    """Say what is wrong with the facts about an image; empty if nothing is.

    Args:
        body: The record of the image, or its status.
        sample: The image that was uploaded.
        parameters: Those of the stack.
    """
    for name, actual, expected in _facts(body, sample):
        if actual != expected:
            return f"{name} is {actual!a} instead of {expected!a}"
    return _about_summary(body["summary"], sample) or _about_labels(body, parameters)


def _facts(body: Mapping[str, Any], sample: SampleImage) -> Iterator[tuple[str, Any, Any]]:
    """Yield the name of each fact, its value, and the expected one."""
    data = sample.encode()
    image = body["image"]
    upload = body["upload"]
    yield "image.format", image["format"], sample.image_format
    yield "image.width", image["width"], sample.size[0]
    yield "image.height", image["height"], sample.size[1]
    yield "image.orientation", image["orientation"], sample.orientation
    yield "image.sizeBytes", image["sizeBytes"], len(data)
    yield "image.sha256", image["sha256"], hashlib.sha256(data).hexdigest()
    yield "upload.sizeBytes", upload["sizeBytes"], len(data)
    yield "focus", body.get("focus"), sample.point and sample.point.to_json()
    yield "warnings", body.get("warnings", []), []


def _about_summary(actual: Mapping[str, Any], sample: SampleImage) -> str:
    image = sample.draw()
    expected = summary.summarise(image, lambda source, size: source.resize(size))
    if (int(actual["phash"], 16) ^ int(expected.phash, 16)).bit_count() > _MOST_BITS:
        return f"summary.phash is {actual['phash']}, which is that of another image"
    colours = [tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in actual["colours"]]
    for index, quarter in enumerate(sample.quarters):
        if index != sample.transparent and not any(similar(colour, quarter) for colour in colours):
            return f"summary.colours is {actual['colours']}, without #{bytes(quarter).hex()}"
    return "" if actual["thumbhash"] else "summary.thumbhash is empty"


def _about_labels(body: Mapping[str, Any], parameters: Mapping[str, str]) -> str:
    labels = body["labels"]
    version = body["labelModelVersion"]
    if parameters.get("Labels") == _LABELS_OFF:
        return "there are labels, but Labels is OFF" if labels or version else ""
    if not version:
        return "labelModelVersion is empty, so nothing has detected labels"
    confidences = [label["confidence"] for label in labels]
    if len(labels) > int(parameters.get("LabelsMax", len(labels))):
        return f"there are {len(labels)} labels, but LabelsMax is {parameters['LabelsMax']}"
    if min(confidences, default=100) < float(parameters.get("LabelsMinConfidence", 0)):
        return f"a label has {min(confidences)} %, but LabelsMinConfidence is {parameters['LabelsMinConfidence']}"
    return ""
