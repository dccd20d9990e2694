"""moto_seams/service_tasks.py: errors and parameters of tasks have the names of AWS."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)

from local.emulator.moto_seams import service_tasks
from local.pipeline import Pipeline
from tests.conftest import ROOT

HEAD = "arn:aws:states:::aws-sdk:s3:headObject"
START = "arn:aws:states:::states:startExecution"


def machine(pipeline: Pipeline, state: dict[str, Any]) -> str:
    """A workflow of one state, with the role of the workflow that waits for content."""
    states = pipeline.client("stepfunctions")
    waiting = states.describe_state_machine(stateMachineArn=pipeline.outputs["WaitForContentStateMachineArn"])
    definition = {"QueryLanguage": "JSONata", "StartAt": "One", "States": {"One": state | {"End": True}}}
    arn: str = states.create_state_machine(
        name=f"one-{uuid.uuid4()}", definition=json.dumps(definition), roleArn=waiting["roleArn"]
    )["stateMachineArn"]
    return arn


def start(pipeline: Pipeline, arn: str) -> str:
    execution: str = pipeline.client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]
    return execution


def end(pipeline: Pipeline, execution: str) -> dict[str, Any]:
    """Wait for the end of an execution and return its description."""
    states = pipeline.client("stepfunctions")
    pipeline.wait_for_end(execution)
    answer: dict[str, Any] = states.describe_execution(executionArn=execution)
    return answer


def task(resource: str, **arguments: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Arguments": arguments, "Output": {}}


def test_a_missing_object_has_the_error_name_of_the_sdk(pipeline):
    """botocore has no class for a 404 without a body."""
    look = machine(pipeline, task(HEAD, Bucket=pipeline.uploads_bucket, Key=f"uploads/{uuid.uuid4()}"))
    assert end(pipeline, start(pipeline, look))["error"] == "S3.NoSuchKeyException"


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_unnamed_error_has_the_name_of_the_service(pipeline, status):
    """The error has that name with and without a request id."""
    key = f"uploads/{uuid.uuid4()}"
    pipeline.fault("s3", "HeadObject", "SlowDown", times=-1, status=status, containing=key)
    look = machine(pipeline, task(HEAD, Bucket=pipeline.uploads_bucket, Key=key))
    assert end(pipeline, start(pipeline, look))["error"] == "S3.S3Exception"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ExecutionLimitExceeded", "StepFunctions.ExecutionLimitExceededException"),
        ("ThrottlingException", "StepFunctions.ThrottlingException"),
    ],
)
def test_a_failed_start_of_an_execution_has_its_reason(pipeline, code, name):
    """The error has the name of AWS."""
    mark = str(uuid.uuid4())
    target = pipeline.outputs["ProcessImageStateMachineArn"]
    pipeline.fault("stepfunctions", "StartExecution", code, containing=mark)
    starter = machine(pipeline, task(START, StateMachineArn=target, Name=mark, Input={}))
    assert end(pipeline, start(pipeline, starter))["error"] == name


def test_the_name_of_an_execution_is_unique(pipeline):
    """The execution gets the input; a second one with the same name is rejected."""
    target, mark = machine(pipeline, {"Type": "Pass"}), str(uuid.uuid4())
    # The role may start one workflow only; this test is about what the engine sends.
    allowed = [{"Effect": "Allow", "Action": "states:StartExecution", "Resource": target}]
    pipeline.restrict("WaitForContentStateMachineRole", allowed)
    starter = machine(pipeline, task(START, StateMachineArn=target, Name=mark, Input={"a": [1, "ü"]}))
    assert end(pipeline, start(pipeline, starter))["status"] == "SUCCEEDED"
    (listed,) = pipeline.client("stepfunctions").list_executions(stateMachineArn=target)["executions"]
    assert listed["name"] == mark
    assert json.loads(end(pipeline, listed["executionArn"])["output"]) == {"a": [1, "ü"]}
    again = end(pipeline, start(pipeline, machine(pipeline, task(START, StateMachineArn=target, Name=mark, Input={}))))
    assert again["error"] == "StepFunctions.ExecutionAlreadyExistsException"


@pytest.mark.parametrize(
    ("install", "owner", "name"),
    [
        (service_tasks.install, StateTaskServiceAwsSdk, "_from_error"),
        (service_tasks.install, StateTaskServiceAwsSdk, "_normalise_exception_name"),
        (service_tasks.install, StateTaskServiceSfn, "_from_error"),
        (service_tasks.install, StateTaskServiceSfn, "_normalise_parameters"),
    ],
)
def test_a_moved_seam_is_reported(monkeypatch, install, owner, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.setattr(owner, name, None)
    with pytest.raises(RuntimeError, match="moto_seams"):
        install()


def test_the_engine_imports_no_unused_service():
    """Importing EC2 takes a second of CPU at every start."""
    code = "import sys; import local.emulator.moto_seams.stepfunctions; sys.exit('moto.ec2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
