"""Faults of AWS that tests can inject."""

from __future__ import annotations

import json
import threading
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_dynamodb import (
    StateTaskServiceDynamoDB,
)

from local.emulator.clients import Clients
from local.emulator.moto_seams import stepfunctions
from tests.conftest import crossed, heavy
from tests.pictures import photo

PHOTO = photo()
FUNCTION = "image-pipeline-ValidateImageFunction"


def invoked(pipeline: Any, event: Any = None) -> tuple[str, str]:
    """Return type and message of the error of a function."""
    answer = pipeline.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
    payload = json.loads(answer["Payload"].read())
    return payload["errorType"], payload["errorMessage"]


def timeouts(pipeline: Any, key: str) -> list[tuple[str, str]]:
    """Return state and error of every task that timed out."""
    (execution,) = [execution for execution in pipeline.executions("ProcessImageStateMachine") if execution.key == key]
    states, state = [], ""
    for event in pipeline.history(execution):
        state = event.get("stateEnteredEventDetails", {}).get("name", state)
        if event["type"] == "TaskTimedOut":
            states.append((state, event["taskTimedOutEventDetails"]["error"]))
    return states


@pytest.mark.parametrize(
    ("body", "limits", "kind", "words"),
    [
        ("import time; time.sleep(60)", {"timeout": 0.5}, "Sandbox.Timedout", "timed out after 0.50 seconds"),
        ("import os; os._exit(3)", {}, "Runtime.ExitError", "exit status 3"),
        (
            "import time; kept = b'x' * (99 << 20); time.sleep(60)",
            {"memory": 64},
            "Runtime.ExitError",
            "signal: killed",
        ),
        ("return {1}", {}, "Runtime.MarshalError", "set"),
        ("raise LookupError('odd')", {}, "LookupError", "odd"),
    ],
)
def test_a_test_can_break_a_function_in_any_way(pipeline, body, limits, kind, words):
    """The function runs in a process with the real runtime; `clear` restores its code."""
    pipeline.alter("ValidateImageFunction", source=f"def lambda_handler(event, context): {body}", **limits)
    error, message = invoked(pipeline)
    assert (error, words in message) == (kind, True)
    pipeline.clear()
    assert invoked(pipeline, {})[0] == "KeyError"


@heavy  # waits for a real timeout; emulator/test_workers.py tests the kill, and tests/workflow the retry
def test_a_function_that_waits_for_aws_times_out(pipeline, folder):
    """The function is killed during a call, and the workflow retries it."""
    key = f"{folder}/slow.jpg"
    pipeline.alter("ValidateImageFunction", timeout=4)
    pipeline.hang("s3", "GetObject", containing=key)
    pipeline.upload(key, PHOTO)
    assert pipeline.wait_for(key)["status"] == "COMPLETED"
    (execution,) = [execution for execution in pipeline.executions() if execution.key == key]
    failures = [event["taskFailedEventDetails"] for event in pipeline.history(execution) if "Failed" in event["type"]]
    assert [failure["error"] for failure in failures] == ["Sandbox.Timedout"]


@pytest.mark.parametrize(
    ("service", "operation", "of", "state", "effective"),
    crossed(
        [
            ("sns", "Publish", "", "NotifySuccess"),
            ("lambda", "Invoke", "GenerateThumbnails", "GenerateThumbnails"),
            ("dynamodb", "UpdateItem", "PROCESSING", "ClaimUpload"),
        ],
        [False, True],
    ),
)
def test_a_call_without_an_answer_is_a_timeout_of_its_state(pipeline, folder, service, operation, of, state, effective):
    """The state fails at once with States.Timeout and is retried."""
    key = f"{folder}/{service}.jpg"
    pipeline.hang(service, operation, times=1, containing=of, effective=effective)
    pipeline.upload(key, PHOTO)
    assert pipeline.wait_for(key)["status"] == "COMPLETED"
    assert timeouts(pipeline, key) == [(state, "States.Timeout")]
    notifications = [
        notification
        for notification in pipeline.notifications()
        if notification["MessageAttributes"]["imageKey"]["Value"] == key
    ]
    assert len(notifications) == (2 if (service, effective) == ("sns", True) else 1)


def test_a_function_can_fail_by_itself(pipeline):
    """The workflow receives the error of the function, not one of Lambda."""
    pipeline.fault("lambda", "Invoke", "Runtime.ExitError", status=200, containing=FUNCTION)
    assert invoked(pipeline) == ("Runtime.ExitError", "Injected by a test: Runtime.ExitError")


def test_a_call_can_fail_after_it_took_effect(pipeline, folder):
    """The object exists although the response is an error."""
    pipeline.fault("s3", "PutObject", "InternalError", containing=folder, effective=True)
    s3 = boto3.client("s3", endpoint_url=pipeline.aws_url, config=Config(retries={"total_max_attempts": 1}))
    address = {"Bucket": pipeline.uploads_bucket, "Key": f"elsewhere/{folder}"}
    with pytest.raises(ClientError, match="InternalError"):
        s3.put_object(**address, Body=b"kept")
    assert s3.get_object(**address)["Body"].read() == b"kept"


