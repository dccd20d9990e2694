"""Download the picture once; write its renditions and tell all that its bytes tell."""

import os
from typing import Any

from image_pipeline import keys, settings
from image_pipeline.imaging import engine, memory, recipes
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.observability import log_warnings, step
from image_pipeline.store import storage
from image_pipeline.workflow import labels

BOOK = recipes.load()
log_warnings(BOOK.warnings)


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load(os.environ)
    limits = Limits.from_settings(config)
    memory.limit(config.render_memory_bytes)
    wanted = BOOK.for_key(event["imageKey"])
    data = storage.read(storage.Source.from_json(event["source"]), limits.max_bytes)
    rendered = engine.render(data, wanted, limits)
    to_label = labels.legible(rendered.header, rendered.renditions, wanted)
    copies = [] if to_label else [engine.reduced(data, limits, labels.LEGIBLE_SIDE, labels.MIN_SIDE)]

    folder = keys.rendition_key(event["imageKey"], rendered.content_id, "")
    made = [*rendered.renditions, *copies]
    files = [
        storage.File(folder + each.file_name, each.data, each.content_type, passing=each in copies) for each in made
    ]
    written = storage.write(config.thumbnails_bucket, files)
    places = {each.file_name: place.to_json() for each, place in zip(made, written, strict=True)}
    return {
        "image": {**rendered.header.to_dict(), "sizeBytes": len(data), "sha256": rendered.sha256},
        "exif": rendered.exif.to_dict(),
        "renditions": [{**each.to_dict(), **places[each.file_name]} for each in rendered.renditions],
        "recipeId": engine.recipe_id(wanted),
        "summary": rendered.summary.to_dict(),
        "picture": places[(to_label or copies[0]).file_name],
        "warnings": [{"code": "ImageWarning", "message": warning} for warning in rendered.warnings],
    }
