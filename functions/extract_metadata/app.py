"""Read the camera's facts and ask for labels; without labels when the workflow says that they cannot be had."""

import os
from typing import Any

from image_pipeline import engine, exif, formats, labels, settings, storage
from image_pipeline.observability import step


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load(os.environ)
    source, image = storage.Source.from_json(event["source"]), event["image"]
    direct = labels.takes(image["format"], image["width"], image["height"], source.size_bytes)
    # Facts are in the head of a JPEG or PNG; other formats may keep them anywhere, and are decoded for labels anyway.
    data = storage.read_head(source, formats.HEAD_BYTES) if direct else storage.read(source, config.max_upload_bytes)
    facts = exif.read(data).to_dict()
    if event["labelsError"]:
        message, hint = event["labelsError"].split("\n")
        return {"exif": facts, "warnings": [{"code": "LabelsUnavailableError", "message": message, "hint": hint}]}

    found = labels.detect(
        source if direct else engine.reduced_jpeg(data), config.labels_max, config.labels_min_confidence
    )
    return {"exif": facts, "labels": found.labels, "labelModelVersion": found.model_version, "warnings": []}