def test_a_fault_applies_only_to_calls_that_contain_all_words(pipeline, folder):
    """The fault applies to calls of one function for one image."""
    pipeline.fault("lambda", "Invoke", "ServiceException", times=-1, containing=[FUNCTION, folder])
    client = pipeline.client("lambda")
    other_calls = [(FUNCTION, "other"), ("image-pipeline-StoreResultsFunction", folder)]
    for function, word in other_calls:
        client.invoke(FunctionName=function, Payload=json.dumps({"word": word}))
    with pytest.raises(ClientError, match="ServiceException"):
        client.invoke(FunctionName=FUNCTION, Payload=json.dumps({"word": folder}))


def test_an_injected_timeout_has_the_name_of_a_real_one(pipeline, folder):
    """The error and the events of both are equal."""
    states, answered = pipeline.client("stepfunctions"), threading.Event()
    pipeline.replace("ValidateImageFunction", lambda _: answered.wait(30))
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": FUNCTION, "Payload": {}},
        "TimeoutSeconds": 1,
        "End": True,
    }
    definition = {"QueryLanguage": "JSONata", "StartAt": "Task", "States": {"Task": task}}
    machine = states.create_state_machine(
        name=folder.replace("/", "-"), definition=json.dumps(definition), roleArn="arn:aws:iam::123456789012:role/x"
    )["stateMachineArn"]
    results = []
    for _ in range(2):
        arn = states.start_execution(stateMachineArn=machine)["executionArn"]
        pipeline.wait_until(lambda arn=arn: states.describe_execution(executionArn=arn)["status"] == "FAILED", arn)
        events = states.get_execution_history(executionArn=arn)["events"]
        results.append((states.describe_execution(executionArn=arn)["error"], [event["type"] for event in events]))
        pipeline.hang("lambda", "Invoke")
    answered.set()
    states.delete_state_machine(stateMachineArn=machine)
    assert results[0] == results[1]
    assert results[0][0] == "States.Timeout"


def test_a_hanging_call_waits_until_the_client_or_the_fault_ends(pipeline):
    """The operation takes effect without a response; afterwards calls succeed again."""
    pipeline.hang("s3", "PutObject", times=-1, effective=True)
    ended: list[type] = []

    def upload(key: str, seconds: float) -> None:
        config = Config(read_timeout=seconds, retries={"total_max_attempts": 1})
        client = boto3.client("s3", endpoint_url=pipeline.aws_url, config=config)
        try:
            client.put_object(Bucket=pipeline.uploads_bucket, Key=key, Body=b"x")
        except Exception as error:
            ended.append(type(error))

    upload("elsewhere/impatient", 0.3)
    assert ended == [ReadTimeoutError]
    thread = threading.Thread(target=upload, args=("elsewhere/patient", 30))
    thread.start()
    listed = lambda: pipeline.client("s3").list_objects_v2(Bucket=pipeline.uploads_bucket, Prefix="elsewhere/patient")  # noqa: E731
    pipeline.wait_until(lambda: listed()["KeyCount"] == 1, "the call to do its work")
    assert ended == [ReadTimeoutError]
    pipeline.clear()
    thread.join(10)
    assert ended == [ReadTimeoutError, ConnectionClosedError]
    pipeline.upload("elsewhere/after", b"x")


def test_a_test_can_time_out_an_execution(pipeline, folder):
    """The execution is TIMED_OUT without waiting, and the record is settled."""
    key, go_on = f"{folder}/timed-out.jpg", threading.Event()
    pipeline.replace("ValidateImageFunction", lambda _: go_on.wait(30))
    pipeline.upload(key, PHOTO)
    about = lambda: [execution for execution in pipeline.executions("ProcessImageStateMachine") if execution.key == key]  # noqa: E731
    pipeline.wait_until(
        lambda: any("ValidateImage" in pipeline.states_entered(execution) for execution in about()), key
    )
    pipeline.time_out(about()[0])
    assert about()[0].status == "TIMED_OUT"
    pipeline.wait_until(lambda: pipeline.record(key)["status"] == "FAILED", "the record to be settled")
    assert pipeline.record(key)["error"]["code"] == "ExecutionTimedOutError"
    go_on.set()


def test_a_moved_seam_is_reported(monkeypatch):
    """If moto lacks a seam, the start fails and names the module to change."""
    monkeypatch.setattr(StateTaskServiceDynamoDB, "_from_error", None)
    with pytest.raises(RuntimeError, match=r"moto_seams/stepfunctions\.py"):
        stepfunctions.install(1.0, Clients("http://127.0.0.1:1", "us-east-1"))
