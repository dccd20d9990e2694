"""Ask Rekognition what is on the picture."""

import os
from typing import Any

from image_pipeline import engine, formats, labels, settings, storage
from image_pipeline.observability import step


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config, picture = settings.load(os.environ), event["picture"]
    limits = formats.Limits.from_settings(config)
    source = storage.Source.from_json(picture)
    direct = labels.takes(picture["format"], picture["width"], picture["height"], source.size_bytes)
    image = source if direct else engine.reduced_jpeg(storage.read(source, limits.max_bytes), limits)
    found = labels.detect(image, config.labels_max, config.labels_min_confidence)
    return {"labels": found.labels, "labelModelVersion": found.model_version, "warnings": []}
