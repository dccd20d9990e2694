"""emulator/template.py and emulator/deploy.py: a template is read as CloudFormation reads it."""

from pathlib import Path
from typing import Any
from unittest import mock
from unittest.mock import MagicMock

import pytest

from local.emulator import template
from local.emulator.deploy import deploy, plan
from local.emulator.http_api import Authorizer
from local.emulator.template import TemplateError
from local.pipeline import ROOT

SMALL = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Size: {Type: Number, Default: 3}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
Conditions:
  Big: !Not [!Equals [!Ref Size, 3]]
Resources:
  Thing:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Runtime: python3.13
      Timeout: 7
      MemorySize: 333
      Environment:
        Variables:
          BUCKET: !Ref Store
          ARN: !Sub "${Store.Arn}/x/${!literal}"
          NAMES: !Join ["-", !Ref Names]
          SIZE: !If [Big, big, small]
          FLAG: true
          QUEUE: !Ref Line
          FIRST: !Select [0, !Split [",", "x,y"]]
  Judge: {Type: AWS::Serverless::Function, Properties: {CodeUri: code, Handler: app.handler, Runtime: python3.13}}
  Front: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: things, ProtocolType: HTTP}}
  Keys:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Front
      AuthorizerType: REQUEST
      EnableSimpleResponses: true
      AuthorizerResultTtlInSeconds: 60
      IdentitySource: [$request.header.X-Key]
      AuthorizerUri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Judge.Arn}/invocations"
  ToThing:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Front, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Thing.Arn}
  Post:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Front, RouteKey: "POST /things/{id}", Target: !Sub "integrations/${ToThing}"}
  Delete:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Front
      RouteKey: "DELETE /things/{id}"
      Target: !Sub "integrations/${ToThing}"
      AuthorizationType: !If [Big, NONE, CUSTOM]
      AuthorizerId: !If [Big, !Ref AWS::NoValue, !Ref Keys]
  Store: {Type: AWS::S3::Bucket}
  Line: {Type: AWS::SQS::Queue}
  Extra: {Type: AWS::S3::Bucket, Condition: Big}
Outputs:
  Api: {Value: !Sub "https://${Front}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"}
  Hidden: {Condition: Big, Value: no}
