"""moto_seams/executions.py: executions stop at once, and EventBridge receives every change of status."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend
from moto.stepfunctions.responses import StepFunctionResponse

from local.emulator.moto_seams import executions

STATUSES = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
DETAILS = {
    "executionArn": str,
    "stateMachineArn": str,
    "name": str,
    "status": str,
    "startDate": int,
    "stopDate": int,
    "input": str,
    "output": str,
    "stateMachineVersionArn": None,
    "stateMachineAliasArn": None,
    "redriveCount": int,
    "redriveDate": None,
    "redriveStatus": str,
    "redriveStatusReason": str,
    "inputDetails": dict,
    "outputDetails": dict,
    "error": str,
    "cause": str,
}
CALL = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Arguments": {
        "FunctionName": "image-pipeline-ValidateImageFunction",
        "Payload": "{% $states.context.Execution.Name %}",
    },
}
WORK = {
    **CALL,
    "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 3}],
    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "After"}],
    "Next": "After",
}
AFTER = {"Type": "Pass", "End": True}


@pytest.fixture
def start(pipeline) -> Iterator[Callable[..., str]]:
    """A function that creates and starts a state machine, and returns the ARN of the execution."""
    states, machines = pipeline.client("stepfunctions"), []

    def start_machine(definition: dict[str, Any], **parameters: Any) -> str:
        machines.append(
            states.create_state_machine(
                name=f"test-{uuid.uuid4()}",
                definition=json.dumps({"QueryLanguage": "JSONata", **definition}),
                roleArn="arn:aws:iam::123456789012:role/nobody-judges-this-one",
            )["stateMachineArn"]
        )
        arn: str = states.start_execution(stateMachineArn=machines[-1], **parameters)["executionArn"]
        return arn

    yield start_machine
    for machine in machines:
        states.delete_state_machine(stateMachineArn=machine)


@pytest.fixture
def held(pipeline) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Replaces ValidateImage: each call is recorded and waits for the test."""
    let_go, calls = threading.Event(), []

    def hold(then: Callable[[], Any]) -> Any:
        def function(event: Any) -> Any:
            calls.append(event)
            let_go.wait(30)
            return then()

        pipeline.replace("ValidateImageFunction", function)
        return calls, let_go

    yield hold
    let_go.set()


def described(pipeline: Any, arn: str) -> dict[str, Any]:
    answer: dict[str, Any] = pipeline.client("stepfunctions").describe_execution(executionArn=arn)
    return answer


def kinds(pipeline: Any, arn: str) -> list[str]:
    history = pipeline.client("stepfunctions").get_execution_history(executionArn=arn)
    return [event["type"] for event in history["events"]]


def test_a_success_sends_the_documented_events(pipeline, listen, start):
    """The events RUNNING and SUCCEEDED have the names, types and values of AWS."""
    wait_for_events = listen(STATUSES)
    definition = {"StartAt": "Only", "States": {"Only": {"Type": "Pass", "Output": {"b": "ü"}, "End": True}}}
    arn = start(definition, name="one", input='{"a": "ü"}')
    running, ended = sorted(wait_for_events(2), key=lambda event: event["detail"]["status"])
    facts = described(pipeline, arn)
    for event, status in ((running, "RUNNING"), (ended, "SUCCEEDED")):
        assert (event["source"], event["resources"]) == ("aws.states", [arn])
        assert event.keys() >= {"version", "id", "account", "time", "region"}
        detail = event["detail"]
        assert detail.keys() == DETAILS.keys()
        for name, value in detail.items():
            assert value is None or isinstance(value, DETAILS[name] or type(None)), name
        assert (detail["executionArn"], detail["name"], detail["status"]) == (arn, "one", status)
        assert detail["stateMachineArn"] == facts["stateMachineArn"]
        assert (detail["input"], detail["inputDetails"]) == ('{"a": "ü"}', {"included": True})
        assert datetime.fromtimestamp(detail["startDate"] / 1000, UTC).replace(microsecond=0) == facts[
            "startDate"
        ].astimezone(UTC).replace(microsecond=0)
    assert (running["detail"]["stopDate"], running["detail"]["output"]) == (None, None)
    assert json.loads(ended["detail"]["output"]) == {"b": "ü"}
    assert ended["detail"]["outputDetails"] == {"included": True}
    assert ended["detail"]["stopDate"] >= ended["detail"]["startDate"]


def test_the_event_of_a_failure_has_its_error(listen, start):
    """The event has error and cause of the Fail state, and no output."""
    wait_for_events = listen({**STATUSES, "detail": {"status": ["FAILED"]}})
    start({"StartAt": "End", "States": {"End": {"Type": "Fail", "Error": "OddError", "Cause": "It is odd."}}})
    (event,) = wait_for_events(1)
    detail = event["detail"]
    assert (detail["error"], detail["cause"]) == ("OddError", "It is odd.")
    assert (detail["output"], detail["outputDetails"], detail["redriveStatus"]) == (None, None, "REDRIVABLE")


