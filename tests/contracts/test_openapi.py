"""docs/openapi.yaml, the routes in the template and the answers of the functions agree."""

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

DOCUMENT = yaml.load((ROOT / "docs" / "openapi.yaml").read_text(), yaml.CSafeLoader)
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
    """The part of the document that a reference points to."""
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
    """Whether API Gateway may choose this route for a request with such a path."""
    pattern = "".join(
        ".+" if part.endswith("+}") else "[^/]+" if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]+\})", route.path)
    )
    return route.method == method and re.fullmatch(pattern, path.replace("{", "").replace("}", "")) is not None


@each_operation
def test_every_operation_has_a_route(stack, method, path, operation):
    """All routes of an operation lead to one function, and need a key if the document says so."""
    matches = [route for route in stack.routes if serves(route, method, path)]
    if path.endswith("/original"):  # the greedy route, which may be open, only redirects to the other one
        matches = [route for route in matches if not route.path.endswith("+}")]
    assert matches, path
    assert len({route.function_arn for route in matches}) == 1
    needs_key = {} not in operation["security"]
    assert {route.authorizer is not None for route in matches} == {needs_key}


def test_every_route_has_an_operation(stack):
    """The document has every route, except those of the web page and the fallback route."""
    (fallback,) = [route for route in stack.routes if route.path == "$default"]
    (function,) = [function.code.name for function in stack.functions if function.arn == fallback.function_arn]
    assert (function, fallback.authorizer) == ("refuse_request", None)
    for route in stack.routes:
        if route is fallback or route.path in PAGE_PATHS:
            continue
        assert any(serves(route, method, path) for method, path, _ in OPERATIONS), (route.method, route.path)


def test_the_code_accepts_the_paths_and_methods_of_the_document():
    """The header `Allow` and the document list the same methods for each path."""
    documented_methods = {
        path: {method.upper() for method in item if method in METHODS} for path, item in DOCUMENT["paths"].items()
    }
    assert {path: set(methods) for path, methods in routes.METHODS.items()} == documented_methods


def test_the_code_finds_the_methods_of_every_documented_path():
    """A general path never hides a more specific one."""
    for path, methods in routes.METHODS.items():
        assert routes.methods(path.replace("{filename}", "a/b.jpg").replace("{name}", "web")) == methods


@each_operation
def test_405_is_documented_for_routes_that_also_match_other_paths(stack, method, path, operation):
    """A greedy route passes on paths that do not accept the method."""
    greedy = any(serves(route, method, path) and route.path.endswith("+}") for route in stack.routes)
    assert (405 in documented(operation)) == (greedy and not path.endswith("{filename}"))


def test_the_example_of_a_405_equals_the_answer_of_the_code():
    """The document shows the exact body."""
    (example,) = DOCUMENT["components"]["responses"]["MethodNotAllowed"]["content"].values()
    assert json.loads(problems.refusal(method="GET", path="/images/uploads/beach.jpg")["body"]) == example["example"]


def documented(operation: dict[str, Any]) -> set[int]:
    return {int(code) for code in operation["responses"]}


@each_operation
def test_the_answers_of_api_gateway_are_documented(method, path, operation):
    """API Gateway itself answers requests without a valid key, and requests above the rate."""
    assert {401, 403, 429} <= documented(operation)


def test_every_status_code_of_the_error_table_is_documented():
    """Each code of an error appears in at least one operation."""
    codes = set().union(*(documented(operation) for *_, operation in OPERATIONS))
    assert set(problems._STATUS.values()) | {200, 202, 302, 304, 405, 503} <= codes


def literal_statuses(function: str) -> set[int]:
    """The status codes that a handler contains as literals."""
    tree = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return {
        call.args[0].value
        for call in calls
        if call.func.attr in ("answer", "problem", "empty") and isinstance(call.args[0], ast.Constant)
    }


@each_operation
def test_the_status_codes_of_a_handler_are_documented(stack, method, path, operation):
    """The operations of a function document its successes and its refusals."""
    arn = next(route.function_arn for route in stack.routes if serves(route, method, path))
    (function,) = [candidate for candidate in stack.functions if candidate.arn == arn]
    routes_of_function = [route for route in stack.routes if route.function_arn == arn]
    codes_of_function = {
        code
        for other_method, other_path, other_operation in OPERATIONS
        if any(serves(route, other_method, other_path) for route in routes_of_function)
        for code in documented(other_operation)
    }
    answers = literal_statuses(function.code.name)
    assert answers <= codes_of_function
    assert any(code < 400 for code in answers & documented(operation)), "no success of it is documented"


def examples(node: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each example in the document, with its schema."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield node["schema"], node["example"]
        for child in node.values():
            yield from examples(child)
    elif isinstance(node, list):
        for child in node:
            yield from examples(child)


def test_every_example_is_valid():
    """Readers copy the examples, so each must match its schema."""
    pairs = list(examples(DOCUMENT))
    assert pairs
    for schema, example in pairs:
        validate(example, schema)


@each_operation
def test_an_answer_with_a_body_has_an_example(method, path, operation):
    """Every successful answer has an example."""
    for code, response in operation["responses"].items():
        for media in resolved(response).get("content", {}).values():
            if code.startswith("2"):
                assert "example" in media, code


def test_the_limits_in_the_document_equal_those_of_the_code():
    """Statuses, limits, patterns and field names exist twice and must be equal."""
    schemas = DOCUMENT["components"]["schemas"]
    parameters = {
        resolved(parameter)["name"]: resolved(parameter)["schema"]
        for *_, operation in OPERATIONS
        for parameter in operation.get("parameters", [])
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
def test_a_name_that_the_document_allows_is_accepted(name):
    """The code accepts names that match the pattern of the document."""
    validate(name, DOCUMENT["components"]["schemas"]["Name"])
    assert keys.key_for_name(name) == f"uploads/{name}"


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\tb", "\x80"])
def test_a_name_that_the_document_forbids_is_refused(name):
    """The code refuses names that do not match the pattern of the document."""
    with pytest.raises(jsonschema.ValidationError):
        validate(name, DOCUMENT["components"]["schemas"]["Name"])
    with pytest.raises(keys.InvalidKeyError):
        keys.key_for_name(name)
