"""statemachine/process_image.asl.json as a text: what can be seen without running it."""

import json
import re

import pytest

from image_pipeline import errors
from tests.asl import MACHINE, PATH, STATES, successors
from tests.conftest import ROOT, cfn_lint

TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
LAMBDA_TASKS = {name: state for name, state in TASKS.items() if state["Resource"].endswith("lambda:invoke")}


def test_every_next_leads_to_a_state_and_every_state_is_reached():
    """No dangling arrow, no room without a door."""
    reached, todo = set(), [MACHINE["StartAt"]]
    while todo:
        name = todo.pop()
        assert name in STATES, f"{name} does not exist"
        if name not in reached:
            reached.add(name)
            todo += successors(STATES[name])
    assert reached == STATES.keys()


def test_every_state_ends_or_goes_on():
    """Nothing stops in the middle."""
    for name, state in STATES.items():
        assert successors(state) or state.get("End") or state["Type"] in ("Succeed", "Fail"), name


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_timeout_and_waits_with_jitter(name):
    """No state hangs for a year, and no retry marches in step with a thousand others."""
    state = TASKS[name]
    assert state["TimeoutSeconds"] <= 120
    assert state["Retry"]
    for retry in state["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert retry["MaxDelaySeconds"] <= 300
        assert retry["BackoffRate"] == 2
        assert "States.ALL" not in retry["ErrorEquals"]
        assert "States.TaskFailed" not in retry["ErrorEquals"]


@pytest.mark.parametrize("name", LAMBDA_TASKS)
def test_lambda_tasks_retry_the_same_errors(name):
    """Throttling for long, AWS's faults for minutes, a crash once; rejections never."""
    retried = {error: retry["MaxAttempts"] for retry in LAMBDA_TASKS[name]["Retry"] for error in retry["ErrorEquals"]}
    assert retried["Lambda.TooManyRequestsException"] >= 30
    assert retried["StorageUnavailableError"] >= 30
    assert {"Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"} <= retried.keys()
    assert retried["Runtime.ExitError"] == retried["Sandbox.Timedout"] == 1
    final = {error.__name__ for error in errors.RejectedError.__subclasses__()}
    assert not final & retried.keys()
    assert not {"LabelsUnavailableError", "SupersededError"} & retried.keys()


def test_throttling_is_waited_out_for_an_hour_or_more():
    """The mean wait with full jitter is half of the longest."""
    for name, state in TASKS.items():
        retry = state["Retry"][0]
        delay, total = retry["IntervalSeconds"], 0.0
        for _ in range(retry["MaxAttempts"]):
            total += min(delay, retry["MaxDelaySeconds"]) / 2
            delay *= retry["BackoffRate"]
        assert total >= 3600, f"{name} waits {total:.0f} s"


def test_every_error_name_of_ours_is_a_class():
    """A misspelt name in a Retry or Catch would never match."""
    ours = {name for name in dir(errors) if name.endswith("Error")}
    used = {
        error
        for state in STATES.values()
        for rule in state.get("Retry", []) + state.get("Catch", [])
        for error in rule["ErrorEquals"]
        if error.endswith("Error") and "." not in error
    }
    assert used <= ours
    transient = {error.__name__ for error in errors.TransientError.__subclasses__()}
    assert transient <= used, "a transient error that no state retries"


@pytest.mark.parametrize("name", TASKS)
def test_every_task_catches_everything_last(name):
    """Whatever happens, the upload gets its outcome."""
    *_, last = TASKS[name]["Catch"]
    assert last["ErrorEquals"] == ["States.ALL"]


def test_names_are_verb_and_noun():
    """Choice a question, Fail and Succeed a participle, the rest verb + noun."""
    for name, state in STATES.items():
        assert re.fullmatch(r"([A-Z][a-z]+)+", name)
        if state["Type"] == "Choice":
            assert name.startswith(("Is", "Has"))
        elif state["Type"] in ("Fail", "Succeed"):
            assert name.endswith(("ed", "Lost"))
        else:
            assert not name.endswith("ed")


def test_substitutions_are_the_same_on_both_sides(template):
    """A name that only one side knows would be deployed as it stands, dollar and braces."""
    wanted = set(re.findall(r"\$\{(\w+)\}", PATH.read_text()))
    given = set(template["Resources"]["ProcessImageStateMachine"]["Properties"]["DefinitionSubstitutions"])
    assert wanted == given


def test_states_that_call_a_function_are_named_after_it():
    """One name, mechanically recased."""
    for name, state in LAMBDA_TASKS.items():
        function = re.fullmatch(r"\$\{(\w+)FunctionArn\}", state["Arguments"]["FunctionName"]).group(1)
        assert name.startswith(function)
        folder = re.sub(r"(?<!^)(?=[A-Z])", "_", function).lower()
        assert (ROOT / "functions" / folder / "app.py").exists()


def test_every_step_logs_under_the_execution():
    """One correlation id from upload to notification."""
    for name, state in LAMBDA_TASKS.items():
        assert state["Arguments"]["Payload"]["executionId"] == "{% $execution_id %}", name


def test_cfn_lint_accepts_the_definition(tmp_path):
    """`sam validate --lint` does not look behind DefinitionUri, so the definition is wrapped where cfn-lint does."""
    text = re.sub(r"\$\{(\w+)FunctionArn\}", r"arn:aws:lambda:eu-west-1:123456789012:function:\1", PATH.read_text())
    text = text.replace("${AWSPartition}", "aws")
    text = text.replace("${NotificationTopicArn}", "arn:aws:sns:eu-west-1:123456789012:topic")
    properties = {"RoleArn": "arn:aws:iam::123456789012:role/role", "Definition": json.loads(text)}
    template = {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(template))
    run = cfn_lint("--", str(path))
    assert run.returncode == 0, run.stdout
