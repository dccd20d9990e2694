"""image_pipeline.problems"""

import json

import pytest

from image_pipeline import problems
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    SettingsError,
    StorageUnavailableError,
    UnsupportedFormatError,
    UploadChangedError,
    UploadExistsError,
    UploadNotFoundError,
    UploadTooLargeError,
)

GUARDS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
EVENT = {"requestContext": {"requestId": "request-1"}}


def answered(error):
    @problems.told("Not just now.")
    def handler(_event, _context):
        raise error

    return handler(EVENT, None)


def test_a_problem_is_a_document_of_rfc_9457():
    """And has the `message` that clients know from before."""
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
def test_what_the_caller_can_mend_is_told_with_its_hint(error, status):
    """In one line."""
    answer = answered(error("The rule is broken.", "Do this."))
    assert answer["statusCode"] == status
    assert json.loads(answer["body"])["detail"] == "The rule is broken. Do this."


def test_an_aws_that_does_not_answer_is_told_without_its_inside():
    """503, in the handler's own words."""
    answer = answered(StorageUnavailableError("DynamoDB, table x", "y"))
    assert answer["statusCode"] == 503
    assert json.loads(answer["body"])["detail"] == "Not just now."


@pytest.mark.parametrize("error", [SettingsError("m", "h"), ValueError("v")])
def test_our_own_faults_stay_faults(error):
    """API Gateway answers 500 without a word of them, and Lambda counts an error."""
    with pytest.raises(type(error)):
        answered(error)


def test_an_answer_is_json_with_more_headers():
    """Whatever the letters."""
    answer = problems.answer(202, {"a": "ü"}, location="/x")
    assert answer["headers"] == {"content-type": "application/json", "location": "/x", **GUARDS}
    assert json.loads(answer["body"]) == {"a": "ü"}
