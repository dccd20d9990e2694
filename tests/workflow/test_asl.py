"""Static checks of the state machine definitions."""

import json
import random
import re
import statistics

import pytest
import yaml

from image_pipeline import errors
from image_pipeline.settings import WorkflowType
from tests.asl import MACHINES, STATES, service_of, successors
from tests.asl import machine as machine_named
from tests.conftest import ROOT, cfn_lint, heavy

TASKS = [(machine, name) for machine in MACHINES for name in machine.tasks]
LAMBDA_TASKS = [(m, name) for m, name in TASKS if m.states[name]["Resource"].endswith("lambda:invoke")]
NESTED = {"SelectBackfill"}
"""A child of a Distributed Map is an execution of its own, and sees no variable of its parent."""

# A state that calls AWS and has no Catch: its error ends the execution, raises an alarm, and the execution is redriven.
REDRIVEN = {
    ("backfill", "CheckRecipes"),
    ("backfill", "SelectBackfill"),
    ("delete_image", "ClaimDeletion"),
    ("delete_image", "CleanRenditions"),
    ("settle_image", "RecordFailure"),
    ("settle_image", "KeepPicture"),
    ("settle_image", "CleanRenditions"),
    ("wait_for_content", "StartProcessing"),  # and settled
}

each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.logical_id)
each_task = pytest.mark.parametrize(("machine", "name"), TASKS, ids=lambda value: getattr(value, "logical_id", value))
each_lambda_task = pytest.mark.parametrize(
    ("machine", "name"), LAMBDA_TASKS, ids=lambda value: getattr(value, "logical_id", value)
)


@each_machine
def test_every_next_leads_to_a_state_and_every_state_is_reached(machine):
    """No state is missing, and no state is unreachable."""
    reached, todo = set(), [machine.definition["StartAt"]]
    while todo:
        name = todo.pop()
        assert name in machine.states, f"{name} does not exist"
        if name not in reached:
            reached.add(name)
            todo += successors(machine.states[name])
    assert reached == machine.states.keys()


@each_machine
def test_every_state_ends_or_has_a_next_state(machine):
    """Every path leads to an end."""
    for name, state in machine.states.items():
        assert successors(state) or state.get("End") or state["Type"] in ("Succeed", "Fail"), name


