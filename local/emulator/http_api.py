"""The HTTP API on loopback: translates HTTP to payload format 2.0 of API Gateway and back.

Routes, authorizers and CORS come from the template. Throttling and access logs are not emulated: a throttle would make
local scripts and tests depend on the speed of the machine.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.emulator import cors
from local.emulator.template import ACCOUNT_ID
from local.emulator.workers import MAX_REQUEST_BYTES, InvocationResult

# Content types whose body is passed as text; all others, including forms, are base64-encoded. AWS does not document
# them; see (https://github.com/ministackorg/ministack/pull/766).
_TEXT = re.compile(r"\s*(text/|application/(json|javascript|xml)\s*(;|$))", re.IGNORECASE)

MAX_BODY_BYTES = 10 * 1024 * 1024  # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html

Invoke = Callable[[str, bytes], InvocationResult | None]
_VARIABLE = re.compile(r"\{([^}]+)\}")


@dataclass(frozen=True)
class Authorizer:
    """A function that judges one header of a request, with simple responses."""

    function_arn: str
    header: str
    """In lower case."""
    cached_seconds: int


@dataclass(frozen=True)
class Route:
    """A method and a path, with the function and the authorizer behind them."""

    method: str
    path: str
    function_arn: str
    authorizer: Authorizer | None = None

    @property
    def key(self) -> str:
        """The route key, such as `GET /images/{name}`."""
        return self.path if self.path == "$default" else f"{self.method} {self.path}"

    @property
    def rank(self) -> tuple[bool, ...]:
        """Sort key, most specific first: fixed paths, variables, greedy variables, `$default`."""
        greedy = self.path.endswith("+}") or self.path == "$default"
        return (self.path == "$default", greedy, "{" in self.path, self.method == "ANY")

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the path variables if a request matches; otherwise None."""
        if self.method not in (method, "ANY"):
            return None
        if self.path == "$default":
            return {}
        names = [name.removesuffix("+") for name in _VARIABLE.findall(self.path)]
        pieces = re.split(r"(\{[^}]+\})", self.path)
        pattern = "".join(
            ("(.+)" if piece.endswith("+}") else "([^/]+)") if piece.startswith("{") else re.escape(piece)
            for piece in pieces
        )
        path_match = re.fullmatch(pattern, path, re.DOTALL)
        return dict(zip(names, path_match.groups(), strict=True)) if path_match else None


