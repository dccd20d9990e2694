"""Select the uploads of a backfill from a list, and send them to BatchQueue."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.batch import backfills
from image_pipeline.imaging import engine, recipes
from image_pipeline.observability import log_warnings, step

client = aws.clients("dynamodb", "sqs")


@cache  # not at import, so that an error in the recipes ends the backfill with its own name
def book() -> recipes.RecipeBook:
    loaded = recipes.load()
    log_warnings(loaded.warnings)
    return loaded


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    recipe_book = book()  # even for an empty list, so that an error in the recipes ends a backfill before it starts
    bucket, image_table, backfill_table, queue_url = settings.required(
        os.environ, "UPLOADS_BUCKET", "IMAGE_TABLE", "BACKFILL_TABLE", "BATCH_QUEUE_URL"
    )
    request = event["request"]
    listed = [backfills.ListedObject.from_item(item) for item in event["items"]]
    matching = backfills.select(
        client,
        image_table,
        listed,
        backfills.BackfillFilter.from_json(request),
        recipe_id=lambda key: engine.recipe_id(recipe_book.for_key(key)),
    )
    selected: Sequence[backfills.ListedObject] = matching
    if not request["dryRun"]:
        resources = backfills.BackfillResources(bucket=bucket, backfill_table=backfill_table, queue_url=queue_url)
        selected = backfills.enqueue(client, resources, event["backfillId"], matching, request["maxImages"])
    return {
        "listed": len(listed),
        "selected": len(selected),
        "selectedBytes": sum(upload.size for upload in selected),
        "overLimit": len(matching) - len(selected),
        **({"recipeWarnings": recipe_book.warnings} if recipe_book.warnings else {}),
    }
