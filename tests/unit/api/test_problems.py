"""image_pipeline.api.problems"""

import json

import pytest

from image_pipeline.api import problems
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    SettingsError,
    StorageUnavailableError,
    TooSoonError,
    UnsupportedFormatError,
    UploadChangedError,
    UploadExistsError,
    UploadNotFoundError,
    UploadTooLargeError,
    WrongPathError,
)

GUARDS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
EVENT = {"requestContext": {"requestId": "request-1"}}


def answered(error):
    @problems.answers_problems("Not just now.")
    def handler(_event, _context):
        raise error

    return handler(EVENT, None)


def test_a_problem_is_a_document_of_rfc_9457():
    """A problem has the `message` that older clients use."""
    answer = problems.problem(404, "There is no ü.")
    assert answer["statusCode"] == 404
    assert answer["headers"] == {"content-type": "application/problem+json", **GUARDS}
    assert json.loads(answer["body"]) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no ü.",
        "message": "There is no ü.",
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidKeyError, 400),
        (InvalidRequestError, 400),
        (EmptyUploadError, 400),
        (UploadNotFoundError, 404),
        (UploadChangedError, 412),
        (UploadExistsError, 412),
        (UploadTooLargeError, 413),
        (UnsupportedFormatError, 415),
    ],
)
def test_an_error_of_the_caller_is_answered_with_its_hint(error, status):
    """The detail contains the message and the hint in one line."""
    answer = answered(error("The rule is broken.", "Do this."))
    assert answer["statusCode"] == status
    assert json.loads(answer["body"])["detail"] == "The rule is broken. Do this."


def test_an_early_request_is_answered_with_retry_after():
    """Both the Retry-After header and the detail contain the remaining time."""
    answer = answered(TooSoonError("The rule is broken.", "Try again in 7 seconds.", 7))
    assert (answer["statusCode"], answer["headers"]["retry-after"]) == (429, "7")
    assert json.loads(answer["body"])["detail"] == "The rule is broken. Try again in 7 seconds."


def refused(method, path):
    answer = problems.refusal(method=method, path=path)
    return answer["statusCode"], answer["headers"].get("allow"), json.loads(answer.get("body", "{}")).get("detail")


def test_a_405_lists_the_methods_and_the_paths_for_the_method():
    """A caller that omits `/status` learns which paths accept GET."""
    assert refused("PUT", "/images")[:2] == (405, "GET, POST, OPTIONS")
    status, allow, detail = refused("GET", "/images/uploads/a.jpg")
    assert (status, allow) == (405, "DELETE, OPTIONS")
    assert {"DELETE,", "/images/uploads/{filename}/status,"} <= set(detail.split())


def test_a_refusal_shortens_the_method():
    """A long method is truncated in the detail."""
    assert "X" * 20 in refused("X" * 21, "/images")[2]
    assert "X" * 21 not in refused("X" * 21, "/images")[2]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("OPTIONS", "/x"), ("GET", "/x/images"), ("DELETE", "/images/uploads/")]
)
def test_a_path_without_a_route_is_404(method, path):
    """The response is 404, even if the path looks like one that accepts the method."""
    status, allow, detail = refused(method, path)
    assert (status, allow) == (404, None)
    assert "docs/openapi.yaml" in detail
    assert "://" not in detail


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/images/uploads/a/b.jpg/status/"),
        ("GET", "/images/uploads/a.jpg/status//"),
        ("GET", "/images/uploads/a.jpg/renditions/web/"),
        ("POST", "/images/uploads/a.jpg/reprocess/"),
        ("POST", "/images/presigned/"),
        ("GET", "/images/"),
        ("POST", "/images/"),
        ("GET", "/base/images/uploads/a.jpg/status/"),
    ],
)
def test_a_superfluous_slash_is_reported(method, path):
    """The detail points out a trailing slash."""
    status, allow, detail = refused(method, path)
    assert (status, allow) == (404, None)
    assert "slash" in detail
    assert method in detail


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/images/uploads/a/"), ("DELETE", "/images/uploads/a.jpg/status/")]
)
def test_a_trailing_slash_is_reported_only_if_it_is_the_mistake(method, path):
    """A trailing slash is not mentioned if removing it would not help."""
    assert "slash" not in refused(method, path)[2]


def test_options_are_answered_with_the_accepted_methods():
    """OPTIONS gets a success without a body, which browsers require for a preflight request."""
    assert problems.refusal(method="OPTIONS", path="/images/presigned") == {
        "statusCode": 204,
        "headers": {**GUARDS, "allow": "POST, OPTIONS"},
    }


def test_a_path_for_another_method_is_refused_as_by_the_fallback_route():
    """The response is the same as that of the fallback route."""

    @problems.answers_problems("Not just now.")
    def handler(_event, _context):
        raise WrongPathError("The rule is broken.", "Do this.")

    context = {**EVENT["requestContext"], "http": {"method": "GET"}}
    answer = handler({"rawPath": "/images/uploads/a.jpg", "requestContext": context}, None)
    assert answer == problems.refusal(method="GET", path="/images/uploads/a.jpg")


def test_an_unavailable_aws_is_reported_without_details():
    """The response is 503 and contains no internal details."""
    answer = answered(StorageUnavailableError("DynamoDB, table x", "y"))
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"])["detail"] == "Not just now."


@pytest.mark.parametrize("error", [SettingsError("m", "h"), ValueError("v")])
def test_a_bug_is_raised(error):
    """API Gateway answers 500, and Lambda counts an error."""
    with pytest.raises(type(error)):
        answered(error)


def test_an_answer_is_json_with_its_headers():
    """The body may contain any characters."""
    answer = problems.answer(202, {"a": "ü"}, location="/x")
    assert answer["headers"] == {"content-type": "application/json", "location": "/x", **GUARDS}
    assert json.loads(answer["body"]) == {"a": "ü"}