class HttpApi:
    """A WSGI application that emulates API Gateway."""

    def __init__(
        self,
        routes: list[Route],
        invoke: Invoke,
        clock: Callable[[], float] = time.monotonic,
        cors_rule: cors.Rule | None = None,
    ) -> None:
        self._invoke = invoke
        self._clock = clock
        self._decisions: dict[tuple[Authorizer, str], tuple[float, dict[str, Any]]] = {}
        self.update(routes, cors_rule)

    def update(self, routes: list[Route], cors_rule: cors.Rule | None) -> None:
        """Replace the routes and the CORS settings."""
        self._routes = sorted(routes, key=lambda route: (route.rank, -len(route.path)))
        self._cors_rule = cors_rule

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request; a HEAD request without a body."""
        if self._cors_rule:
            start_response = cors.with_api_headers(self._cors_rule, environ, start_response)
        body = self._answer(environ, start_response)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        # API Gateway decodes the path once and cuts it at a question mark.
        path = unquote(environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")[0]).partition("?")[0]
        for route in self._routes:
            variables = route.match(method, path)
            if variables is not None:
                break
        else:
            if self._cors_rule and cors.is_preflight(environ):
                return _send(start_response, HTTPStatus.NO_CONTENT, {}, b"", [])
            return _reply(start_response, 404, '{"message":"Not Found"}')
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY_BYTES:
            return _reply(start_response, 413, '{"message":"Request Entity Too Large"}')
        event = _event(environ, route, path, variables, environ["wsgi.input"].read(length) if length else b"")
        if route.authorizer:
            identity = event["headers"].get(route.authorizer.header)
            if not identity:
                return _reply(start_response, 401, '{"message":"Unauthorized"}')
            decision = self._judge(route.authorizer, identity, event)
            if decision is None:
                return _reply(start_response, 500, '{"message":"Internal Server Error"}')
            if not decision["isAuthorized"]:
                return _reply(start_response, 403, '{"message":"Forbidden"}')
            event["requestContext"]["authorizer"] = {"lambda": decision.get("context") or {}}
        payload = json.dumps(event).encode()
        if len(payload) > MAX_REQUEST_BYTES:  # Lambda rejects it
            return _reply(start_response, 413, '{"message":"Request Entity Too Large"}')
        result = self._invoke(route.function_arn, payload)
        if result is None or result.failed:
            return _reply(start_response, 500, '{"message":"Internal Server Error"}')
        try:
            return _respond(start_response, json.loads(result.payload))
        except (AttributeError, TypeError, ValueError):  # the result of the function is not an HTTP response
            return _reply(start_response, 500, '{"message":"Internal Server Error"}')

    def clear(self) -> None:
        """Remove cached decisions of authorizers."""
        self._decisions.clear()

    def _judge(self, authorizer: Authorizer, identity: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """Return the decision of the authorizer, cached for all routes; None if the authorizer fails."""
        until, decision = self._decisions.get((authorizer, identity), (0.0, {}))
        if self._clock() < until:
            return decision
        request = {name: value for name, value in event.items() if name not in ("body", "isBase64Encoded")}
        context = event["requestContext"]
        method_and_path = f"{context['http']['method']}{event['rawPath']}"
        arn = f"arn:aws:execute-api:us-east-1:{ACCOUNT_ID}:{context['apiId']}/{context['stage']}/{method_and_path}"
        request |= {"type": "REQUEST", "routeArn": arn, "identitySource": [identity]}
        result = self._invoke(authorizer.function_arn, json.dumps(request).encode())
        answer = None if result is None or result.failed else json.loads(result.payload)
        if not isinstance(answer, dict) or not isinstance(answer.get("isAuthorized"), bool):
            return None
        self._decisions[authorizer, identity] = (self._clock() + authorizer.cached_seconds, answer)
        return answer


def _event(environ: dict[str, Any], route: Route, path: str, variables: dict[str, str], body: bytes) -> dict[str, Any]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
    query: dict[str, str] = {}
    for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    now = time.time()
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": environ.get("QUERY_STRING", ""),
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": "local",
            "domainName": headers.get("host", ""),
            "domainPrefix": "local",
            "http": {
                "method": environ["REQUEST_METHOD"],
                "path": path,
                "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
                "sourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": route.key,
            "stage": "$default",
            "time": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if query:
        event["queryStringParameters"] = query
    if variables:
        event["pathParameters"] = variables
    if body and _TEXT.match(headers.get("content-type", "")):
        event["body"] = body.decode(errors="replace")
    elif body:
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return event


def _respond(start_response: Callable[..., Any], answer: Any) -> Iterable[bytes]:
    """Convert the result of a function to HTTP; without `statusCode` it is the body of a 200."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return _reply(start_response, 200, answer if isinstance(answer, str) else json.dumps(answer))
    body = answer.get("body") or ""
    data = base64.b64decode(body) if answer.get("isBase64Encoded") else str(body).encode()
    headers = {str(name).lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
    headers.setdefault("content-type", "text/plain; charset=utf-8" if data else "application/json")
    return _send(start_response, int(answer["statusCode"]), headers, data, answer.get("cookies") or [])


def _reply(start_response: Callable[..., Any], status: int, text: str) -> Iterable[bytes]:
    return _send(start_response, status, {"content-type": "application/json"}, text.encode(), [])


def _send(
    start_response: Callable[..., Any], status: int, headers: dict[str, str], data: bytes, cookies: list[str]
) -> Iterable[bytes]:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    length = {} if status == HTTPStatus.NO_CONTENT else {"content-length": str(len(data))}  # RFC 9110, 8.6
    fields = {**headers, **length, "apigw-requestid": uuid.uuid4().hex[:16]}
    start_response(f"{status} {phrase}", [*fields.items(), *(("set-cookie", cookie) for cookie in cookies)])
    return [data]
