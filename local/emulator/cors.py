"""Cross-origin resource sharing: what S3 and API Gateway let the pages of other origins do and read.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Self
from xml.sax.saxutils import escape

from local.emulator import actions
from local.emulator.wsgi import Application, Environ, StartResponse

Headers = list[tuple[str, str]]

_EVERY_ORIGIN = "*"
_PREFIX = "access-control-"
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


@dataclass(frozen=True)
class Rule:
    """What pages of some origins may do."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age: int | None = None
    """Seconds for which a browser may remember the answer to a preflight."""

    @classmethod
    def of_bucket(cls, rule: Mapping[str, Any]) -> Self:
        """Read a rule of a bucket as S3's API gives it."""
        return cls(
            origins=tuple(rule["AllowedOrigins"]),
            methods=tuple(rule["AllowedMethods"]),
            allowed_headers=tuple(rule.get("AllowedHeaders", ())),
            exposed_headers=tuple(rule.get("ExposeHeaders", ())),
            max_age=rule.get("MaxAgeSeconds"),
        )

    @classmethod
    def of_api(cls, configuration: Mapping[str, Any]) -> Self:
        """Read the CORS configuration of an HTTP API as a template gives it."""
        return cls(
            origins=tuple(configuration.get("AllowOrigins", ())),
            methods=tuple(configuration.get("AllowMethods", ())),
            allowed_headers=tuple(configuration.get("AllowHeaders", ())),
            exposed_headers=tuple(configuration.get("ExposeHeaders", ())),
            max_age=configuration.get("MaxAge"),
        )

    def allows_origin(self, origin: str) -> bool:
        """Tell whether the rule is for pages of an origin."""
        return any(matches(each, origin) for each in self.origins)

    def allows_headers(self, names: Iterable[str]) -> bool:
        """Tell whether pages may send all of these headers."""
        allowed = [each.lower() for each in self.allowed_headers]
        return all(any(matches(each, name.lower()) for each in allowed) for name in names)


def matches(pattern: str, text: str) -> bool:
    """Compare an origin or a header with one of a rule, in which `*` stands for any characters."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def is_preflight(environ: Environ) -> bool:
    """Tell whether a browser asks what a page may do, before the page does it."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def answer_of_api(rule: Rule, environ: Environ, start_response: StartResponse) -> StartResponse:
    """Add what API Gateway adds to an answer; the function's own headers for CORS are dropped."""
    origin = environ.get("HTTP_ORIGIN")
    headers: Headers = []
    if origin is not None and rule.allows_origin(origin):
        headers.append(("access-control-allow-origin", _allowed(rule, origin)))
        if is_preflight(environ):
            headers += _listed("access-control-allow-methods", rule.methods, ",")
            headers += _listed("access-control-allow-headers", rule.allowed_headers, ",")
            headers += _age("access-control-max-age", rule)
        else:
            headers += _listed("access-control-expose-headers", rule.exposed_headers, ",")
    return _with(headers, "origin", start_response)


class BucketCors:
    """A WSGI application in front of S3 that answers preflights and adds the headers of the bucket's rules.

    Args:
        application: S3, and whatever else is served with it.
        read_rules: Gives the rules of a bucket; none when it has none.
    """

    def __init__(self, application: Application, read_rules: Callable[[str], list[Rule]]) -> None:
        self._application = application
        self._read_rules = read_rules

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return self._preflight(environ, start_response)
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or actions.identify(environ)[0] != "s3":
            return self._application(environ, start_response)
        rule = self._rule(environ, origin, environ["REQUEST_METHOD"], ())
        headers = _of_bucket(rule, origin, ()) if rule else []
        return self._application(environ, _with(headers, _VARY, start_response))

    def _preflight(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if origin is None:
            message = "Insufficient information. Origin request header needed."
            return _error(start_response, HTTPStatus.BAD_REQUEST, "BadRequest", message)
        if method is None:
            message = "Invalid Access-Control-Request-Method: null"
            return _error(start_response, HTTPStatus.BAD_REQUEST, "BadRequest", message)
        asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").split(",")
        names = [name.strip().lower() for name in asked if name.strip()]
        rule = self._rule(environ, origin, method, names)
        if rule is None:
            return _error(start_response, HTTPStatus.FORBIDDEN, "AccessForbidden", _NOT_ALLOWED)
        _with(_of_bucket(rule, origin, names), _VARY, start_response)("200 OK", [("Content-Length", "0")])
        return [b""]

    def _rule(self, environ: Environ, origin: str, method: str, names: Iterable[str]) -> Rule | None:
        """Find the first rule that allows a request; None when none does."""
        for rule in self._read_rules(actions.bucket_and_key(environ)[0]):
            if rule.allows_origin(origin) and method in rule.methods and rule.allows_headers(names):
                return rule
        return None


_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def _of_bucket(rule: Rule, origin: str, asked: Iterable[str]) -> Headers:
    allowed = _allowed(rule, origin)
    return [
        ("Access-Control-Allow-Origin", allowed),
        *([] if allowed == _EVERY_ORIGIN else [("Access-Control-Allow-Credentials", "true")]),
        *_listed("Access-Control-Allow-Methods", rule.methods, ", "),
        *_listed("Access-Control-Allow-Headers", asked, ", "),
        *_listed("Access-Control-Expose-Headers", rule.exposed_headers, ", "),
        *_age("Access-Control-Max-Age", rule),
    ]


def _allowed(rule: Rule, origin: str) -> str:
    return _EVERY_ORIGIN if _EVERY_ORIGIN in rule.origins else origin


def _listed(name: str, values: Iterable[str], separator: str) -> Headers:
    text = separator.join(values)
    return [(name, text)] if text else []


def _age(name: str, rule: Rule) -> Headers:
    return [] if rule.max_age is None else [(name, str(rule.max_age))]


def _with(headers: Headers, vary: str, start_response: StartResponse) -> StartResponse:
    """Replace the headers for CORS of an answer."""

    def start(status: str, given: Headers, *rest: Any) -> Any:
        kept = [(name, value) for name, value in given if not name.lower().startswith(_PREFIX)]
        return start_response(status, [*kept, *headers, ("Vary", vary)], *rest)

    return start


def _error(start_response: StartResponse, status: HTTPStatus, code: str, message: str) -> Iterable[bytes]:
    body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>".encode()
    start_response(
        f"{status.value} {status.phrase}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    )
    return [body]
