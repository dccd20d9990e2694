"""emulator/http_api.py: events and responses are those of API Gateway."""

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.emulator.http_api import Authorizer, HttpApi, Route
from local.emulator.http_server import serve
from local.emulator.workers import InvocationResult

ROUTES = [
    Route("GET", "/images/{name+}", "greedy"),
    Route("GET", "/images/{name}/status", "status"),
    Route("GET", "/images/fixed/status", "fixed"),
    Route("POST", "/images", "post"),
    Route("ANY", "/any", "any"),
    Route("GET", "/guarded/{name+}", "guarded", Authorizer("judge", "x-key", 300)),
    Route("GET", "/guarded too", "guarded", Authorizer("judge", "x-key", 300)),
]


class Api:
    """A local API whose functions return a result of the test and record the event."""

    def __init__(self, routes: list[Route] = ROUTES) -> None:
        self.function = ""
        self.event: dict[str, Any] = {}
        self.answer: Any = {"statusCode": 200, "body": "ok"}
        self.failed = False
        self.judgement: Any = {"isAuthorized": True, "context": {"who": "somebody"}}
        self.judged: list[dict[str, Any]] = []
        self.now = 0.0
        self.http = HttpApi(routes, self._invoke, lambda: self.now)
        self.port = serve(self.http, 0)

    def _invoke(self, function: str, payload: bytes) -> InvocationResult:
        if function == "judge":
            self.judged.append(json.loads(payload))
            return InvocationResult(json.dumps(self.judgement), self.judgement == "failed")
        self.function, self.event = function, json.loads(payload)
        return InvocationResult(json.dumps(self.answer), self.failed)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Any = ()) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def served() -> Api:
    return Api()


@pytest.fixture
def api(served: Api) -> Iterator[Api]:
    yield served
    served.answer, served.failed = {"statusCode": 200, "body": "ok"}, False
    served.judgement = {"isAuthorized": True, "context": {"who": "somebody"}}
    served.judged.clear()
    served.http.clear()


@pytest.mark.parametrize(
    ("path", "function", "variables"),
    [
        ("/images/a.jpg/status", "status", {"name": "a.jpg"}),
        ("/images/fixed/status", "fixed", None),
        ("/images/a/b.jpg/status", "greedy", {"name": "a/b.jpg/status"}),
        ("/images/a+b%20c.jpg/status", "status", {"name": "a+b c.jpg"}),
        ("/images/100%2525.jpg/status", "status", {"name": "100%25.jpg"}),
        ("/images/%F0%9F%A6%8A.jpg/status", "status", {"name": "🦊.jpg"}),
        ("/images/a%2Fb/status", "greedy", {"name": "a/b/status"}),
        ("/images/what%3F.jpg/status", "greedy", {"name": "what"}),
        ("/images/what%253F.jpg/status", "status", {"name": "what%3F.jpg"}),
    ],
)
def test_paths_are_decoded_once_and_end_at_a_question_mark(api, path, function, variables):
    """API Gateway does the same; the most specific route wins."""
    assert api.ask("GET", path)[0] == 200
    assert (api.function, api.event.get("pathParameters")) == (function, variables)
    assert api.event["rawPath"] == api.event["requestContext"]["http"]["path"]


