"""The status API reveals no internal details in its errors."""

import http.client
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.pipeline import Pipeline

PROBLEM = {"type", "title", "status", "detail", "message"}  # of functions; API Gateway's own have the message alone
INSIDE = re.compile(
    r"arn:|\d{12}|image-pipeline|uploadsbucket|imagetable|dynamodb|s3\.|lambda|traceback|exception|error:|\.py|boto|"
    r"role|policy|denied|authoriz|accesskey|injected",
    re.IGNORECASE,
)


def ask(pipeline: Pipeline, path: str, method: str = "GET") -> tuple[int, str, Any]:
    """A function that requests a status and returns status code, full text and body."""
    connection = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        # The names of this server and of its clock are the local run's own.
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in ("server", "date", "apigw-requestid")]
        return answer.status, f"{headers} {body}", json.loads(body)
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/page", 404),
        ("GET", "/images/uploads/", 404),
        ("GET", "/images/uploads/a.jpg", 405),
        ("GET", "/images/uploads/never.jpg/status", 404),
        ("GET", "/images/uploads/%FF%FE%00.jpg/status", 404),
        ("GET", "/images/uploads/../../../etc/passwd/status", 404),
        ("GET", f"/images/uploads/{'x' * 2000}/status", 400),
        ("GET", f"/images/uploads/{'x/' * 4000}status", 400),
        ("PATCH", "/images/uploads/a.jpg/status", 405),
    ],
)
def test_an_empty_request_reveals_nothing(pipeline, method, path, expected):
    """The problem has one sentence and enough of the request to recognise it."""
    status, everything, body = ask(pipeline, path, method)
    assert status == expected
    assert {"message"} <= body.keys() <= PROBLEM
    assert not INSIDE.search(everything)
    assert len(everything) < 800


def throttled(pipeline: Pipeline) -> None:
    pipeline.fault("dynamodb", "GetItem", "ThrottlingException", times=-1)


def broken(pipeline: Pipeline) -> None:
    pipeline.fault("dynamodb", "GetItem", "InternalServerError", times=-1)


def without_table(pipeline: Pipeline) -> None:
    pipeline.fault("dynamodb", "GetItem", "ResourceNotFoundException", times=-1)


def without_permission(pipeline: Pipeline) -> None:
    pipeline.restrict("GetStatusFunctionRole", [])


def with_a_bug(pipeline: Pipeline) -> None:
    def fail(_: Any) -> None:
        raise KeyError("arn:aws:dynamodb:us-east-1:123456789012:table/image-pipeline")

    pipeline.replace("GetStatusFunction", fail)


def with_a_wrong_answer(pipeline: Pipeline) -> None:
    pipeline.replace("GetStatusFunction", lambda _: {"statusCode": "arn:aws", "body": 7})


@pytest.mark.parametrize(
    ("inject_fault", "expected"),
    [
        (throttled, 503),
        (broken, 503),
        (without_table, 500),
        (without_permission, 500),
        (with_a_bug, 500),
        (with_a_wrong_answer, 500),
    ],
)
def test_an_internal_fault_is_not_disclosed(pipeline, inject_fault, expected):
    """The caller learns that the service failed; the reason is in the log."""
    inject_fault(pipeline)
    status, everything, body = ask(pipeline, "/images/uploads/a.jpg/status")
    assert status == expected
    assert body.keys() == (PROBLEM if expected == 503 else {"message"})
    assert not INSIDE.search(everything)