"""


@pytest.fixture
def load(tmp_path: Path) -> Any:
    (tmp_path / "code").mkdir()

    def read(text: str = SMALL, **parameters: str) -> template.Template:
        (tmp_path / "template.yml").write_text(text)
        return template.load(tmp_path / "template.yml", "stack", "eu-west-1", parameters)

    return read


def test_functions_have_the_properties_of_the_template(load, tmp_path):
    """Functions have their code, limits and environment with every kind of reference."""
    stack = plan(load(), "http://aws", "http://api")
    function = stack.functions[0]
    assert (function.timeout, function.memory, function.handler) == (7, 333, "app.handler")
    assert function.code == tmp_path / "code"
    assert function.environment == {
        "BUCKET": "stack-store-local",
        "ARN": "arn:aws:s3:::stack-store-local/x/${literal}",
        "NAMES": "a-b",
        "SIZE": "small",
        "FLAG": "true",
        "QUEUE": "http://aws/123456789012/stack-Line",
        "FIRST": "x",
    }


def test_routes_come_from_the_template(load):
    """Routes have method, path and function."""
    routes = plan(load(), "http://aws", "http://api").routes
    assert [route.key for route in routes] == ["POST /things/{id}", "DELETE /things/{id}"]
    assert {route.function_arn.rpartition(":")[2] for route in routes} == {"stack-Thing"}


def test_authorizers_come_from_the_template(load):
    """Authorizers have header and cache time; conditions are evaluated."""
    post, delete = plan(load(), "http://aws", "http://api").routes
    assert post.authorizer is None
    assert delete.authorizer == Authorizer("arn:aws:lambda:eu-west-1:123456789012:function:stack-Judge", "x-key", 60)
    assert [route.authorizer for route in plan(load(Size="4"), "http://aws", "http://api").routes] == [None, None]


STAGE = """
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    DependsOn: [Post]
    Properties: {ApiId: !Ref Front, StageName: $default, RouteSettings: {"POST /things/{%s}": {ThrottlingRateLimit: 1}}}
  Store:"""


def test_limits_of_missing_routes_are_refused(load):
    """API Gateway rejects others, so a typing error is found before the deployment."""
    assert plan(load(SMALL.replace("\n  Store:", STAGE % "id", 1)), "http://aws", "http://api").routes
    with pytest.raises(TemplateError, match=r"Stage .* POST /things/\{name\}"):
        plan(load(SMALL.replace("\n  Store:", STAGE % "name", 1)), "http://aws", "http://api")


def test_unchecked_tokens_are_reported():
    """The error says what to do, before anything runs."""
    parameters = {"JwtIssuer": "https://issuer.example", "JwtAudience": "pictures"}
    loaded = template.load(ROOT / "template.yml", "stack", "us-east-1", parameters)
    with pytest.raises(TemplateError, match="JWT"):
        plan(loaded, "http://aws", "http://api")


def test_the_address_of_an_api_is_the_local_one(load):
    """The local address replaces the address on AWS wherever the template composes it."""
    stack = plan(load(), "http://aws", "http://127.0.0.1:1")
    assert stack.outputs == {"Api": "http://127.0.0.1:1/"}


NESTED = SMALL.replace(
    "\n  Store: {",
    """
  Inner:
    Type: AWS::Serverless::Application
    Properties: {Location: inner/template.yml, Parameters: {Watched: !Ref Store, Lists: !Ref Names}}
  Store: {""",
).replace("  Hidden:", "  Topic: {Value: !GetAtt Inner.Outputs.Topic}\n  Hidden:")
INNER = """
Parameters: {Watched: {Type: String}, Lists: {Type: CommaDelimitedList}}
Resources:
  Bell: {Type: AWS::SNS::Topic, Properties: {DisplayName: !Sub "${Watched} ${AWS::StackName}"}}
  BellPolicy:
    Type: AWS::SNS::TopicPolicy
    Properties: {Topics: [!Ref Bell], PolicyDocument: {Statement: [{Effect: Deny, Principal: "*", Action: "sns:*"}]}}
Outputs:
  Topic: {Value: !Ref Bell}
"""


@pytest.fixture
def inner(tmp_path: Path) -> Any:
    """Write the template of a nested application."""
    (tmp_path / "inner").mkdir()
    return (tmp_path / "inner" / "template.yml").write_text


def test_a_nested_application_is_read_with_its_parameters(load, inner):
    """A nested application has outputs, policies and its own stack name, as on AWS."""
    inner(INNER)
    outer = load(NESTED)
    stack = plan(outer, "http://aws", "http://api")
    topic = "arn:aws:sns:eu-west-1:123456789012:stack-Inner-Bell"
    assert stack.outputs["Topic"] == topic
    assert stack.resource_policies[topic] == [{"Effect": "Deny", "Principal": "*", "Action": "sns:*"}]
    (bell,) = outer.nested["Inner"].resources("AWS::SNS::Topic")
    assert outer.nested["Inner"].resolve(bell.raw) == {"DisplayName": "stack-store-local stack-Inner"}
    assert outer.nested["Inner"].parameters["Lists"] == ["a", "b"]


def test_topics_of_a_nested_application_are_created(load, inner):
    """An output of the application leads to the topic."""
    inner(INNER)
    outer, clients = load(NESTED), MagicMock()
    deploy(outer, plan(outer, "http://aws", "http://api"), clients)
    assert mock.call(Name="stack-Inner-Bell") in clients("sns").create_topic.call_args_list


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "Watched: {Type",
            "Missing: {Type: String}, Watched: {Type",
            "Inner cannot be deployed: .*Missing has no default",
        ),
        ("Watched: {Type", "Renamed: {Type", "Inner cannot be deployed: .*no parameter Watched"),
        ("Topic: {Value", "Other: {Value", r"Inner\.Outputs\.Topic"),
        ("  Bell:", "  Rule: {Type: AWS::Events::Rule}\n  Bell:", "Inner contains Rule, an AWS::Events::Rule"),
    ],
)
def test_an_unsupported_nested_resource_is_reported(load, inner, old, new, words):
    """The error names the application and the resource, before anything runs."""
    inner(INNER.replace(old, new))
    with pytest.raises(TemplateError, match=words):
        plan(load(NESTED), "http://aws", "http://api")


def test_a_missing_nested_application_is_reported(load):
    """The error has the path."""
    with pytest.raises(TemplateError, match=r"inner/template\.yml, which does not exist"):
        plan(load(NESTED), "http://aws", "http://api")


def test_an_unreadable_definition_is_reported(load, tmp_path):
    """The error has the name and the line of the workflow, before it is created."""
    (tmp_path / "loop.asl.yaml").write_text("StartAt: Wait\nStates:\n  Wait: {Type: Pass}\n  Wait: {Type: Succeed}\n")
    properties = "{DefinitionUri: loop.asl.yaml, Role: 'arn:aws:iam::1:role/r'}"
    loop = f"{{Type: AWS::Serverless::StateMachine, Properties: {properties}}}"
    loaded, clients = load(SMALL.replace("Resources:\n", f"Resources:\n  Loop: {loop}\n", 1)), MagicMock()
    with pytest.raises(
        TemplateError, match=r"definition of Loop cannot be read[\s\S]*'Wait' occurs twice[\s\S]*line 3"
    ):
        deploy(loaded, plan(loaded, "http://aws", "http://api"), clients)
    clients("stepfunctions").create_state_machine.assert_not_called()


def test_parameters_and_conditions_are_evaluated(load):
    """An override changes everything that depends on it."""
    loaded = load(Size="4")
    function = plan(loaded, "http://aws", "http://api").functions[0]
    assert function.environment["SIZE"] == "big"
    assert [bucket.logical_id for bucket in loaded.resources("AWS::S3::Bucket")] == ["Store", "Extra"]
    assert "Hidden" in loaded.outputs()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("!Ref Store", "!Ref Nothing", "Nothing"),
        ("${Store.Arn}", "${Store.Odd}", r"Store\.Odd"),
        ("EnableSimpleResponses: true", "EnableSimpleResponses: false", "Keys is not a function"),
        ("[$request.header.X-Key]", "[$context.routeKey, $request.header.X-Key]", "Keys is not a function"),
        ("{Name: things, ProtocolType: HTTP}", "{Body: {paths: {}}}", "Front has its routes in a body"),
        ("CodeUri: code", "CodeUri: gone", "gone, which does not exist"),
        ("MemorySize: 333", "MemorySize: 333\n      Odd: 1", "SAM rejects"),
    ],
)
def test_an_unreadable_file_is_reported(load, old, new, words):
    """The error names the resource or the property."""
    with pytest.raises(TemplateError, match=words):
        plan(load(SMALL.replace(old, new)), "http://aws", "http://api")


def test_an_unknown_parameter_is_reported(load):
    """The error lists the existing parameters."""
    with pytest.raises(TemplateError, match="no parameter Sise; it has Names, Size"):
        load(Sise="4")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WorkflowType", "express", "must be one of STANDARD, EXPRESS"),
        ("MaxMegapixels", "abc", "must be a number from 1"),
        ("MaxMegapixels", "0", "must be a number from 1"),
        ("BatchConcurrency", "5000", "must be a number from 2 to 1000"),
        ("BatchConcurrency", "nan", "must be a number from 2 to 1000"),
        ("ImageFormats", "JPEG,EXE", "must"),
        ("AlarmEmail", "nobody", "must"),
    ],
)
def test_an_invalid_parameter_value_is_refused(name, value, words):
    """The error has the rule, before anything runs."""
    with pytest.raises(TemplateError, match=f"Parameter {name} is '{value}', but .*{words}"):
        template.load(ROOT / "template.yml", "stack", "us-east-1", {name: value})


def test_every_function_of_the_application_is_found():
    """Every function in template.yml has code, layers and limits."""
    loaded = template.load(ROOT / "template.yml", "stack", "us-east-1")
    functions = plan(loaded, "http://aws", "http://api").functions
    assert {function.code.parent for function in functions} == {ROOT / "functions"}
    assert all((function.code / "app.py").is_file() for function in functions)
    assert all(function.layers and function.timeout and function.memory for function in functions)
