"""`image-pipeline teardown` deletes everything, and only after confirmation."""

import json
from typing import Any

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.s3.models import s3_backends

from image_pipeline_cli.commands import INCOMPLETE, NO_STACK, main
from image_pipeline_cli.stack import StackError
from image_pipeline_cli.teardown import TeardownError, teardown
from tests.conftest import REGION, aws_client

TEMPLATE = {
    "Resources": {
        "Kept": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "Properties": {"VersioningConfiguration": {"Status": "Enabled"}},
        },
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "ImageKey", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "ImageKey", "KeyType": "HASH"}],
            },
        },
        "Topic": {"Type": "AWS::SNS::Topic"},
    }
}


@pytest.fixture
def stack(empty_aws: None) -> dict[str, str]:
    """A stack with a table and a bucket of versions, delete markers and incomplete uploads; its physical names."""
    formation, s3 = aws_client("cloudformation"), aws_client("s3")
    formation.create_stack(StackName="throw-away", TemplateBody=json.dumps(TEMPLATE))
    pages = formation.get_paginator("list_stack_resources").paginate(StackName="throw-away")
    names = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
    }
    bucket = names["Kept"]
    for number in range(2):
        s3.put_object(Bucket=bucket, Key=f"uploads/{number}", Body=b"x")
    s3.put_object(Bucket=bucket, Key="uploads/0", Body=b"newer")
    s3.delete_object(Bucket=bucket, Key="uploads/1")
    s3.create_multipart_upload(Bucket=bucket, Key="uploads/unfinished")
    return names


def remaining() -> tuple[Any, Any]:
    buckets = [bucket["Name"] for bucket in aws_client("s3").list_buckets()["Buckets"]]
    return buckets, aws_client("dynamodb").list_tables()["TableNames"]


def test_everything_is_deleted(stack):
    """This includes retained resources, all versions, delete markers and incomplete uploads."""
    messages: list[str] = []
    for number in range(1100):  # more than a request deletes; requests to store them would take seconds
        s3_backends[ACCOUNT_ID]["aws"].put_object(stack["Kept"], f"uploads/many/{number}", b"x")
    assert teardown("throw-away", REGION, lambda _: True, messages.append)
    assert remaining() == ([], [])
    assert "throw-away" in messages[-1]


def test_what_the_stack_retained_is_named_when_the_stack_is_gone(stack, monkeypatch):
    """If the rest fails, a second teardown does not find the stack, so the user needs the names."""
    messages: list[str] = []
    monkeypatch.setattr("image_pipeline_cli.teardown._delete_bucket", lambda *_: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        teardown("throw-away", REGION, lambda _: True, messages.append)
    (retained,) = [message for message in messages if message.startswith("The stack is deleted.")]
    assert stack["Kept"] in retained
    assert stack["Table"] in retained


def test_a_teardown_needs_confirmation(stack):
    """The question names the buckets and tables."""
    questions: list[str] = []

    def decline(question: str) -> bool:
        questions.append(question)
        return False

    assert not teardown("throw-away", REGION, decline, lambda _: None)
    assert remaining() == ([stack["Kept"]], [stack["Table"]])
    assert stack["Kept"] in questions[0]
    assert stack["Table"] in questions[0]


def test_an_unknown_stack_is_an_error(empty_aws):
    """It is reported before the question."""
    with pytest.raises(StackError, match="no stack nothing"):
        teardown("nothing", REGION, lambda _: pytest.fail("asked"), lambda _: None)


def test_a_stack_that_cannot_be_deleted_has_an_exit_code(stack, capsys, monkeypatch):
    """A missing stack is 3, a failed deletion 1; both print a sentence."""
    options = ["--region", REGION, "--yes"]
    assert main(["teardown", "--stack", "nothing", *options]) == NO_STACK
    assert "nothing" in capsys.readouterr().err

    def fail(bucket: str) -> None:
        raise TeardownError(f"{bucket} was not deleted.")

    monkeypatch.setattr("image_pipeline_cli.teardown._empty", lambda _, bucket: fail(bucket))
    assert main(["teardown", "--stack", "throw-away", *options]) == INCOMPLETE
    assert stack["Kept"] in capsys.readouterr().err
