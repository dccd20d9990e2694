"""Look for records that stay in PROCESSING, and see to those that no execution can end any more."""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import settings
from image_pipeline.observability import logger, note_oldest
from image_pipeline.store import records
from image_pipeline.workflow import executions


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    logger.set_correlation_id(event["id"])
    now, table = datetime.now(UTC), settings.load(os.environ).image_table
    machines = settings.load_machines(os.environ)
    oldest = records.oldest_claims(table)
    seconds = max((records.age_seconds(claim["claimedAt"], now) for claim in oldest), default=0)
    note_oldest(seconds)
    limit = machines.workflow.lost_seconds
    lost = [claim for claim in oldest if records.age_seconds(claim["claimedAt"], now) > limit]
    ages = [records.age_seconds(executions.first_started_at(claim), now) for claim in lost]
    restarted = sum(executions.end_lost(machines, claim, age) for claim, age in zip(lost, ages, strict=True))
    logger.info("records watched", oldest_seconds=seconds, lost=len(lost), restarted=restarted)
    return {"oldestProcessingSeconds": seconds, "settled": len(lost) - restarted, "restarted": restarted}
