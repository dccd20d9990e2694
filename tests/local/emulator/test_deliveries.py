"""emulator/deliveries.py: rules start executions, or send events to a dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from local.emulator.deliveries import MOST_RUNNING
from local.emulator.deploy import deploy, plan
from local.emulator.template import Template, TemplateError
from local.pipeline import Execution, Pipeline

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Uploads:
    Type: AWS::S3::Bucket
    Properties: { NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } } }

  Slow:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition: { StartAt: Wait, States: { Wait: { Type: Wait, Seconds: 600, End: true } } }
      Role: !GetAtt Starter.Arn
      Events:
        Uploaded: { Type: EventBridgeRule, Properties: { Pattern: { detail: { object: { key: [prefix: slow/] } } } } }
  Quick:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition: { StartAt: Do, States: { Do: { Type: Pass, End: true } } }
      Role: !GetAtt Starter.Arn
      Events:
        Started:
          Type: EventBridgeRule
          Properties:
            Pattern: { source: [aws.states], detail: { status: [RUNNING], stateMachineArn: [!Ref Slow] } }
        Kept:
          Type: EventBridgeRule
          Properties:
            Pattern: { detail: { object: { key: [prefix: kept/] } } }
            DeadLetterConfig: { Arn: !GetAtt Letters.Arn }
        TriedTwice:
          Type: EventBridgeRule
          Properties:
            Pattern: { detail: { object: { key: [prefix: twice/] } } }
            DeadLetterConfig: { Arn: !GetAtt Letters.Arn }
            RetryPolicy: { MaximumRetryAttempts: 1 }
        NotLetIn:
          Type: EventBridgeRule
          Properties:
            Pattern: { detail: { object: { key: [prefix: lost/] } } }
            DeadLetterConfig: { Arn: !GetAtt Letters.Arn }
  Gone:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition: { StartAt: Do, States: { Do: { Type: Pass, End: true } } }
      Role: !GetAtt Starter.Arn
      Events:
        Uploaded:
          Type: EventBridgeRule
          Properties:
            Pattern: { detail: { object: { key: [prefix: gone/] } } }
            DeadLetterConfig: { Arn: !GetAtt Letters.Arn }

  Starter:
    Type: AWS::IAM::Role
    Properties: { AssumeRolePolicyDocument: {} }
  Letters:
    Type: AWS::SQS::Queue
  LettersPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref Letters]
      PolicyDocument:
        Statement:
          Effect: Allow
          Principal: { Service: events.amazonaws.com }
          Action: sqs:SendMessage
          Resource: !GetAtt Letters.Arn
          Condition:
            ArnEquals: { aws:SourceArn: [!GetAtt QuickKept.Arn, !GetAtt QuickTriedTwice.Arn, !GetAtt GoneUploaded.Arn] }

Outputs:
  UploadsBucketName: { Value: !Ref Uploads }
  LettersUrl: { Value: !Ref Letters }
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A stack that has only rules and their targets."""
    folder: Path = tmp_path_factory.mktemp("deliveries")
    (folder / "template.yml").write_text(TEMPLATE)
    with Pipeline(folder / "run", template=folder / "template.yml", wait_scale=0.0, controls=True) as pipeline:
        yield pipeline


@pytest.fixture
def stack(rules: Pipeline) -> Iterator[Pipeline]:
    """The stack without faults of earlier tests."""
    yield rules
    rules.clear()


def started(stack: Pipeline, key: str) -> list[Execution]:
    return [execution for execution in stack.executions("Quick") if execution.key == key]


def letter(stack: Pipeline) -> dict[str, Any]:
    """Wait for the next message in the dead-letter queue."""
    dead_letter: list[dict[str, Any]] = []

    def arrived() -> bool:
        dead_letter.extend(stack.take_messages(stack.outputs["LettersUrl"]))
        return bool(dead_letter)

    stack.wait_until(arrived, "a dead letter")
    (only,) = dead_letter
    return only


def rule(stack: Pipeline, name: str) -> str:
    return f"arn:aws:events:{stack.region}:123456789012:rule/image-pipeline-{name}"


