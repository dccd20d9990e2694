"""Download the picture once; write its renditions and tell all that its bytes tell."""

import os
from typing import Any

from image_pipeline import engine, exif, formats, keys, labels, recipes, settings, storage
from image_pipeline.observability import step

BOOK = recipes.load()


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load(os.environ)
    limits = formats.Limits.from_settings(config)
    source = storage.Source.from_json(event["source"])
    wanted = BOOK.for_key(event["imageKey"])
    data = storage.read(source, limits.max_bytes)
    rendered = engine.render(data, wanted, limits)

    stored = []
    for rendition in rendered.renditions:
        key = keys.rendition_key(event["imageKey"], rendered.content_id, rendition.file_name)
        written = storage.write(config.thumbnails_bucket, key, rendition.data, rendition.content_type)
        place = {"bucket": config.thumbnails_bucket, "key": key, "versionId": written.version_id}
        stored.append({**rendition.to_dict(), **place, "etag": written.etag})
    return {
        "image": {**rendered.header.to_dict(), "sizeBytes": len(data), "sha256": rendered.sha256},
        "exif": exif.read(data).to_dict(),
        "renditions": stored,
        "recipeId": engine.recipe_id(wanted),
        "summary": rendered.summary.to_dict(),
        "picture": labels.picture(source, rendered.header, stored, wanted),
        "warnings": [{"code": "ImageWarning", "message": warning} for warning in rendered.warnings],
    }
