"""emulator/stack.py and emulator/deploy.py: a running stack becomes that of another template, as in CloudFormation."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.pipeline import Pipeline, UpdateError

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: { Type: String, Default: "hello" }
  Names: { Type: CommaDelimitedList, Default: "a,b" }
Globals:
  Function: { Handler: app.handler, Runtime: python3.13, Timeout: 30 }
Resources:
  Uploads:
    Type: AWS::S3::Bucket
    Properties: { NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } } }
  Answers:
    Type: AWS::SQS::Queue
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: Id, AttributeType: S }]
      KeySchema: [{ AttributeName: Id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }

  Step:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Environment: { Variables: { GREETING: !Ref Greeting, NAMES: !Join ["+", !Ref Names] } }
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Policies:
        Statement:
          - Effect: Allow
            Action: [dynamodb:DescribeStream, dynamodb:GetRecords, dynamodb:GetShardIterator, dynamodb:ListStreams]
            Resource: "*"
  ReaderMapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref Reader
      EventSourceArn: !GetAtt Items.StreamArn
      StartingPosition: TRIM_HORIZON

  Work:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition:
        QueryLanguage: JSONata
        StartAt: Call
        States:
          Call:
            Type: Task
            Resource: arn:aws:states:::lambda:invoke
            Arguments: { FunctionName: !GetAtt Step.Arn, Payload: {} }
            Output: "{% $states.result.Payload %}"
            Next: OldEnd
          OldEnd: { Type: Pass, End: true }
      Policies: { Statement: { Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt Step.Arn } }
      Events:
        Uploaded: { Type: EventBridgeRule, Properties: { Pattern: { detail: { object: { key: [prefix: old/] } } } } }

  Api: { Type: AWS::ApiGatewayV2::Api, Properties: { Name: things, ProtocolType: HTTP } }
  ToStep:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Step.Arn }
  Get:
    Type: AWS::ApiGatewayV2::Route
    Properties: { ApiId: !Ref Api, RouteKey: "GET /old", Target: !Sub "integrations/${ToStep}" }

Outputs:
  UploadsBucketName: { Value: !Ref Uploads }
  ItemsName: { Value: !Ref Items }
  Greeting: { Value: !Ref Greeting }
"""
HANDLER = """
import os
def handler(event, context):
    print("read", [record["dynamodb"]["Keys"]["Id"]["S"] for record in event.get("Records", [])])
    return {{"version": "{version}", "greeting": os.environ.get("GREETING"), "names": os.environ.get("NAMES")}}
"""


class Stack:
    """A running stack whose template and code a test changes."""

    def __init__(self, folder: Path, pipeline: Pipeline) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self.mark = uuid.uuid4().hex

    def key(self, folder: str, number: int = 1) -> str:
        """Return a key that no other test uses."""
        return f"{folder}/{self.mark}-{number}"

    def update(self, *changes: tuple[str, str], **parameters: str) -> None:
        """Update to a template with changes, whose functions have the code of version 2."""
        text = TEMPLATE.replace("CodeUri: code", "CodeUri: code2")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        template = self.folder / "template2.yml"
        template.write_text(text)
        self.pipeline.update(template, parameters)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.pipeline.api_url + path) as answer:
            return json.load(answer)

    def finished(self, key: str) -> tuple[Any, list[str]]:
        """Upload, and return the output and the states of its execution."""
        self.pipeline.upload(key, b"x")
        return self.result(key)

    def result(self, key: str) -> tuple[Any, list[str]]:
        def ended() -> bool:
            return any(execution.key == key and not execution.running for execution in self.pipeline.executions("Work"))

        self.pipeline.wait_until(ended, f"the execution of {key}")
        (execution,) = [execution for execution in self.pipeline.executions("Work") if execution.key == key]
        answer = self.pipeline.client("stepfunctions").describe_execution(executionArn=execution.arn)
        return json.loads(answer["output"]), self.pipeline.states_entered(execution)


VERSION_1 = {"Greeting": "hi", "Names": "a,b"}
"""The parameters of version 1."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline that starts with version 1; a start takes seconds of CPU, and an update does not."""
    root = tmp_path_factory.mktemp("updates")
    for folder, version in (("code", "1"), ("code2", "2")):
        (root / folder).mkdir()
        (root / folder / "app.py").write_text(HANDLER.format(version=version))
    template = root / "template.yml"
    template.write_text(TEMPLATE)
    with Pipeline(root / "run", template=template, parameters=VERSION_1, wait_scale=0.0, controls=True) as pipeline:
        yield pipeline


@pytest.fixture
def stack(running: Pipeline) -> Iterator[Stack]:
    """A running stack of version 1; it becomes version 1 again after the test."""
    root = running.run_dir.parent
    yield Stack(root, running)
    running.clear()
    running.update(root / "template.yml", VERSION_1)