def test_the_event_is_payload_format_2(api):
    """The event has query, cookies, headers and context."""
    api.ask("GET", "/images/x?a=1&a=2&b=", headers={"Cookie": "c=1; d=2", "X-Odd": "Yes"})
    event = api.event
    assert (event["version"], event["routeKey"]) == ("2.0", "GET /images/{name+}")
    assert event["rawQueryString"] == "a=1&a=2&b="
    assert event["queryStringParameters"] == {"a": "1,2", "b": ""}
    assert event["cookies"] == ["c=1", "d=2"]
    assert event["headers"]["x-odd"] == "Yes"
    assert "cookie" not in event["headers"]
    context = event["requestContext"]
    assert (context["http"]["method"], context["stage"], context["routeKey"]) == ("GET", "$default", event["routeKey"])
    assert "body" not in event


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        *((text, False) for text in ("text/plain", "Text/html; charset=x", "application/json", "application/xml;x=y")),
        *((data, True) for data in ("image/jpeg", "multipart/form-data; boundary=x", "application/problem+json")),
        *((data, True) for data in ("application/x-www-form-urlencoded", "application/octet-stream", "")),
    ],
)
def test_a_body_is_passed_as_text_or_base64(api, content_type, encoded):
    """The content type decides, and `isBase64Encoded` says which."""
    body = "ü {}".encode()
    api.ask("POST", "/images", body, {"content-type": content_type})
    assert api.event["isBase64Encoded"] == encoded
    event_body = api.event["body"]
    assert (base64.b64decode(event_body) if encoded else event_body.encode()) == body


def test_bytes_declared_as_text_are_corrupted(api):
    """AWS corrupts them too, so code must not rely on the opposite."""
    api.ask("POST", "/images", b"\xff\xd8", {"content-type": "text/plain"})
    assert api.event["body"] == "\ufffd\ufffd"


def test_a_request_above_the_limit_of_lambda_reaches_no_function(api):
    """A body above the limit of Lambda in base64 gets 413; one byte less is accepted."""
    api.function = ""
    status, _, body = api.ask("POST", "/images", b"x" * 4_718_592, {"content-type": "image/jpeg"})
    assert (status, json.loads(body), api.function) == (413, {"message": "Request Entity Too Large"}, "")
    assert api.ask("POST", "/images", b"x" * 4_700_000, {"content-type": "image/jpeg"})[0] == 200


def test_no_route_is_404(api):
    """The answer is that of API Gateway."""
    for method, path in (("GET", "/"), ("GET", "/images"), ("DELETE", "/images/x"), ("GET", "/images/")):
        status, _, body = api.ask(method, path)
        assert (status, json.loads(body)) == (404, {"message": "Not Found"})


def test_the_default_route_receives_all_other_requests(api):
    """`$default` has no variables; the examples of the AWS manual have the documented priority."""
    manual = ["GET /pets/{proxy+}", "$default", "ANY /{proxy+}", "GET /pets/dog/{id}", "GET /pets/dog/1"]
    with_rest = Api(
        [Route(*(route_key.split() if " " in route_key else ("ANY", route_key)), route_key) for route_key in manual]
    )
    for method, path, expected in (
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
        ("POST", "/test/5", "ANY /{proxy+}"),
        ("PUT", "/pets/dog/1", "ANY /{proxy+}"),
        ("GET", "/", "$default"),
        ("OPTIONS", "/", "$default"),
    ):
        assert with_rest.ask(method, path)[0] == 200
        assert (with_rest.function, with_rest.event["routeKey"]) == (expected, expected)
    assert (with_rest.event["rawPath"], "pathParameters" in with_rest.event) == ("/", False)


def test_head_returns_no_body(api):
    """The response has the length of the body of GET."""
    api.answer = {"statusCode": 405, "body": "no"}
    connection = socket.create_connection(("127.0.0.1", api.port))
    with connection, connection.makefile("rb") as answer:
        connection.sendall(b"HEAD /any HTTP/1.0\r\n\r\n")
        head, _, body = answer.read().partition(b"\r\n\r\n")
    assert b"content-length: 2" in head
    assert body == b""


def test_an_answer_without_content_has_no_length(api):
    """RFC 9110 forbids Content-Length for 204."""
    api.answer = {"statusCode": 204, "headers": {"allow": "GET"}}
    status, headers, body = api.ask("OPTIONS", "/any")
    assert (status, headers["allow"], headers["content-length"], body) == (204, "GET", None, b"")


def test_any_method_reaches_an_any_route(api):
    """ANY in the template matches every method."""
    for method in ("GET", "PUT", "DELETE"):
        assert api.ask(method, "/any")[0] == 200
        assert api.function == "any"


