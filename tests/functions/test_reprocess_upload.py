"""functions/reprocess_upload"""

import json

import pytest

from image_pipeline import aws
from image_pipeline.store import records
from tests.conftest import IMAGE_TABLE, MACHINES, aws_client, put_record, put_upload


@pytest.fixture(autouse=True)
def _machine():
    """Create the state machine that the environment names."""
    aws_client("stepfunctions").create_state_machine(
        name="process", definition="{}", roleArn="arn:aws:iam::123456789012:role/r"
    )


def event(path, method="POST", body=None):
    context = {"requestId": "request-1", "http": {"method": method, "path": path}}
    return {"rawPath": path, "headers": {}, "requestContext": context, "body": body}


def put_focus(handler, body, path="/images/uploads/a.jpg/focus"):
    return handler(event(path, "PUT", body))


def started():
    answer = aws_client("stepfunctions").list_executions(stateMachineArn=MACHINES["PROCESS_IMAGE_ARN"])
    return [execution["name"] for execution in answer["executions"]]


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


def chosen():
    record = records.read_before_claim(aws.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    return record.get("chosenFocus")


def test_a_focus_is_stored_and_rendered(handler):
    """The answer equals that of a reprocess."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    answer = put_focus(handler, '{"x": 0.3, "y": 1}')
    assert (answer["statusCode"], answer["headers"]["location"]) == (202, "/images/uploads/a.jpg/status")
    assert json.loads(answer["body"]) == {"imageKey": "uploads/a.jpg", "executionId": started()[0]}
    assert chosen()["point"] == {"x": 0.3, "y": 1}
    assert put_focus(handler, '{"x": 0.5, "y": 0.5}')["statusCode"] == 429


def test_a_focus_can_be_removed(handler):
    """The focus of each recipe then applies, even if the object has a focus in its metadata."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    assert put_focus(handler, '{"x": null, "y": null}')["statusCode"] == 202
    assert chosen()["point"] is None


@pytest.mark.parametrize(
    "body",
    [None, "", "[0.3, 0.4]", "{}", '{"x": 0.3}', '{"x": 0.3, "y": 1.1}', '{"x": 0.3, "y": null}', '{"x": NaN, "y": 0}'],
)
def test_an_invalid_focus_is_refused(handler, body):
    """No focus is stored, and no execution is started."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    assert put_focus(handler, body)["statusCode"] == 400
    assert (chosen(), started()) == (None, [])


def test_an_upload_without_a_record_gets_its_focus_later(handler):
    """The answer says when to try again."""
    put_upload("uploads/a.jpg", b"x")
    answer = put_focus(handler, '{"x": 0.3, "y": 0.4}')
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (429, "1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/images/uploads/a.jpg", 405),
        ("PUT", "/images/uploads/a.jpg/reprocess", 405),
        ("POST", "/images/uploads/a.jpg/focus", 405),
        ("PUT", "/images/uploads/no.jpg/focus", 404),
        ("PUT", "/images/uploads/../a.jpg/focus", 400),
    ],
)
def test_only_put_sets_the_focus(handler, method, path, status):
    """Every other request gets a problem document and starts no execution."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    assert handler(event(path, method, '{"x": 0.3, "y": 0.4}'))["statusCode"] == status
    assert started() == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/images/uploads/no.jpg/reprocess", 404),
        ("/images/uploads/a.jpg", 405),
        ("/images/uploads/a.jpg/status", 405),
        ("/images/uploads/../a.jpg/reprocess", 400),
    ],
)
def test_other_paths_start_no_execution(handler, path, status):
    """Other paths get a problem document."""
    put_upload("uploads/a.jpg", b"x")
    assert (handler(event(path))["statusCode"], started()) == (status, [])
