"""docs/openapi.yaml, the template's routes and the functions' answers say the same."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from image_pipeline import keys
from image_pipeline.api import presign, problems, routes, waiting
from image_pipeline.feeds import listing
from image_pipeline.store import records
from local.emulator import template as local_template
from local.emulator.deploy import plan
from tests.conftest import ROOT

DOCUMENT = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
METHODS = {"get", "head", "post", "put", "delete", "patch"}
OPERATIONS = [
    (method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
]
PAGE_PATHS = {"/", "/page/{digest}/{file+}"}
"""The paths of the web page, which is not part of the API."""
each_operation = pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=[operation["operationId"] for *_, operation in OPERATIONS]
)


def resolved(node: Any) -> Any:
    """What a reference stands for."""
    while "$ref" in node:
        target: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def validate(value: Any, schema: dict[str, Any]) -> None:
    """Check a value against a schema of the document."""
    jsonschema.Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}, format_checker=jsonschema.FormatChecker()
    ).validate(value)


@pytest.fixture(scope="module")
def stack() -> Any:
    loaded = local_template.load(ROOT / "template.yml", "stack", "eu-west-1")
    return plan(loaded, "http://aws", "http://api")


def serves(route: Any, method: str, path: str) -> bool:
    """Whether API Gateway may take a request for such a path by this route."""
    pattern = "".join(
        ".+" if part.endswith("+}") else "[^/]+" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", route.path)
    )
    return route.method == method and re.fullmatch(pattern, path.replace("{", "").replace("}", "")) is not None


@each_operation
def test_every_operation_has_a_route(stack, method, path, operation):
    """And needs a key as the document says; more than one route only where the first takes names without folders."""
    found = [route for route in stack.routes if serves(route, method, path)]
    if path.endswith("/original"):  # the greedy route, which may be open, only redirects to the other one
        found = [route for route in found if not route.path.endswith("+}")]
    assert found, path
    assert len({route.function_arn for route in found}) == 1
    needs_key = {} not in operation["security"]
    assert {route.authorizer is not None for route in found} == {needs_key}


def test_every_route_has_an_operation(stack):
    """Nothing is served that is not written down, but the web page and the refusal of whatever else is asked for."""
    (rest,) = [route for route in stack.routes if route.path == "$default"]
    (function,) = [each.code.name for each in stack.functions if each.arn == rest.function_arn]
    assert (function, rest.authorizer) == ("refuse_request", None)
    for route in stack.routes:
        if route is rest or route.path in PAGE_PATHS:
            continue
        assert any(serves(route, method, path) for method, path, _ in OPERATIONS), (route.method, route.path)


def test_the_code_refuses_by_the_paths_and_methods_of_the_document():
    """`Allow` names what is written down; with the two tests above, that is what the template routes."""
    known = {path: {method.upper() for method in item if method in METHODS} for path, item in DOCUMENT["paths"].items()}
    assert {path: set(methods) for path, methods in routes.METHODS.items()} == known


def test_a_path_in_the_document_is_known_by_its_own_methods():
    """None stands in the way of one that is more specific."""
    for path, methods in routes.METHODS.items():
        assert routes.methods(path.replace("{filename}", "a/b.jpg").replace("{name}", "web")) == methods


@each_operation
def test_405_is_documented_where_a_greedy_route_may_have_taken_another_path(stack, method, path, operation):
    """What comes by such a route has the operation's method, but not always its path."""
    greedy = any(serves(route, method, path) and route.path.endswith("+}") for route in stack.routes)
    assert (405 in documented(operation)) == (greedy and not path.endswith("{filename}"))


def test_the_example_of_a_405_is_what_the_code_answers():
    """In its very words."""
    (example,) = DOCUMENT["components"]["responses"]["MethodNotAllowed"]["content"].values()
    assert json.loads(problems.refusal(method="GET", path="/images/uploads/beach.jpg")["body"]) == example["example"]


def documented(operation: dict[str, Any]) -> set[int]:
    return {int(code) for code in operation["responses"]}