def test_code_parameters_and_routes_change(stack):
    """Parameters keep their values unless the update names them, as with `sam deploy`."""
    assert stack.get("/old") == {"version": "1", "greeting": "hi", "names": "a+b"}
    stack.update(("GET /old", "GET /new"), Names="c,d")
    assert stack.get("/new") == {"version": "2", "greeting": "hi", "names": "c+d"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        stack.get("/old")
    stack.update(("Greeting: { Value: !Ref Greeting }", "Changed: { Value: !Ref Greeting }"), Greeting="bye")
    assert stack.get("/old")["greeting"] == stack.pipeline.outputs["Changed"] == "bye"
    assert "Greeting" not in stack.pipeline.outputs


def test_a_running_execution_keeps_its_definition_and_calls_the_new_code(stack):
    """As in AWS, a running execution keeps its definition; a new execution has the new one."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(_event: Any) -> Any:
        entered.set()
        go_on.wait(60)
        return {"version": "replaced"}

    stack.pipeline.replace("Step", wait)
    stack.pipeline.upload(stack.key("old"), b"x")
    assert entered.wait(60)
    stack.update(("Next: OldEnd", "Next: NewEnd"), ("OldEnd: {", "NewEnd: {"), ("prefix: old/", "prefix: new/"))
    go_on.set()
    assert stack.result(stack.key("old")) == ({"version": "replaced"}, ["Call", "OldEnd"])
    stack.pipeline.clear()
    output, states = stack.finished(stack.key("new"))
    assert (output["version"], states) == ("2", ["Call", "NewEnd"])


def test_rules_are_changed_added_and_removed(stack):
    """An event reaches only the rules of the newest template."""
    stack.finished(stack.key("old"))
    rule = "Uploaded: { Type: EventBridgeRule, Properties: { Pattern: { detail: { object: { key: [prefix: %s] } } } } }"
    stack.update((rule % "old/", f"{rule % 'new/'}\n        More{rule % 'more/'}"))
    for folder in ("new", "more"):
        stack.finished(stack.key(folder))
    stack.update((rule % "old/", f"Other{rule % 'other/'}"))
    names = [item["Name"] for item in stack.pipeline.client("events").list_rules()["Rules"]]
    assert not [name for name in names if name.endswith(("WorkUploaded", "WorkMoreUploaded"))]
    for folder in ("old", "new", "more"):
        stack.pipeline.upload(stack.key(folder, 2), b"x")
    stack.finished(stack.key("other"))
    keys = {execution.key for execution in stack.pipeline.executions("Work")}
    assert {key for key in keys if stack.mark in key} == {
        stack.key(folder) for folder in ("old", "new", "more", "other")
    }


def test_a_reader_of_a_stream_continues_at_its_position(stack):
    """No change is read twice or lost."""
    log = stack.pipeline.run_dir / "logs" / "Reader.log"

    def put(item: str) -> None:
        table = stack.pipeline.outputs["ItemsName"]
        content = {"Id": {"S": item}, "Text": {"S": "x"}}
        stack.pipeline.client("dynamodb").put_item(TableName=table, Item=content)
        stack.pipeline.wait_until(lambda: log.exists() and f"'{item}'" in log.read_text(), f"the change of {item}")

    put("first")
    stack.update()
    put("second")
    assert [log.read_text().count(f"'{item}'") for item in ("first", "second")] == [1, 1]
    stack.update(("StartingPosition: TRIM_HORIZON", "StartingPosition: TRIM_HORIZON\n      BatchSize: 1"))
    put("third")
    assert log.read_text().count("'first'") == 1


def test_policies_change(stack):
    """The next call is denied after a permission is removed."""
    stack.finished(stack.key("old"))
    stack.update(("Action: lambda:InvokeFunction, Resource: !GetAtt Step.Arn", "Action: s3:GetObject, Resource: '*'"))
    stack.pipeline.upload(stack.key("old", 2), b"x")

    def failed() -> bool:
        executions = stack.pipeline.executions("Work")
        return any((execution.key, execution.status) == (stack.key("old", 2), "FAILED") for execution in executions)

    stack.pipeline.wait_until(failed, "the denied call")


def test_a_state_machine_is_added_and_removed(stack):
    """`state_machines` lists those of the newest template."""
    more = """
  More:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition: { StartAt: Do, States: { Do: { Type: Pass, End: true } } }
"""
    stack.update(("\n  Api:", f"{more}\n  Api:"))
    arn = stack.pipeline.state_machines["More"]
    states = stack.pipeline.client("stepfunctions")
    assert states.start_execution(stateMachineArn=arn)
    stack.update()
    assert "More" not in stack.pipeline.state_machines
    with pytest.raises(states.exceptions.StateMachineDoesNotExist):
        states.start_execution(stateMachineArn=arn)


@pytest.mark.parametrize(
    ("old", "new", "property_name"),
    [
        ("AttributeName: Id, KeyType", "AttributeName: Other, KeyType", "KeySchema of Items"),
        ("      Definition:\n", "      Type: EXPRESS\n      Definition:\n", "StateMachineType of Work"),
    ],
)
def test_an_update_that_replaces_a_stateful_resource_is_refused(stack, old, new, property_name):
    """The stack stays unchanged."""
    with pytest.raises(UpdateError, match=property_name):
        stack.update((old, new))
    assert stack.get("/old")["version"] == "1"


def test_an_unknown_parameter_is_refused(stack):
    """The error names it."""
    with pytest.raises(UpdateError, match="no parameter Unknown"):
        stack.update(Unknown="x")
