"""Step Functions: end a record whose own execution did not."""

import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3

from image_pipeline import aws
from image_pipeline.settings import Machines, WorkflowType

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


RESTART_SECONDS = 3_600  # as long as a Standard execution itself waits for a service that throttles


@cache
def _step_functions() -> "SFNClient":
    return boto3.client("stepfunctions", config=aws.CLIENT_CONFIG)


def end_lost(machines: Machines, claim: dict[str, Any], age_seconds: int) -> bool:
    """See to a record whose execution is over without an outcome.

    An Express execution has five minutes, which is less than an outage may last: for an hour it is started again.
    Everything else is settled.

    Args:
        machines: the workflows.
        claim: `ImageKey`, `upload` and `execution` of a record in PROCESSING.
        age_seconds: since the first execution was started.

    Returns:
        Whether the workflow was started again.
    """
    restarts = machines.workflow is WorkflowType.EXPRESS
    if restarts and age_seconds < RESTART_SECONDS:
        _restart(machines, claim)
        return True
    settle(machines, claim)
    return False


def first_started_at(claim: dict[str, Any]) -> str:
    """When the first of the executions was started that have tried one after the other."""
    execution = claim["execution"]
    at: str = execution.get("firstStartedAt", execution["startedAt"])
    return at


def _restart(machines: Machines, claim: dict[str, Any]) -> None:
    event = _event(claim["upload"])
    event["detail"]["reprocess"] = True  # or it would be taken for a duplicate
    event["detail"]["first-started-at"] = first_started_at(claim)
    _step_functions().start_execution(
        stateMachineArn=machines.process_image, name=f"again_{uuid.uuid4()}", input=json.dumps(event)
    )


def settle(machines: Machines, claim: dict[str, Any]) -> None:
    """Start the workflow that ends a record, with the event that EventBridge would send of its execution.

    Args:
        machines: the workflows.
        claim: `ImageKey`, `upload` and `execution` of a record in PROCESSING.
    """
    upload, execution = claim["upload"], claim["execution"]
    arn = machines.process_image  # an Express execution has an ARN that nobody but itself knows
    if machines.workflow is WorkflowType.STANDARD:
        arn = arn.replace(":stateMachine:", ":execution:") + ":" + execution["id"]
    # Step Functions starts a name once, so each lost execution is settled at most once an hour.
    name = f"lost_{datetime.now(UTC):%Y%m%d%H}_{execution['id']}"[:80]
    event = {
        "detail": {
            "executionArn": arn,
            "name": execution["id"],
            "status": "TIMED_OUT",
            "startDate": round(datetime.fromisoformat(execution["startedAt"]).timestamp() * 1000),
            "input": json.dumps(_event(upload)),
        }
    }
    with suppress(_step_functions().exceptions.ExecutionAlreadyExists):
        _step_functions().start_execution(stateMachineArn=machines.settle_image, name=name, input=json.dumps(event))


def _event(upload: dict[str, Any]) -> dict[str, Any]:
    """The S3 event that an upload was claimed for."""
    version = {"version-id": upload["versionId"]} if upload["versionId"] else {}
    return {
        "time": upload["uploadedAt"],
        "detail": {
            "bucket": {"name": upload["bucket"]},
            "object": {
                "key": upload["key"],
                "etag": upload["etag"],
                "sequencer": upload["sequencer"],
                "size": upload["sizeBytes"],
                **version,
            },
        },
    }
