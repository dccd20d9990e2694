"""Write the outcome to the record: COMPLETED, or PARTIAL without labels."""

import os
import time
from typing import Any

from image_pipeline import aws, settings, times
from image_pipeline.observability import count_success, step
from image_pipeline.store import cleanup, records, results

client = aws.clients("dynamodb")


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    started = time.perf_counter()
    config, image_key = settings.load(os.environ), event["imageKey"]
    bucket, table = config.thumbnails_bucket, config.image_table
    thumbnails, metadata = event["thumbnails"], event["metadata"]
    old_versions, previous = (), None
    if event["overwrites"]:
        with cleanup.best_effort():  # list before the claim is verified; `cleanup` explains why
            old_versions = cleanup.find(client, bucket=bucket, image_key=image_key)
        if "labels" not in metadata:
            previous = records.read_before_claim(client, table=table, image_key=image_key)
    finished_at = times.now()
    own_milliseconds = round((time.perf_counter() - started) * 1000)  # up to the write, which stores this figure
    fields = {
        **results.label_fields(thumbnails, metadata, previous),
        **{name: thumbnails[name] for name in ("image", "exif", "renditions", "summary")},
        "recipeId": thumbnails.get("recipeId"),
        "focus": thumbnails.get("focus"),
        "execution": {
            "id": event["executionId"],
            "startedAt": event["startedAt"],
            "finishedAt": finished_at,
            "milliseconds": {**event["milliseconds"], "StoreResults": own_milliseconds},
        },
        "updatedAt": finished_at,
    }
    records.complete(client, table=table, image_key=image_key, execution_id=event["executionId"], fields=fields)
    count_success(fields)
    with cleanup.best_effort():
        current = cleanup.current_versions(thumbnails["renditions"])
        cleanup.retire(client, bucket, old_versions, current)
    return {"status": fields["status"]}
