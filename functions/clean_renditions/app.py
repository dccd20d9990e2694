"""Remove the renditions of an upload that its record does not point to."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.observability import count_failure, step
from image_pipeline.store import cleanup

client = aws.clients("dynamodb", "s3")


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    if event["outcome"] == "FAILED":
        count_failure(event["error"])
    config = settings.load(os.environ)
    cleaned = cleanup.clean(
        client, bucket=config.thumbnails_bucket, table=config.image_table, image_key=event["imageKey"]
    )
    return {"cleaned": cleaned}
