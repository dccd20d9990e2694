"""Choose what a backfill processes among some uploads, and put it on BatchQueue."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.batch import backfills
from image_pipeline.imaging import engine, recipes
from image_pipeline.observability import log_warnings, step

BOOK = recipes.load()
log_warnings(BOOK.warnings)


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    names = "UPLOADS_BUCKET", "IMAGE_TABLE", "BACKFILL_TABLE", "BATCH_QUEUE_URL"
    stack, request = backfills.Stack(*settings.required(os.environ, *names)), event["request"]
    listed = [backfills.Listed.from_item(item) for item in event["items"]]
    wanted = backfills.Filter.from_json(request)
    chosen = backfills.select(
        aws.client, stack.image_table, listed, wanted, lambda key: engine.recipe_id(BOOK.for_key(key))
    )
    selected = chosen
    if not request["dryRun"]:
        selected = backfills.enqueue(aws.client, stack, event["backfillId"], chosen, request["maxImages"])
    return {
        "listed": len(listed),
        "selected": len(selected),
        "selectedBytes": sum(each.size for each in selected),
        "overLimit": len(chosen) - len(selected),
        **({"recipeWarnings": BOOK.warnings} if BOOK.warnings else {}),
    }
