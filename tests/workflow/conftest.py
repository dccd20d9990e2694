"""The real workflow on the local engine."""

import itertools
import json
import uuid

import pytest

from tests.conftest import ROOT

_numbers = itertools.count()


@pytest.fixture
def key():
    """A key that no other test has."""
    return f"uploads/workflow/{next(_numbers)}.jpg"


@pytest.fixture
def outcome(pipeline):
    """Upload, wait, and tell all that came of it."""
    return lambda key, data: Outcome(pipeline, key, pipeline.upload(key, data))


class Outcome:
    """What one upload led to."""

    def __init__(self, pipeline, key, version_id):
        self.record = pipeline.wait_for(key, version_id)
        (self.execution,) = [each for each in pipeline.executions() if (each.key, each.version_id) == (key, version_id)]
        self.states = pipeline.states_entered(self.execution)
        self.notifications = [
            each for each in pipeline.notifications() if each["MessageAttributes"]["imageKey"]["Value"] == key
        ]

    @property
    def notified(self):
        """The `status` of every notification about this key."""
        return [each["MessageAttributes"]["status"]["Value"] for each in self.notifications]


def uploaded(pipeline, key):
    """The event of an upload that never was: moto's S3 does not take every name that S3 takes."""
    event = json.loads((ROOT / "events" / "object_created.json").read_text())
    event["detail"]["bucket"]["name"] = pipeline.uploads_bucket
    event["detail"]["object"]["key"] = key
    return event


def start(pipeline, event, machine="ProcessImage"):
    """Deliver an event and wait for the execution's end."""
    states = pipeline.client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=pipeline.outputs[f"{machine}StateMachineArn"], name=str(uuid.uuid4()), input=json.dumps(event)
    )["executionArn"]
    pipeline.wait_until(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", arn)
    return next(each for each in pipeline.executions() if each.arn == arn)


def start_again(pipeline, execution, **changes):
    """Deliver the event of an execution once more."""
    event = json.loads(json.dumps(execution.event))
    event["detail"]["object"] |= changes
    return start(pipeline, event)
