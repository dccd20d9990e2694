"""Requests that the API does not accept."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from image_pipeline.api import apikeys, routes
from image_pipeline.keys import status_path
from local.pipeline import Pipeline
from tests.conftest import HEAVY, crossed
from tests.workflow.conftest import silent_bucket

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "QUERY"]
PATHS = {path: path.replace("{filename}", "a/never.jpg").replace("{name}", "web") for path in routes.METHODS}
UNTAKEN = [
    pytest.param(
        method,
        PATHS[path],
        methods,
        id=f"{method} {path}",
        marks=() if method == "PATCH" or path == next(iter(PATHS)) else HEAVY,  # no path takes PATCH
    )
    for path, methods in routes.METHODS.items()
    for method in METHODS
    if method not in methods and not (method == "DELETE" and path.startswith("/images/uploads/"))
]


class Answer(NamedTuple):
    """The response of the API."""

    status: int
    headers: Any
    data: bytes


def ask(pipeline: Pipeline, method: str, path: str, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(pipeline.api_url).netloc)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


@pytest.fixture
def key(pipeline: Pipeline) -> str:
    return apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="refused").text


@pytest.mark.parametrize(("method", "path", "methods"), UNTAKEN)
def test_an_unsupported_method_is_refused(pipeline, key, method, path, methods):
    """The answer is 405 with all allowed methods, for every route."""
    answer = ask(pipeline, method, path, x_api_key=key)
    assert (answer.status, answer.headers["allow"]) == (405, ", ".join((*methods, "OPTIONS")))
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        body = json.loads(answer.data)
        assert (body["status"], body["message"]) == (405, body["detail"])
        assert f"{' or '.join(methods)}, not {method}." in body["detail"]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_options_are_answered_without_a_key(pipeline, path):
    """Preflights without a key are answered; API Gateway alone decides about CORS."""
    preflight = {"origin": pipeline.api_url, "access_control_request_method": "GET"}
    answer = ask(pipeline, "OPTIONS", path, **preflight)
    assert (answer.status, answer.headers["allow"]) == (204, ", ".join((*routes.methods(path), "OPTIONS")))
    assert answer.data == b""
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("path", "method"),
    crossed(["/page", "/favicon.ico", "/images/", "/images/uploads/", "/images/a.jpg/status"], [*METHODS, "OPTIONS"]),
)
def test_an_unknown_path_is_not_found(pipeline, method, path):
    """Every method gets 404 with the existing paths."""
    answer = ask(pipeline, method, path)
    assert (answer.status, answer.headers["allow"]) == (404, None)
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert "docs/openapi.yaml" in json.loads(answer.data)["message"]


def test_an_upload_named_like_a_path_can_be_deleted(pipeline, folder, key):
    """DELETE accepts any name; a missing upload is 404, never 405."""
    with silent_bucket(pipeline):
        for end in ("status", "reprocess", "renditions/web"):
            image_key = f"{folder}/x/{end}"
            path = status_path(image_key).removesuffix("/status")
            assert ask(pipeline, "DELETE", path, x_api_key=key).status == 404
            pipeline.upload(image_key, b"x")
            assert ask(pipeline, "DELETE", path, x_api_key=key).status == 202


def test_a_missing_scope_is_reported_first(pipeline):
    """A greedy route checks the key before the path."""
    assert ask(pipeline, "POST", "/images/uploads/a.jpg").status == 401