@each_task
def test_every_task_has_a_timeout_and_waits_with_jitter(machine, name):
    """No state can hang, and retries are not synchronized."""
    state = machine.states[name]
    assert state["TimeoutSeconds"] <= 120
    assert state["Retry"]
    for retry in state["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert retry["MaxDelaySeconds"] <= 300
        assert retry["BackoffRate"] == 2
        assert "States.ALL" not in retry["ErrorEquals"]
        assert "States.TaskFailed" not in retry["ErrorEquals"]


@each_lambda_task
def test_lambda_tasks_retry_the_same_errors(machine, name):
    """Throttling is retried for long, AWS errors for minutes, a crash once, and rejections never."""
    retries = machine.states[name]["Retry"]
    retried = {error: retry["MaxAttempts"] for retry in retries for error in retry["ErrorEquals"]}
    assert retried["Lambda.TooManyRequestsException"] >= 30
    assert retried["StorageUnavailableError"] >= 30
    assert {"Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException"} <= retried.keys()
    assert retried["Runtime.ExitError"] == retried["Sandbox.Timedout"] == 1
    final = {error.__name__ for error in errors.RejectedError.__subclasses__()}
    assert not final & retried.keys()
    assert not {"LabelsUnavailableError", "SupersededError"} & retried.keys()


def longest_waits(retry):
    """Return the maximum wait in seconds before each retry; full jitter draws from 0 to that."""
    every = (retry["IntervalSeconds"] * retry["BackoffRate"] ** number for number in range(retry["MaxAttempts"]))
    return [min(seconds, retry["MaxDelaySeconds"]) for seconds in every]


def drawn_waits(retry):
    """Return the total waits of a thousand executions, sorted."""
    dice, longest = random.Random(0), longest_waits(retry)
    return sorted(sum(dice.uniform(0, seconds) for seconds in longest) for _ in range(1000))


@each_task
def test_throttling_is_retried_for_an_hour_or_more(machine, name):
    """At most one execution in a hundred gives up earlier."""
    throttled, at_fault, *_ = machine.states[name]["Retry"]
    if service_of(machine.states[name]) == "s3":  # its SDK models no throttling
        at_fault = throttled
    else:
        assert drawn_waits(throttled)[10] >= 3600
    assert 60 <= sum(longest_waits(at_fault)) <= 300


BASE_ERRORS = {
    "dynamodb": "DynamoDB.AmazonDynamoDBException",
    "s3": "S3.S3Exception",
    "sns": "SNS.AmazonSNSException",
    "states": "StepFunctions.AWSStepFunctionsException",
}
"""The name of an error that AWS's SDK does not model, as `ThrottlingException` of an on-demand table is one."""


@each_task
def test_an_error_named_after_its_service_is_retried_for_about_ten_minutes(machine, name):
    """It may be throttling, or a request that can never succeed."""
    state = machine.states[name]
    service = service_of(state)
    if service == "lambda":  # its throttling is modelled; Lambda.AWSLambdaException is one of the faults of AWS
        return
    groups = [retry for retry in state["Retry"] if BASE_ERRORS[service] in retry["ErrorEquals"]]
    assert [retry["ErrorEquals"] for retry in groups] == [[BASE_ERRORS[service]]]
    assert 480 <= statistics.median(drawn_waits(groups[0])) <= 720


@each_task
def test_no_error_is_retried_by_two_rules(machine, name):
    """Only the first matching rule applies."""
    errors_named = [error for retry in machine.states[name]["Retry"] for error in retry["ErrorEquals"]]
    assert len(errors_named) == len(set(errors_named))


@each_task
def test_a_failed_conditional_check_is_never_retried(machine, name):
    """A failed condition is a valid result, and a superseded execution must end at once."""
    retried = {error for retry in machine.states[name]["Retry"] for error in retry["ErrorEquals"]}
    assert "DynamoDB.ConditionalCheckFailedException" not in retried
    assert not {"States.ALL", "States.TaskFailed"} & retried


@each_machine
def test_an_execution_lives_longer_than_its_longest_waits(machine):
    """It ends by itself even after maximum throttling in every state."""

    def seconds_from(name):
        state = machine.states[name]
        waits = sum(sum(longest_waits(retry)) for retry in state.get("Retry", []))
        return waits + max((seconds_from(after) for after in successors(state)), default=0)

    assert seconds_from(machine.definition["StartAt"]) < machine.definition["TimeoutSeconds"]


def test_every_error_name_of_the_application_is_a_class():
    """A misspelt name would never match."""
    defined = {name for name in dir(errors) if name.endswith("Error")}
    used = {
        error
        for machine in MACHINES
        for state in machine.states.values()
        for rule in state.get("Retry", []) + state.get("Catch", [])
        for error in rule["ErrorEquals"]
        if error.endswith("Error") and "." not in error
    }
    assert used <= defined
    transient = {error.__name__ for error in errors.TransientError.__subclasses__()}
    assert transient <= used, "a transient error that no state retries"


@each_task
def test_the_last_catch_of_every_task_matches_all_errors(machine, name):
    """Every upload gets an outcome."""
    if (machine.name, name) in REDRIVEN:
        assert all("States.ALL" not in catch["ErrorEquals"] for catch in machine.states[name].get("Catch", []))
        return
    *_, last = machine.states[name]["Catch"]
    assert last["ErrorEquals"] == ["States.ALL"]


def test_a_successful_and_a_failed_claim_assign_the_same_variables():
    """The failure path needs the variables after both."""
    claim = STATES["ClaimUpload"]
    (failed,) = [catch for catch in claim["Catch"] if catch["ErrorEquals"] == ["States.ALL"]]
    of_this_way = {"overwrites", "keeps", "failure"}
    assert claim["Assign"].keys() - of_this_way == failed["Assign"].keys() - of_this_way
    for name in claim["Assign"].keys() - of_this_way:
        assert claim["Assign"][name] == failed["Assign"][name], name


@each_machine
def test_names_are_verb_and_noun(machine):
    """A Choice is a question, Fail and Succeed are participles, other states are verb + noun."""
    for name, state in machine.states.items():
        assert re.fullmatch(r"([A-Z][a-z]+)+", name)
        if state["Type"] == "Choice":
            assert name.startswith(("Is", "Has", "Was"))
        elif state["Type"] in ("Fail", "Succeed"):
            assert name.endswith(("ed", "Lost"))
        else:
            assert not name.endswith("ed")


def test_both_outcomes_link_the_same_page_of_the_execution():
    """Success and failure share no state, so the expression of the link exists twice."""
    success, failure = STATES["GenerateThumbnails"]["Assign"], STATES["DescribeFailure"]["Assign"]
    assert success["execution_url"] == failure["execution_url"]


def test_both_workflows_describe_a_failure_in_the_same_way():
    """The notification about a failure does not depend on the workflow that sends it."""
    settling = machine_named("settle_image").states
    assert settling["PrepareTexts"] == STATES["PrepareTexts"]
    assert settling["NotifyFailure"] == STATES["NotifyFailure"]
    for name in ("shown_key", "status_url"):
        assert settling["DescribeFailure"]["Assign"][name] == STATES["DescribeFailure"]["Assign"][name]


# YAML 1.1, which many parsers still read, takes more words for values than YAML 1.2: https://yaml.org/type/
YAML_1_1_VALUE = re.compile(
    r"y|n|yes|no|on|off|true|false|~|null|[-+]?\.(inf|nan)|=|<<"
    r"|[-+]?[0-9][0-9_,]*(\.[0-9_]*)?(e[-+]?[0-9]+)?|[-+]?\.[0-9_]+|0[xob][0-9a-f_]+|[-+]?[0-9_]+(:[0-9]+)+(\.[0-9]*)?"
    r"|[0-9]{4}-[0-9]+-[0-9]+.*|",
    re.IGNORECASE,
)
JSON_VALUE = re.compile(r"true|false|null|0|-?[1-9][0-9]*")


@each_machine
def test_every_yaml_parser_reads_the_same_definition(machine):
    """The definitions use no anchor, tag or word that YAML 1.1 and YAML 1.2 read differently."""
    for token in yaml.scan(machine.path.read_text(encoding="utf-8")):
        line = token.start_mark.line + 1
        assert not isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken), line
        if isinstance(token, yaml.ScalarToken) and token.plain:
            assert JSON_VALUE.fullmatch(token.value) or not YAML_1_1_VALUE.fullmatch(token.value), line


