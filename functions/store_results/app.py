"""Write the outcome to the record: COMPLETED, or PARTIAL without labels."""

import os
import time
from typing import Any

from image_pipeline import aws, settings, times
from image_pipeline.observability import count_success, step
from image_pipeline.store import cleanup, records, results, storage

client = aws.clients("dynamodb")


@step
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    started = time.perf_counter()
    config = settings.load(os.environ)
    old_versions, previous = _read_previous(event, config)
    milliseconds = round((time.perf_counter() - started) * 1000)  # up to the write, which stores this figure
    fields = results.outcome_fields(event, previous, finished_at=times.now(), milliseconds=milliseconds)
    records.complete(
        client,
        table=config.image_table,
        image_key=event["imageKey"],
        execution_id=event["executionId"],
        fields=fields,
    )
    count_success(fields)
    with cleanup.best_effort():
        current = cleanup.current_versions(fields["renditions"])
        cleanup.retire(client, config.thumbnails_bucket, old_versions, current)
    return {"status": fields["status"]}


def _read_previous(
    event: dict[str, Any], config: settings.Settings
) -> tuple[tuple[storage.RenditionVersion, ...], records.Record | None]:
    """Return the versions of the previous renditions, and the previous record if its labels may be needed."""
    old_versions: tuple[storage.RenditionVersion, ...] = ()
    previous = None
    if event["overwrites"]:
        with cleanup.best_effort():  # list before the claim is verified; `cleanup` explains why
            old_versions = cleanup.find(client, bucket=config.thumbnails_bucket, image_key=event["imageKey"])
        if "labels" not in event["metadata"]:
            previous = records.read_before_claim(client, table=config.image_table, image_key=event["imageKey"])
    return old_versions, previous
