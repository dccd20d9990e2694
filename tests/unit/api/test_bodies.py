"""image_pipeline.api.bodies"""

import base64

import pytest

from image_pipeline.api import bodies
from image_pipeline.errors import InvalidRequestError


@pytest.mark.parametrize(
    "body", [b'{"name": "a", "name": "b"}', b'{"name": "a", "name": "a"}', b'{"a": {"b": 1, "b": 2}}']
)
def test_a_duplicate_field_is_refused(body):
    """Parsers differ in which of repeated fields they use."""
    with pytest.raises(InvalidRequestError):
        bodies.read_json({"body": base64.b64encode(body).decode(), "isBase64Encoded": True})


@pytest.mark.parametrize("body", [b"", b"[]", b"name=x", b'"x"', b"\xff", b"[" * 100_000])
def test_a_request_must_bring_an_object(body):
    """The body is decoded whatever its content type; anything but an object is an error."""
    with pytest.raises(InvalidRequestError):
        bodies.read_json({"body": base64.b64encode(body).decode(), "isBase64Encoded": True})
    assert bodies.read_json({"body": "eyJhIjogIsO8In0=", "isBase64Encoded": True}) == {"a": "ü"}
    assert bodies.read_json({"body": '{"a": "ü"}'}) == {"a": "ü"}


def test_a_body_that_is_not_what_the_event_says_is_refused():
    """An invalid body is an error of the request, not of the function."""
    with pytest.raises(InvalidRequestError):
        bodies.read({"body": "a", "isBase64Encoded": True})
    with pytest.raises(InvalidRequestError):
        bodies.read({"body": "\ud800"})
