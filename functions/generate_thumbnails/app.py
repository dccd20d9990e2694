"""Download the upload once, write its renditions, and return everything that its bytes contain."""

import os
from functools import cache
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.imaging import engine, memory, recipes
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.observability import log_warnings, step
from image_pipeline.store import records, storage, unchanged
from image_pipeline.workflow import focus, thumbnails

client = aws.clients("s3")


@cache  # not at import, so that an error in the recipes reaches the record under its own name
def book() -> recipes.RecipeBook:
    loaded = recipes.load()
    log_warnings(loaded.warnings)
    return loaded


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config = settings.load(os.environ)
    limits = Limits.from_settings(config)
    image_recipes = book().for_key(event["imageKey"])
    memory.limit(config.render_memory_bytes)
    source = storage.ObjectVersion.from_json(event["source"])
    upload = storage.read(client, source, limits.max_bytes)
    record = _claimed_record(event, config.image_table)
    point, focus_warnings = focus.find(source.to_json(), upload.metadata, (record or {}).get(records.CHOSEN_FOCUS))
    if event.get("compare"):
        unchanged.require_change(
            client,
            record=record,
            bucket=config.thumbnails_bucket,
            image_key=event["imageKey"],
            content_id=engine.content_id(upload.data, image_recipes, point),
        )
    output = thumbnails.make(upload.data, image_recipes, limits, point, detects_labels=config.detects_labels)
    return output.result(
        image_key=event["imageKey"],
        locations=_write(config.thumbnails_bucket, event["imageKey"], output),
        focus_warnings=focus_warnings,
    )


def _claimed_record(event: dict[str, Any], table: str) -> records.Record | None:
    """Return the record as it was before the claim of this execution; None for the first upload of a key."""
    # The definition of an execution that started before an update may send only `compare`.
    if not event.get("overwrites", event.get("compare")):
        return None
    return records.read_before_claim(client, table=table, image_key=event["imageKey"])


def _write(bucket: str, image_key: str, output: thumbnails.Thumbnails) -> dict[str, dict[str, Any]]:
    """Store the files, and return the location of each, by its name."""
    folder = keys.rendition_key(image_key, output.rendered.content_id, "")
    new_files = [
        storage.NewFile(folder + file.file_name, file.data, file.content_type, temporary=file in output.copies)
        for file in output.files
    ]
    stored = storage.write(client, bucket, new_files)
    return {file.file_name: location.to_json() for file, location in zip(output.files, stored, strict=True)}
