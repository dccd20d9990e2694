"""The lines of a notification that functions know. The workflow joins them and adds the outcome. Pure.

Every line is printable: a file name, a warning or a label cannot start a line of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from image_pipeline import keys


def describe_image(
    image_key: str,
    image: Mapping[str, Any],
    renditions: Iterable[Mapping[str, Any]],
    warnings: Iterable[Mapping[str, str]],
) -> dict[str, Any]:
    """Describe an upload and its renditions.

    Args:
        image_key: the record's key.
        image: the record's `image`.
        renditions: the record's `renditions`.
        warnings: what was wrong with the file.

    Returns:
        `shownKey`, the key as a mail may show it; `statusPath`, the URL path of its status; `lines`.
    """
    lines = [
        f"Image: {_dimensions(image)}",
        *(f"Rendition {rendition['name']}: {_dimensions(rendition)}" for rendition in renditions),
        *(f"Warning: {warning['message']}" for warning in warnings),
    ]
    return {
        "shownKey": keys.printable(image_key),
        "statusPath": keys.status_path(image_key),
        "lines": [keys.printable(line) for line in lines],
    }


def describe_labels(labels: Sequence[Mapping[str, Any]], model_version: str | None) -> dict[str, Any]:
    """Describe what was recognised in the image.

    Args:
        labels: the record's `labels`.
        model_version: the record's `labelModelVersion`; None if the stack detects no labels.

    Returns:
        `lines`.
    """
    if model_version is None:
        return {"lines": []}
    if not labels:
        return {"lines": ["Labels: none"]}
    text = ", ".join(f"{label['name']} {int(label['confidence'] + 0.5)} %" for label in labels)
    return {"lines": [keys.printable(f"Labels ({model_version}): {text}")]}


def _dimensions(image: Mapping[str, Any]) -> str:
    return f"{image['format']}, {image['width']} x {image['height']} pixels, {image['sizeBytes']:,} bytes"
