"""Download the picture once and write all its renditions."""

import os
from typing import Any

from image_pipeline import engine, formats, keys, recipes, settings, storage
from image_pipeline.observability import step

BOOK = recipes.load()


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load(os.environ)
    limits = formats.Limits.from_settings(config)
    data = storage.read(storage.Source.from_json(event["source"]), limits.max_bytes)
    rendered = engine.render(data, BOOK.for_key(event["imageKey"]), limits)

    stored = []
    for rendition in rendered.renditions:
        key = keys.rendition_key(event["imageKey"], rendered.content_id, rendition.file_name)
        storage.write(config.thumbnails_bucket, key, rendition.data, rendition.content_type)
        stored.append({**rendition.to_dict(), "bucket": config.thumbnails_bucket, "key": key})
    return {
        "image": {**rendered.header.to_dict(), "sha256": rendered.sha256},
        "renditions": stored,
        "summary": rendered.summary.to_dict(),
        "warnings": [{"code": "ImageWarning", "message": warning} for warning in rendered.warnings],
    }
