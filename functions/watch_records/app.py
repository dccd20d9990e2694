"""Measure the oldest record in PROCESSING, and restart or settle records whose executions ended without an outcome."""

import os
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, settings, times
from image_pipeline.observability import logger, record_oldest_age
from image_pipeline.store import records
from image_pipeline.workflow import executions

client = aws.clients("dynamodb", "stepfunctions")


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    logger.set_correlation_id(event["id"])
    table = settings.load(os.environ).image_table
    machines = settings.load_machines(os.environ)
    now = datetime.now(UTC)
    oldest = records.oldest_claims(client, table)
    seconds = max((times.age_seconds(claim["claimedAt"], now) for claim in oldest), default=0)
    record_oldest_age(seconds)
    lost_claims = executions.lost_claims(oldest, machines, now)
    restarted = sum(executions.end_lost(client, machines, claim, now) for claim in lost_claims)
    logger.info("records watched", oldest_seconds=seconds, lost=len(lost_claims), restarted=restarted)
    return {"oldestProcessingSeconds": seconds, "settled": len(lost_claims) - restarted, "restarted": restarted}