@each_operation
def test_what_api_gateway_answers_by_itself_is_documented(method, path, operation):
    """Whoever asks without a key, or too often, gets its words, not ours."""
    assert {401, 403, 429} <= documented(operation)


def test_every_status_that_a_function_can_answer_is_documented_somewhere():
    """The table of errors has no code that the document does not know."""
    known = set().union(*(documented(operation) for *_, operation in OPERATIONS))
    assert set(problems._STATUS.values()) | {200, 202, 302, 304, 405, 503} <= known


def literal_statuses(function: str) -> set[int]:
    """The statuses that a handler writes itself."""
    tree = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return {
        call.args[0].value
        for call in calls
        if call.func.attr in ("answer", "problem", "empty") and isinstance(call.args[0], ast.Constant)
    }


@each_operation
def test_what_a_handler_answers_is_documented(stack, method, path, operation):
    """Success and refusal, by the function that the route leads to."""
    arn = next(route.function_arn for route in stack.routes if serves(route, method, path))
    (function,) = [each for each in stack.functions if each.arn == arn]
    served = [each for each in OPERATIONS if any(serves(r, *each[:2]) and r.function_arn == arn for r in stack.routes)]
    answers = literal_statuses(function.code.name)
    assert answers <= set().union(*(documented(each) for *_, each in served))
    assert any(code < 400 for code in answers & documented(operation)), "no success of it is documented"


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each example with the schema that it is one of."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        for each in node.values():
            yield from examples(each)
    elif isinstance(node, list):
        for each in node:
            yield from examples(each)


def test_every_example_is_one():
    """They are what people copy."""
    found = list(examples(DOCUMENT))
    assert len(found) > 15
    for schema, example in found:
        validate(example, schema)


@each_operation
def test_an_answer_with_a_body_has_an_example(method, path, operation):
    """Of every success, and of every error, there or where it refers to."""
    for code, response in operation["responses"].items():
        for media in resolved(response).get("content", {}).values():
            if code.startswith("2"):
                assert "example" in media, code


def test_the_numbers_and_words_are_those_of_the_code():
    """Limits that are written twice are the same twice."""
    schemas = DOCUMENT["components"]["schemas"]
    parameters = {
        resolved(each)["name"]: resolved(each)["schema"]
        for *_, operation in OPERATIONS
        for each in operation.get("parameters", [])
    }
    assert schemas["Status"]["enum"] == list(listing.STATUSES)
    assert parameters["wait"]["maximum"] == waiting.MAX_WAIT_SECONDS
    assert parameters["versionId"]["pattern"] == f"^{waiting._VERSION_ID.pattern}$"
    assert (parameters["limit"]["maximum"], parameters["limit"]["default"]) == (
        listing.MAX_IMAGES,
        listing.DEFAULT_IMAGES,
    )
    assert schemas["Page"]["properties"]["images"]["maxItems"] == listing.MAX_IMAGES
    assert schemas["Name"]["maxLength"] == keys.MAX_KEY_BYTES - len(keys.UPLOADS_PREFIX)
    assert set(schemas["UploadRequest"]["properties"]) == presign._FIELDS
    assert parameters["name"]["pattern"].replace("(\\.", "(?:\\.") == f"^{keys._RENDITION_NAME.pattern}$"
    internals = set(schemas["Image"]["properties"]) & records.INTERNAL_ATTRIBUTES
    assert internals == set()


@pytest.mark.parametrize("name", ["beach.jpg", "a/b.jpg", "é?.jpg", ".hidden", "a..b", "...", "%41"])
def test_a_name_that_the_document_allows_is_one(name):
    """The pattern says what the code does."""
    validate(name, DOCUMENT["components"]["schemas"]["Name"])
    assert keys.key_for_name(name) == f"uploads/{name}"


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\tb", "\x80"])
def test_a_name_that_the_document_forbids_is_refused(name):
    """Both ways."""
    with pytest.raises(jsonschema.ValidationError):
        validate(name, DOCUMENT["components"]["schemas"]["Name"])
    with pytest.raises(keys.InvalidKeyError):
        keys.key_for_name(name)
