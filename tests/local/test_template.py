"""The template is read as CloudFormation reads it, and nothing of the application is known beforehand."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, call

import pytest

from local import template
from local.deploy import deploy, plan
from local.http_api import Authorizer
from local.pipeline import ROOT
from local.template import TemplateError

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


def test_functions_get_what_the_template_gives_them(load, tmp_path):
    """Code, limits and every kind of reference in the environment."""
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
    """Method, path and function."""
    routes = plan(load(), "http://aws", "http://api").routes
    assert [route.key for route in routes] == ["POST /things/{id}", "DELETE /things/{id}"]
    assert {route.function_arn.rpartition(":")[2] for route in routes} == {"stack-Thing"}


def test_authorizers_come_from_the_template(load):
    """Which routes have one, what it looks at, and for how long it is remembered; conditions count."""
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


def test_limits_are_for_routes_that_exist(load):
    """API Gateway refuses any other, so a typing error shows here and not at the deployment."""
    assert plan(load(SMALL.replace("\n  Store:", STAGE % "id", 1)), "http://aws", "http://api").routes
    with pytest.raises(TemplateError, match=r"Stage .* POST /things/\{name\}"):
        plan(load(SMALL.replace("\n  Store:", STAGE % "name", 1)), "http://aws", "http://api")


def test_tokens_are_not_checked_here_and_that_is_said():
    """Whoever asks for them learns what to do, before anything runs."""
    parameters = {"JwtIssuer": "https://issuer.example", "JwtAudience": "pictures"}
    loaded = template.load(ROOT / "template.yml", "stack", "us-east-1", parameters)
    with pytest.raises(TemplateError, match=r"tokens .* Leave JwtIssuer empty; use keys"):
        plan(loaded, "http://aws", "http://api")


def test_the_address_of_an_api_is_the_local_one(load):
    """Wherever the template composes AWS's."""
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
    """Its outputs, its policies and a stack name of its own, as on AWS."""
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
    """Whoever reads an output of it finds the topic."""
    inner(INNER)
    outer, clients = load(NESTED), MagicMock()
    deploy(outer, plan(outer, "http://aws", "http://api"), clients)
    assert call(Name="stack-Inner-Bell") in clients("sns").create_topic.call_args_list


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "Watched: {Type",
            "Missing: {Type: String}, Watched: {Type",
            "Inner cannot be deployed: .*Missing has no default",
        ),
        ("Watched: {Type", "Renamed: {Type", "Inner cannot be deployed: .*no parameter Watched"),
        ("Topic: {Value", "Other: {Value", "Inner.Outputs.Topic is referred to"),
        ("  Bell:", "  Rule: {Type: AWS::Events::Rule}\n  Bell:", "Inner contains Rule, an AWS::Events::Rule"),
    ],
)
def test_what_a_nested_application_cannot_do_is_said(load, inner, old, new, words):
    """With the names of both templates' parts, before anything runs."""
    inner(INNER.replace(old, new))
    with pytest.raises(TemplateError, match=words):
        plan(load(NESTED), "http://aws", "http://api")


def test_a_nested_application_that_is_not_there_is_said(load):
    """With the path that the template names."""
    with pytest.raises(TemplateError, match=r"inner/template\.yml, which does not exist"):
        plan(load(NESTED), "http://aws", "http://api")


def test_a_definition_that_cannot_be_read_is_said(load, tmp_path):
    """With the workflow's name and the line, before it is created."""
    (tmp_path / "loop.asl.yaml").write_text("StartAt: Wait\nStates:\n  Wait: {Type: Pass}\n  Wait: {Type: Succeed}\n")
    properties = "{DefinitionUri: loop.asl.yaml, Role: 'arn:aws:iam::1:role/r'}"
    loop = f"{{Type: AWS::Serverless::StateMachine, Properties: {properties}}}"
    loaded, clients = load(SMALL.replace("Resources:\n", f"Resources:\n  Loop: {loop}\n", 1)), MagicMock()
    with pytest.raises(
        TemplateError, match=r"definition of Loop cannot be read[\s\S]*'Wait' occurs twice[\s\S]*line 3"
    ):
        deploy(loaded, plan(loaded, "http://aws", "http://api"), clients)
    clients("stepfunctions").create_state_machine.assert_not_called()


def test_parameters_and_conditions_count(load):
    """What an override changes is changed everywhere."""
    loaded = load(Size="4")
    function = plan(loaded, "http://aws", "http://api").functions[0]
    assert function.environment["SIZE"] == "big"
    assert [bucket.logical_id for bucket in loaded.resources("AWS::S3::Bucket")] == ["Store", "Extra"]
    assert "Hidden" in loaded.outputs()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("!Ref Store", "!Ref Nothing", "Nothing is referred to"),
        ("${Store.Arn}", "${Store.Odd}", "Store.Odd is referred to"),
        ("EnableSimpleResponses: true", "EnableSimpleResponses: false", "Keys is more than a function that judges"),
        ("[$request.header.X-Key]", "[$context.routeKey, $request.header.X-Key]", "Keys is more than"),
        ("{Name: things, ProtocolType: HTTP}", "{Body: {paths: {}}}", "Front has its routes in a body"),
        ("CodeUri: code", "CodeUri: gone", "gone, which does not exist"),
        ("MemorySize: 333", "MemorySize: 333\n      Odd: 1", "SAM rejects"),
    ],
)
def test_what_cannot_be_read_is_said(load, old, new, words):
    """With the name of what is wrong."""
    with pytest.raises(TemplateError, match=words):
        plan(load(SMALL.replace(old, new)), "http://aws", "http://api")


def test_an_unknown_parameter_is_said(load):
    """And which there are."""
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
def test_a_value_that_cloudformation_would_refuse_is_refused(name, value, words):
    """Before anything runs, with the rule."""
    with pytest.raises(TemplateError, match=f"Parameter {name} is '{value}', but .*{words}"):
        template.load(ROOT / "template.yml", "stack", "us-east-1", {name: value})


def test_every_function_of_the_application_is_found():
    """Whatever template.yml has now or will have."""
    loaded = template.load(ROOT / "template.yml", "stack", "us-east-1")
    functions = plan(loaded, "http://aws", "http://api").functions
    assert {function.code.parent for function in functions} == {ROOT / "functions"}
    assert all((function.code / "app.py").is_file() for function in functions)
    assert all(function.layers and function.timeout and function.memory for function in functions)
