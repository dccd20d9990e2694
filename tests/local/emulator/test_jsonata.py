"""moto_seams/jsonata.py: JSONata as Step Functions evaluates it."""

import json
from datetime import UTC, datetime

import pytest
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.path import result_path
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.string.string_expression import StringJSONata
from moto.stepfunctions.parser.asl.eval import states
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import boto_client

from local.emulator.clients import Clients
from local.emulator.moto_seams import jsonata, stepfunctions
from local.emulator.moto_seams.jsonata import QueryError, evaluate

CLIENTS = Clients("http://127.0.0.1:1", "us-east-1")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 1", 2),
        ("$u.v", None),
        ("$u.v != null ? 'set' : 'null'", "null"),
        ("$exists($u.missing)", False),
        ("{'a': $u.v, 'b': $u.missing}", {"a": None}),
        ("$text & '!'", 'quote " back \\ line\n tab\t ${x} 🦊!'),
        ("$parse('{\"a\": [1, null]}').a", [1, None]),
        ("$hash('a', 'SHA-256')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("$partition([1, 2, 3, 4, 5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(1, 9, 3)", [1, 4, 7]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$random(1) = $random(1)", True),
        ("$length($uuid())", 36),
        ("$append([], [])", []),
        ("$states.context.Execution.StartTime", "2026-11-21T12:00:00.000Z"),
    ],
)
def test_an_expression_is_evaluated(expression, result):
    """Values are unchanged, null stays null, and the functions of Step Functions exist."""
    bindings = {
        "u": {"v": None},
        "text": 'quote " back \\ line\n tab\t ${x} 🦊',
        "states": {"context": {"Execution": {"StartTime": "2026-11-21T12:00:00.000Z"}}},
    }
    assert evaluate(expression, bindings) == result


@pytest.mark.parametrize(
    "expression",
    [
        "$missing",
        "$u.missing",
        "function($x) { $x }",
        "1 + 'a'",
        "(1",
        "$eval('1')",
        "$parse('no json')",
        "$hash('a', 'CRC')",
        "$partition([1], 0)",
        "$range(1, 2, 0)",
    ],
)
def test_a_failed_expression_is_an_error(expression):
    """An expression that fails or returns nothing is an error, as on AWS."""
    with pytest.raises(QueryError):
        evaluate(expression, {"u": {}})


def test_times_have_the_format_of_step_functions():
    """Times have milliseconds and Z."""
    assert json.dumps(datetime(2026, 1, 2, tzinfo=UTC), default=jsonata._plain) == '"2026-01-02T00:00:00.000Z"'


def run(pipeline, name, definition, data=None):
    """Run a state machine with this definition."""
    states = pipeline.client("stepfunctions")
    machine = states.create_state_machine(
        name=name, definition=json.dumps(definition), roleArn="arn:aws:iam::123456789012:role/x"
    )["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=machine, name="x", input=json.dumps(data or {}))["executionArn"]
    pipeline.wait_for_end(arn)
    return states.describe_execution(executionArn=arn)


def test_an_undefined_result_fails_a_state_with_the_error_of_aws(pipeline):
    """The name is States.QueryEvaluationError."""
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {"A": {"Type": "Pass", "Output": "{% $states.input.no %}", "End": True}},
    }
    done = run(pipeline, "undefined", machine)
    assert (done["status"], done["error"]) == ("FAILED", "States.QueryEvaluationError")


def test_variables_keep_text_unchanged(pipeline):
    """Quotes and line breaks in an assigned value reach the next state."""
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"kept": "{% $states.input.text %}"}, "Next": "B"},
            "B": {"Type": "Pass", "Output": {"text": "{% $kept %}", "null": None}, "End": True},
        },
    }
    text = 'a "b" \\ c\nd 🦊 {% $x %}'
    assert json.loads(run(pipeline, "variables", machine, {"text": text})["output"]) == {"text": text, "null": None}


@pytest.mark.parametrize(
    ("install", "holder", "name"),
    [
        (jsonata.install, StringJSONata, "_eval_body"),
        (lambda: stepfunctions.install(0, CLIENTS), retrier_decl, "time"),
        (lambda: stepfunctions.install(0, CLIENTS), result_path, "parse"),
        (lambda: stepfunctions.install(0, CLIENTS), states, "copy"),
        (lambda: stepfunctions.install(0, CLIENTS), AmazonStateLanguageParser, "parse"),
        (lambda: stepfunctions.install(0, CLIENTS), boto_client, "boto_client_for"),
        (lambda: stepfunctions.install(0, CLIENTS), ErrorEqualsDecl, "_eval_body"),
    ],
)
def test_a_moved_seam_is_reported(monkeypatch, install, holder, name):
    """If moto lacks a seam, the start fails and names the module to change."""
    for owner in getattr(holder, "__mro__", [holder]):
        if name in vars(owner):
            monkeypatch.delattr(owner, name)
    with pytest.raises(RuntimeError, match="moto_seams"):
        install()
