"""Choose what a backfill processes among some uploads, and put it on BatchQueue."""

import os
from functools import cache
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.batch import backfills
from image_pipeline.imaging import engine, recipes
from image_pipeline.observability import log_warnings, step


@cache  # and not at import: a mistake in the recipes must end the backfill under its own name
def book() -> recipes.RecipeBook:
    loaded = recipes.load()
    log_warnings(loaded.warnings)
    return loaded


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    recipe_book = book()  # also when there is nothing to choose from: so mistakes end a backfill before it begins
    names = "UPLOADS_BUCKET", "IMAGE_TABLE", "BACKFILL_TABLE", "BATCH_QUEUE_URL"
    stack, request = backfills.Stack(*settings.required(os.environ, *names)), event["request"]
    listed = [backfills.Listed.from_item(item) for item in event["items"]]
    wanted = backfills.Filter.from_json(request)
    chosen = backfills.select(
        aws.client, stack.image_table, listed, wanted, lambda key: engine.recipe_id(recipe_book.for_key(key))
    )
    selected = chosen
    if not request["dryRun"]:
        selected = backfills.enqueue(aws.client, stack, event["backfillId"], chosen, request["maxImages"])
    return {
        "listed": len(listed),
        "selected": len(selected),
        "selectedBytes": sum(each.size for each in selected),
        "overLimit": len(chosen) - len(selected),
        **({"recipeWarnings": recipe_book.warnings} if recipe_book.warnings else {}),
    }