def texts(value):
    """Yield every string of a definition, keys included."""
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in texts(part)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@each_machine
def test_every_expression_is_one_line_for_step_functions(machine):
    """A folded block keeps the line break before an indented line, and a JSONata string would print it."""
    for text in texts(machine.definition):
        assert "\n" not in text, text
        assert text.startswith("{%") == text.endswith("%}"), text


@each_machine
def test_every_expression_is_short(machine):
    """A longer one has to be read twice: split it over the states that assign its parts, or let a value decide."""
    assert [text for text in texts(machine.definition) if text.startswith("{%") and len(text) > 360] == []


@each_machine
def test_substitutions_are_the_same_on_both_sides(machine, template):
    """A missing substitution would be deployed literally."""
    used_names = set(re.findall(r"\$\{(\w+)\}", machine.path.read_text()))
    defined_names = set(template["Resources"][machine.logical_id]["Properties"]["DefinitionSubstitutions"])
    assert used_names == defined_names


OF_ANOTHER_NAME = {"CheckRecipes": "SelectBackfill"}
"""A state that calls a function not for its result, but to see whether it can work."""


def test_states_have_the_names_of_their_functions():
    """The folder of a function is the name of its state in snake_case."""
    for machine, name in LAMBDA_TASKS:
        substitution = machine.states[name]["Arguments"]["FunctionName"]
        function = re.fullmatch(r"\$\{(\w+)FunctionArn\}", substitution).group(1)
        assert OF_ANOTHER_NAME.get(name, name) == function
        folder = re.sub(r"(?<!^)(?=[A-Z])", "_", function).lower()
        assert (ROOT / "functions" / folder / "app.py").exists()


def test_every_step_logs_under_the_execution():
    """One correlation id covers all steps."""
    for machine, name in LAMBDA_TASKS:
        known = "{% $states.context.Execution.Name %}" if name in NESTED else "{% $execution_id %}"
        assert machine.states[name]["Arguments"]["Payload"]["executionId"] == known, name


def test_the_same_state_has_the_same_retries_everywhere():
    """Copies of a state are equal; a Task without copies has the retries of Lambda tasks."""
    for machine, name in TASKS:
        like = STATES["ValidateImage"] if name in NESTED | OF_ANOTHER_NAME.keys() else STATES.get(name)
        assert like is None or machine.states[name]["Retry"] == like["Retry"], (machine.logical_id, name)


@each_machine
def test_every_workflow_has_the_timeout_of_the_settings(machine):
    """The status API treats older records as lost."""
    assert machine.definition["TimeoutSeconds"] == WorkflowType.STANDARD.seconds


def test_settle_image_uses_existing_error_names():
    """The code in the record is the name of a class."""
    (settle,) = [machine for machine in MACHINES if machine.logical_id == "SettleImageStateMachine"]
    codes = set(re.findall(r"Execution\w+Error", settle.path.read_text()))
    assert codes == {"ExecutionTimedOutError", "ExecutionAbortedError"}
    assert all(hasattr(errors, name) for name in codes)


@heavy  # every other test runs the definitions, which moto validates
def test_cfn_lint_accepts_the_definitions(tmp_path):
    """`sam validate --lint` ignores DefinitionUri, so the definitions are wrapped in a template."""
    resources = {}
    for machine in MACHINES:
        text = json.dumps(machine.definition)
        text = re.sub(r"\$\{(\w+)FunctionArn\}", r"arn:aws:lambda:eu-west-1:123456789012:function:\1", text)
        text = text.replace("${AWSPartition}", "aws")
        text = text.replace("${NotificationTopicArn}", "arn:aws:sns:eu-west-1:123456789012:topic")
        # AWS takes expressions here: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
        text = text.replace('"{% $concurrency %}"', "1").replace('"{% $tolerated %}"', "0")
        properties = {"RoleArn": "arn:aws:iam::123456789012:role/role", "Definition": json.loads(text)}
        resources[machine.logical_id] = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    path = tmp_path / "machines.json"
    path.write_text(json.dumps({"Resources": resources}))
    run = cfn_lint("--", str(path))
    assert run.returncode == 0, run.stdout
