"""functions/reprocess_upload"""

import json

import pytest

from tests.conftest import MACHINES, aws_client, put_record, put_upload


@pytest.fixture(autouse=True)
def _machine():
    """Create the state machine that the environment names."""
    aws_client("stepfunctions").create_state_machine(
        name="process", definition="{}", roleArn="arn:aws:iam::123456789012:role/r"
    )


def event(path):
    context = {"requestId": "request-1", "http": {"method": "POST", "path": path}}
    return {"rawPath": path, "headers": {}, "requestContext": context}


def started():
    listed = aws_client("stepfunctions").list_executions(stateMachineArn=MACHINES["PROCESS_IMAGE_ARN"])
    return [each["name"] for each in listed["executions"]]


def test_a_reprocess_is_accepted_with_its_execution(handler):
    """The response contains the id of the execution."""
    put_upload("uploads/a/b.jpg", b"x")
    answer = handler(event("/images/uploads/a/b.jpg/reprocess"))
    assert answer["statusCode"] == 202
    assert answer["headers"]["location"] == "/images/uploads/a/b.jpg/status"
    assert json.loads(answer["body"]) == {"imageKey": "uploads/a/b.jpg", "executionId": started()[0]}


def test_a_second_reprocess_must_wait(handler, monkeypatch):
    """A second request gets 429 with Retry-After, and other uploads are not affected."""
    for name in ("a", "b"):
        put_upload(f"uploads/{name}.jpg", b"x")
        put_record(f"uploads/{name}.jpg", status="COMPLETED")
    answers = [handler(event(f"/images/uploads/{name}.jpg/reprocess")) for name in "aab"]
    assert [answer["statusCode"] for answer in answers] == [202, 429, 202]
    assert len(started()) == 2
    assert 1 <= int(answers[1]["headers"]["retry-after"]) <= 10
    assert answers[1]["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answers[1]["body"])["title"] == "Too Many Requests"
    monkeypatch.setenv("REPROCESS_COOLDOWN_SECONDS", "0")
    assert handler(event("/images/uploads/a.jpg/reprocess"))["statusCode"] == 202


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/uploads/no.jpg/reprocess", 404),
        ("/images/uploads/a.jpg", 405),
        ("/images/uploads/a.jpg/status", 405),
        ("/images/uploads/../a.jpg/reprocess", 400),
    ],
)
def test_nothing_else_is_processed(handler, path, status):
    """Other paths get a problem document and start no execution."""
    put_upload("uploads/a.jpg", b"x")
    assert (handler(event(path))["statusCode"], started()) == (status, [])
