"""The template is read as CloudFormation reads it, and nothing of the application is known beforehand."""

from pathlib import Path
from typing import Any

import pytest

from local import template
from local.deploy import plan
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
      Events:
        Post: {Type: HttpApi, Properties: {Method: post, Path: "/things/{id}"}}
  Store: {Type: AWS::S3::Bucket}
  Line: {Type: AWS::SQS::Queue}
  Extra: {Type: AWS::S3::Bucket, Condition: Big}
Outputs:
  Api: {Value: !Sub "https://${ServerlessHttpApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"}
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
    (function,) = stack.functions
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
    (route,) = plan(load(), "http://aws", "http://api").routes
    assert (route.key, route.function_arn.rpartition(":")[2]) == ("POST /things/{id}", "stack-Thing")


def test_the_address_of_an_api_is_the_local_one(load):
    """Wherever the template composes AWS's."""
    stack = plan(load(), "http://aws", "http://127.0.0.1:1")
    assert stack.outputs == {"Api": "http://127.0.0.1:1/"}


def test_parameters_and_conditions_count(load):
    """What an override changes is changed everywhere."""
    loaded = load(Size="4")
    (function,) = plan(loaded, "http://aws", "http://api").functions
    assert function.environment["SIZE"] == "big"
    assert [bucket.logical_id for bucket in loaded.resources("AWS::S3::Bucket")] == ["Store", "Extra"]
    assert "Hidden" in loaded.outputs()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("!Ref Store", "!Ref Nothing", "Nothing is referred to"),
        ("${Store.Arn}", "${Store.Odd}", "Store.Odd is referred to"),
        ("CodeUri: code", "CodeUri: gone", "gone, which does not exist"),
        ("Runtime: python3.13", "Runtime: python3.13\n      Odd: 1", "SAM rejects"),
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


def test_every_function_of_the_application_is_found():
    """Whatever template.yml has now or will have."""
    loaded = template.load(ROOT / "template.yml", "stack", "us-east-1")
    functions = plan(loaded, "http://aws", "http://api").functions
    assert {function.code.parent for function in functions} == {ROOT / "functions"}
    assert all((function.code / "app.py").is_file() for function in functions)
    assert all(function.layers and function.timeout and function.memory for function in functions)