def test_a_denied_start_becomes_a_dead_letter(stack):
    """The message has the event and the error; there is no retry."""
    stack.restrict("QuickKeptRole", [])
    stack.upload("kept/denied", b"x")
    dead_letter = letter(stack)
    event, attributes = json.loads(dead_letter["Body"]), dead_letter["MessageAttributes"]
    assert (event["detail-type"], event["detail"]["object"]["key"]) == ("Object Created", "kept/denied")
    assert attributes.pop("ERROR_MESSAGE").startswith("User: arn:aws:sts::")
    assert attributes == {
        "RULE_ARN": rule(stack, "QuickKept"),
        "TARGET_ARN": stack.state_machines["Quick"],
        "ERROR_CODE": "NO_PERMISSIONS",
    }
    assert started(stack, "kept/denied") == []


def test_an_event_for_a_deleted_state_machine_becomes_a_dead_letter(stack):
    """The event is not retried."""
    stack.client("stepfunctions").delete_state_machine(stateMachineArn=stack.state_machines["Gone"])
    stack.upload("gone/x", b"x")
    assert letter(stack)["MessageAttributes"]["ERROR_CODE"] == "NO_RESOURCE"


def test_a_throttled_start_is_retried(stack):
    """The event is delivered, and there is no dead letter."""
    stack.fault("stepfunctions", "StartExecution", "ThrottlingException", times=9)
    stack.upload("kept/throttled", b"x")
    stack.wait_until(lambda: bool(started(stack, "kept/throttled")), "the execution")
    assert stack.take_messages(stack.outputs["LettersUrl"]) == []


def test_a_start_throttled_too_often_becomes_a_dead_letter(stack):
    """The retry policy of the rule limits the number of retries."""
    stack.fault("stepfunctions", "StartExecution", "ThrottlingException", times=-1)
    stack.upload("twice/x", b"x")
    attributes = letter(stack)["MessageAttributes"]
    assert (attributes["ERROR_CODE"], attributes["RULE_ARN"]) == ("THROTTLING", rule(stack, "QuickTriedTwice"))
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert attributes["RETRY_ATTEMPTS"] == "1"


def test_a_rule_without_permission_for_the_queue_loses_its_events(stack):
    """The policy of the queue must allow each rule; the log has the dropped event."""
    log = stack.run_dir / "logs" / "server.log"
    stack.restrict("QuickNotLetInRole", [])
    stack.upload("lost/x", b"x")
    stack.wait_until(lambda: "An event was dropped" in log.read_text(), "the event to be dropped")
    assert stack.take_messages(stack.outputs["LettersUrl"]) == []


def test_a_busy_state_machine_does_not_delay_another(stack):
    """Each state machine has its own limit; further events wait until an execution ends."""
    for number in range(MOST_RUNNING + 1):
        stack.upload(f"slow/{number}", b"x")
    about = lambda: {e.event["detail"].get("executionArn") for e in stack.executions("Quick")} - {None}  # noqa: E731
    stack.wait_until(lambda: len(about()) == MOST_RUNNING, "an execution of the quick one for each of the slow one")
    busy = stack.executions("Slow")
    assert len(busy) == MOST_RUNNING
    stack.client("stepfunctions").stop_execution(executionArn=busy[0].arn)
    stack.wait_until(lambda: len(about()) == MOST_RUNNING + 1, "the one that had to wait")


def test_an_unsupported_property_of_a_target_stops_the_deployment():
    """An unsupported property must not be ignored."""
    target = {"Id": "t", "Arn": "arn:aws:states:us-east-1:1:stateMachine:m", "RoleArn": "arn", "InputPath": "$.detail"}
    rule = {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["x"]}, "Targets": [target]}}
    template = Template(Path("template.yml"), {"Resources": {"R": rule}}, {}, "s", "us-east-1")
    with pytest.raises(TemplateError, match=r"InputPath of a target of s-R"):
        deploy(template, plan(template, "", ""), MagicMock())
