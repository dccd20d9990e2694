"""Remove the renditions of an upload that no record points at."""

import os
from typing import Any

from image_pipeline import settings
from image_pipeline.observability import count_failure, step
from image_pipeline.store import cleanup


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if event["outcome"] == "FAILED":
        count_failure(event["error"])
    config = settings.load(os.environ)
    return {"cleaned": cleanup.clean(config.thumbnails_bucket, config.image_table, event["imageKey"])}