def test_the_response_is_that_of_the_function(api):
    """Status, headers, cookies and body are those of the function."""
    api.answer = {
        "statusCode": 418,
        "headers": {"Content-Type": "text/x", "X-Number": 7},
        "cookies": ["a=1", "b=2"],
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }
    status, headers, body = api.ask("GET", "/any")
    assert (status, body) == (418, b"\x00\xff")
    assert (headers["content-type"], headers["x-number"]) == ("text/x", "7")
    assert headers.get_all("set-cookie") == ["a=1", "b=2"]


def test_an_answer_without_a_status_is_the_body_of_a_200(api):
    """API Gateway accepts any JSON as a body."""
    api.answer = {"plain": True}
    status, headers, body = api.ask("GET", "/any")
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"plain": True})


def test_a_failed_function_is_a_500(api):
    """The answer has no internal details."""
    api.failed = True
    status, _, body = api.ask("GET", "/any")
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def guarded(api: Api, key: str | None, path: str = "/guarded/a/b") -> tuple[int, Any]:
    status, _, body = api.ask("GET", path, headers={"X-Key": key} if key is not None else {})
    return status, body.decode()


def test_an_authorized_request_has_the_context_of_the_authorizer(api):
    """The context of the authorizer is in the event, where AWS puts it."""
    assert guarded(api, "k") == (200, "ok")
    assert api.event["requestContext"]["authorizer"] == {"lambda": {"who": "somebody"}}


def test_the_authorizer_gets_the_request_without_its_body(api):
    """The request has payload format 2.0 for authorizers."""
    guarded(api, "k")
    (event,) = api.judged
    assert (event["version"], event["type"], event["identitySource"]) == ("2.0", "REQUEST", ["k"])
    assert event["routeArn"].endswith(":123456789012:local/$default/GET/guarded/a/b")
    assert (event["routeKey"], event["headers"]["x-key"]) == ("GET /guarded/{name+}", "k")
    assert not {"body", "isBase64Encoded"} & event.keys()


def test_a_request_without_the_header_does_not_invoke_the_authorizer(api):
    """A missing or empty header gets 401 without an invocation."""
    for missing in (None, ""):
        assert guarded(api, missing) == (401, '{"message":"Unauthorized"}')
    assert api.judged == []


def test_a_refused_request_does_not_reach_the_function(api):
    """The answer is 403, as from API Gateway."""
    api.function, api.judgement = "", {"isAuthorized": False}
    assert guarded(api, "k") == (403, '{"message":"Forbidden"}')
    assert api.function == ""


@pytest.mark.parametrize("judgement", ["failed", {}, {"isAuthorized": "true"}, None, {"isAuthorized": 1}])
def test_a_failed_authorizer_denies_access(api, judgement):
    """The answer is 500, and the next request invokes the authorizer again."""
    api.function, api.judgement = "", judgement
    assert guarded(api, "k") == (500, '{"message":"Internal Server Error"}')
    assert api.function == ""
    api.judgement = {"isAuthorized": True}
    assert guarded(api, "k")[0] == 200


@pytest.mark.parametrize("first", [True, False])
def test_a_decision_is_cached_for_its_time_to_live(api, first):
    """Both decisions are cached for all routes of the authorizer, per value of the header."""
    expected, other = (200, 403) if first else (403, 200)
    api.judgement = {"isAuthorized": first}
    assert guarded(api, "k")[0] == expected
    api.judgement = {"isAuthorized": not first}
    api.now += 299
    assert guarded(api, "k")[0] == guarded(api, "k", "/guarded%20too")[0] == expected
    assert len(api.judged) == 1
    assert guarded(api, "another")[0] == other
    api.now += 2
    assert guarded(api, "k")[0] == other


def test_the_deployed_api_answers_at_its_output(pipeline):
    """The endpoint in the outputs of the stack is the local API."""
    assert pipeline.outputs["ImageStatusApiEndpoint"] == pipeline.api_url
    assert urlsplit(pipeline.api_url).hostname == "127.0.0.1"
