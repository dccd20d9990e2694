"""Write the outcome into the record: COMPLETED, or PARTIAL when there are no labels."""

import os
import time
from typing import Any

from image_pipeline import settings
from image_pipeline.observability import count_success, step
from image_pipeline.store import cleanup, records


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    began, config, replaced = time.perf_counter(), settings.load(os.environ), ()
    thumbnails, metadata = event["thumbnails"], event["metadata"]
    with cleanup.best_effort():
        if event["overwrites"]:  # listed before the claim is proved, see cleanup
            replaced = cleanup.find(config.thumbnails_bucket, event["imageKey"])
    status, finished = "COMPLETED" if "labels" in metadata else "PARTIAL", records.now()
    own = {"StoreResults": round((time.perf_counter() - began) * 1000)}  # until it writes: then it is too late to tell
    fields = {
        "status": status,
        **{name: thumbnails[name] for name in ("image", "exif", "renditions", "summary")},
        "recipeId": thumbnails.get("recipeId"),
        "labels": metadata.get("labels", []),
        "labelModelVersion": metadata.get("labelModelVersion"),
        "warnings": thumbnails["warnings"] + metadata["warnings"],
        "execution": {
            **{"id": event["executionId"], "startedAt": event["startedAt"], "finishedAt": finished},
            "milliseconds": {**event["milliseconds"], **own},
        },
        "updatedAt": finished,
    }
    records.complete(config.image_table, event["imageKey"], event["executionId"], fields)
    count_success(fields)
    with cleanup.best_effort():
        shown = {rendition["key"]: rendition.get("versionId") for rendition in thumbnails["renditions"]}
        cleanup.retire(config.thumbnails_bucket, replaced, shown)
    return {"status": status}
