"""Download the upload once, write its renditions, and return everything that its bytes contain."""

import os
from functools import cache
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.imaging import engine, memory, recipes
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.observability import log_warnings, step
from image_pipeline.store import pictures, records, storage
from image_pipeline.workflow import focus, labels, notifications

client = aws.clients("s3")


@cache  # and not at import: a mistake in the recipes must reach the record under its own name
def book() -> recipes.RecipeBook:
    loaded = recipes.load()
    log_warnings(loaded.warnings)
    return loaded


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config, image_key = settings.load(os.environ), event["imageKey"]
    limits, wanted = Limits.from_settings(config), book().for_key(image_key)
    memory.limit(config.render_memory_bytes)
    source = storage.Source.from_json(event["source"])
    upload = storage.read(client, source, limits.max_bytes)
    record = _claimed_record(event, config.image_table)
    point, focus_warnings = focus.find(source.to_json(), upload.metadata, (record or {}).get(records.CHOSEN_FOCUS))
    if event.get("compare"):
        pictures.require_change(
            client,
            record=record,
            bucket=config.thumbnails_bucket,
            image_key=image_key,
            content_id=engine.content_id(upload.data, wanted, point),
        )
    rendered = engine.render(upload.data, wanted, limits, point)
    to_label = labels.rendition_for_labels(rendered.header, rendered.renditions, wanted)
    makes_copy = config.detects_labels and to_label is None
    copies = [engine.reduced(upload.data, limits, labels.LEGIBLE_SIDE, labels.MIN_SIDE)] if makes_copy else []

    folder, made = keys.rendition_key(image_key, rendered.content_id, ""), [*rendered.renditions, *copies]
    places = _write(config.thumbnails_bucket, folder, made, copies)
    renditions = [{**each.to_dict(), **places[each.file_name]} for each in rendered.renditions]
    warnings = [{"code": "ImageWarning", "message": warning} for warning in (*rendered.warnings, *focus_warnings)]
    image = {**rendered.header.to_dict(), "sizeBytes": len(upload.data), "sha256": rendered.sha256}
    return {
        "image": image,
        "exif": rendered.exif.to_dict(),
        "renditions": renditions,
        "recipeId": engine.recipe_id(wanted),
        "focus": point and point.to_json(),
        "summary": rendered.summary.to_dict(),
        "picture": next((places[each.file_name] for each in [*copies, to_label] if each), None),
        "warnings": warnings,
        "notification": notifications.describe_image(image_key, image, renditions, warnings),
    }


def _claimed_record(event: dict[str, Any], table: str) -> records.Record | None:
    """Return the record as it was before the claim of this execution; None for the first upload of a key."""
    # An execution from before a deployment says only whether to compare.
    if not event.get("overwrites", event.get("compare")):
        return None
    return records.read_before_claim(client, table=table, image_key=event["imageKey"])


def _write(
    bucket: str, folder: str, made: list[engine.Rendition], copies: list[engine.Rendition]
) -> dict[str, dict[str, Any]]:
    """Store the files, and return where each of them is, by its name."""
    files = [storage.File(folder + each.file_name, each.data, each.content_type, each in copies) for each in made]
    written = storage.write(client, bucket, files)
    return {each.file_name: place.to_json() for each, place in zip(made, written, strict=True)}
