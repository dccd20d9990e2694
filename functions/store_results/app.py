"""Write the outcome into the record: COMPLETED, or PARTIAL when there are no labels."""

import os
import time
from typing import Any

from image_pipeline import settings
from image_pipeline.observability import count_success, step
from image_pipeline.store import cleanup, records, results


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    began, config, image_key = time.perf_counter(), settings.load(os.environ), event["imageKey"]
    thumbnails, metadata, replaced, previous = event["thumbnails"], event["metadata"], (), None
    if event["overwrites"]:
        with cleanup.best_effort():  # listed before the claim is proved, see cleanup
            replaced = cleanup.find(config.thumbnails_bucket, image_key)
        previous = None if "labels" in metadata else records.before_claim(config.image_table, image_key)
    finished = records.now()
    own = {"StoreResults": round((time.perf_counter() - began) * 1000)}  # until it writes: then it is too late to tell
    fields = {
        **results.labels(thumbnails, metadata, previous),
        **{name: thumbnails[name] for name in ("image", "exif", "renditions", "summary")},
        "recipeId": thumbnails.get("recipeId"),
        "execution": {
            **{"id": event["executionId"], "startedAt": event["startedAt"], "finishedAt": finished},
            "milliseconds": {**event["milliseconds"], **own},
        },
        "updatedAt": finished,
    }
    records.complete(config.image_table, image_key, event["executionId"], fields)
    count_success(fields)
    with cleanup.best_effort():
        shown = {rendition["key"]: rendition.get("versionId") for rendition in thumbnails["renditions"]}
        cleanup.retire(config.thumbnails_bucket, replaced, shown)
    return {"status": fields["status"]}