def test_an_event_omits_large_input_and_output(listen, start):
    """The input is omitted first, the output only if it is too large by itself."""
    wait_for_events = listen({**STATUSES, "detail": {"status": ["SUCCEEDED"]}})
    text = "x" * 130_000
    definition = {"StartAt": "Only", "States": {"Only": {"Type": "Pass", "Output": text, "End": True}}}
    start(definition, input=json.dumps(text))
    (event,) = wait_for_events(1)
    assert (event["detail"]["input"], event["detail"]["inputDetails"]) == (None, {"included": False})
    assert (json.loads(event["detail"]["output"]), event["detail"]["outputDetails"]) == (text, {"included": True})


@pytest.mark.parametrize("then", [dict, lambda: 1 / 0], ids=["returns", "fails"])
def test_a_stopped_execution_enters_no_further_state(pipeline, listen, start, held, then):
    """The execution is ABORTED at once with the given reason; no retry and no further state follow."""
    wait_for_events = listen({**STATUSES, "detail": {"status": ["ABORTED"]}})
    calls, let_go = held(then)
    definition = {"StartAt": "Work", "States": {"Work": WORK, "After": {**CALL, "End": True}}}
    stopped, other = start(definition, name="stopped"), start(definition, name="other")
    pipeline.wait_until(lambda: sorted(calls) == ["other", "stopped"], "both tasks to start")
    answer = pipeline.client("stepfunctions").stop_execution(executionArn=stopped, error="Enough", cause="By hand.")
    facts = described(pipeline, stopped)
    assert (facts["status"], facts["error"], facts["cause"]) == ("ABORTED", "Enough", "By hand.")
    assert facts["stopDate"] == answer["stopDate"]
    (event,) = wait_for_events(1)
    assert (event["detail"]["error"], event["detail"]["cause"]) == ("Enough", "By hand.")
    before = kinds(pipeline, stopped)
    assert before[-1] == "ExecutionAborted"
    let_go.set()
    pipeline.wait_until(lambda: described(pipeline, other)["status"] != "RUNNING", "the other to go its way")
    assert calls.count("other") > 1
    assert described(pipeline, stopped)["status"] == "ABORTED"
    assert kinds(pipeline, stopped) == before
    assert calls.count("stopped") == 1
    assert len(wait_for_events(1)) == 1


def test_a_waiting_execution_can_be_stopped(pipeline, start):
    """An execution between two states can be stopped, also without a reason."""
    arn = start(
        {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "Next": "After"}, "After": AFTER}}
    )
    pipeline.client("stepfunctions").stop_execution(executionArn=arn)
    facts = described(pipeline, arn)
    assert facts["status"] == "ABORTED"
    assert not {"error", "cause"} & facts.keys()
    assert "PassStateEntered" not in kinds(pipeline, arn)


def test_an_ended_execution_cannot_be_stopped(pipeline, listen, start):
    """The status stays, and no event is published."""
    wait_for_events = listen({**STATUSES, "detail": {"status": ["SUCCEEDED", "ABORTED"]}})
    arn = start({"StartAt": "After", "States": {"After": AFTER}})
    wait_for_events(1)
    pipeline.client("stepfunctions").stop_execution(executionArn=arn)
    assert described(pipeline, arn)["status"] == "SUCCEEDED"
    assert [event["detail"]["status"] for event in wait_for_events(1)] == ["SUCCEEDED"]


def test_an_execution_that_takes_too_long_times_out(pipeline, listen, start, held):
    """The execution is TIMED_OUT after TimeoutSeconds, even while its task runs."""
    wait_for_events = listen({**STATUSES, "detail": {"status": ["TIMED_OUT"]}})
    held(dict)
    arn = start({"StartAt": "Work", "TimeoutSeconds": 1, "States": {"Work": WORK, "After": AFTER}})
    (event,) = wait_for_events(1)
    assert event["detail"]["executionArn"] == arn
    assert 1000 <= event["detail"]["stopDate"] - event["detail"]["startDate"] < 30_000
    assert described(pipeline, arn)["status"] == "TIMED_OUT"
    assert kinds(pipeline, arn)[-1] == "ExecutionTimedOut"


def test_an_execution_without_a_name_gets_a_unique_name(start):
    """Step Functions generates the name, as on AWS."""
    definition = {"StartAt": "After", "States": {"After": AFTER}}
    first, second = (start(definition).rpartition(":")[2] for _ in range(2))
    assert first != second
    assert uuid.UUID(first)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Execution, "start"),
        (BaseExecutionWorkerCommunication, "terminated"),
        (BaseExecutionWorkerCommunication, "_reflect_execution_status"),
        (StepFunctionResponse, "stop_execution"),
        (StepFunctionsParserBackend, "start_execution"),
    ],
)
def test_a_moved_seam_is_reported(monkeypatch, owner, name):
    """If moto lacks the function, the start fails and names the module to change."""
    monkeypatch.setattr(owner, name, None)
    with pytest.raises(RuntimeError, match=r"moto_seams/executions\.py"):
        executions.install(lambda _: None)
