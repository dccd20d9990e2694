"""Step Functions: end the records whose executions ended without an outcome."""

import json
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from image_pipeline import aws, s3_events, times
from image_pipeline.settings import Machines, WorkflowType

RESTART_SECONDS = 3_600  # a Standard execution retries a throttled service for as long


def lost_claims(claims: Iterable[dict[str, Any]], machines: Machines, now: datetime) -> list[dict[str, Any]]:
    """Return the claims whose executions must have ended, so that nothing else will end them.

    Args:
        claims: `claimedAt` of records in PROCESSING, with other attributes.
        machines: the ARNs of the state machines.
        now: the current time.
    """
    limit = machines.workflow.lost_seconds
    return [claim for claim in claims if times.age_seconds(claim["claimedAt"], now) > limit]


def end_lost(client: aws.Client, machines: Machines, claim: dict[str, Any], now: datetime) -> bool:
    """Restart or settle a record whose execution ended without an outcome.

    An Express execution runs for five minutes at most, which is shorter than many outages, so it is restarted for up to
    an hour. Every other record is settled.

    Args:
        client: returns the client of a service.
        machines: the ARNs of the state machines.
        claim: `ImageKey`, `upload` and `execution` of a record in PROCESSING.
        now: the current time.

    Returns:
        Whether the workflow was restarted.
    """
    age = times.age_seconds(first_started_at(claim), now)
    if machines.workflow is WorkflowType.EXPRESS and age < RESTART_SECONDS:
        _restart(client, machines, claim)
        return True
    settle(client, machines, claim)
    return False


def first_started_at(claim: dict[str, Any]) -> str:
    """Return the start time of the first execution of an upload that was restarted."""
    execution = claim["execution"]
    started_at: str = execution.get("firstStartedAt", execution["startedAt"])
    return started_at


def _restart(client: aws.Client, machines: Machines, claim: dict[str, Any]) -> None:
    event = created_event(claim["upload"])
    event["detail"]["reprocess"] = True  # otherwise the workflow ends it as a duplicate
    event["detail"]["first-started-at"] = first_started_at(claim)
    client("stepfunctions").start_execution(
        stateMachineArn=machines.process_image, name=f"again_{uuid.uuid4()}", input=json.dumps(event)
    )


def settle(client: aws.Client, machines: Machines, claim: dict[str, Any]) -> None:
    """Start the workflow that ends a record, with the event that EventBridge sends for a timed-out execution.

    Args:
        client: returns the client of a service.
        machines: the ARNs of the state machines.
        claim: `ImageKey`, `upload` and `execution` of a record in PROCESSING.
    """
    execution = claim["execution"]
    arn = machines.process_image  # the ARN of an Express execution is not known here
    if machines.workflow is WorkflowType.STANDARD:
        arn = arn.replace(":stateMachine:", ":execution:") + ":" + execution["id"]
    # Step Functions accepts a name once, so each lost execution is settled at most once per hour.
    name = f"lost_{datetime.now(UTC):%Y%m%d%H}_{execution['id']}"[:80]
    event = {
        "detail": {
            "executionArn": arn,
            "name": execution["id"],
            "status": "TIMED_OUT",
            "startDate": round(datetime.fromisoformat(execution["startedAt"]).timestamp() * 1000),
            "input": json.dumps(created_event(claim["upload"])),
        }
    }
    states = client("stepfunctions")
    with suppress(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=machines.settle_image, name=name, input=json.dumps(event))


def created_event(upload: dict[str, Any]) -> dict[str, Any]:
    """Return the S3 event that led to the claim of an upload."""
    return s3_events.object_created(
        bucket=upload["bucket"],
        key=upload["key"],
        etag=upload["etag"],
        size_bytes=upload["sizeBytes"],
        sequencer=upload["sequencer"],
        time=upload["uploadedAt"],
        version_id=upload["versionId"],
    )
