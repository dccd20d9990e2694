"""Cross-origin resource sharing, as S3 and API Gateway implement it.

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
    """The permissions of pages of some origins."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age: int | None = None
    """Seconds for which a browser may cache the answer to a preflight."""

    @classmethod
    def of_bucket(cls, rule: Mapping[str, Any]) -> Self:
        """Read a rule of a bucket in the format of the S3 API."""
        return cls(
            origins=tuple(rule["AllowedOrigins"]),
            methods=tuple(rule["AllowedMethods"]),
            allowed_headers=tuple(rule.get("AllowedHeaders", ())),
            exposed_headers=tuple(rule.get("ExposeHeaders", ())),
            max_age=rule.get("MaxAgeSeconds"),
        )

    @classmethod
    def of_api(cls, configuration: Mapping[str, Any]) -> Self:
        """Read the CORS configuration of an HTTP API in the format of the template."""
        return cls(
            origins=tuple(configuration.get("AllowOrigins", ())),
            methods=tuple(configuration.get("AllowMethods", ())),
            allowed_headers=tuple(configuration.get("AllowHeaders", ())),
            exposed_headers=tuple(configuration.get("ExposeHeaders", ())),
            max_age=configuration.get("MaxAge"),
        )

    def allows_origin(self, origin: str) -> bool:
        """Return whether the rule applies to an origin."""
        return any(matches(pattern, origin) for pattern in self.origins)

    def allows_headers(self, names: Iterable[str]) -> bool:
        """Return whether pages may send all of these headers."""
        patterns = [pattern.lower() for pattern in self.allowed_headers]
        return all(any(matches(pattern, name.lower()) for pattern in patterns) for name in names)


def bucket_rules(properties: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Translate the CORS rules of a bucket from the names of the template to those of the S3 API."""
    names = {"ExposedHeaders": "ExposeHeaders", "Id": "ID", "MaxAge": "MaxAgeSeconds"}
    rules = properties.get("CorsConfiguration", {}).get("CorsRules", [])
    return [{names.get(name, name): value for name, value in rule.items()} for rule in rules]


def matches(pattern: str, text: str) -> bool:
    """Return whether an origin or a header matches a pattern, in which `*` matches any characters."""
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def is_preflight(environ: Environ) -> bool:
    """Return whether a request is a CORS preflight."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
    )


def with_api_headers(rule: Rule, environ: Environ, start_response: StartResponse) -> StartResponse:
    """Add the CORS headers of API Gateway to an answer; CORS headers of the function are removed."""
    origin = environ.get("HTTP_ORIGIN")
    headers: Headers = []
    if origin is not None and rule.allows_origin(origin):
        headers.append(("access-control-allow-origin", _allowed_origin(rule, origin)))
        if is_preflight(environ):
            headers += _list_header("access-control-allow-methods", rule.methods, ",")
            headers += _list_header("access-control-allow-headers", rule.allowed_headers, ",")
            headers += _age_header("access-control-max-age", rule)
        else:
            headers += _list_header("access-control-expose-headers", rule.exposed_headers, ",")
    return _replacing_headers(headers, "origin", start_response)


class BucketCors:
    """A WSGI application in front of S3 that answers preflights and adds the headers of the bucket's rules.

    Args:
        application: S3 and the services that share its port.
        read_rules: Returns the rules of a bucket; an empty list if it has none.
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
        headers = _bucket_headers(rule, origin, ()) if rule else []
        return self._application(environ, _replacing_headers(headers, _VARY, start_response))

    def _preflight(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        origin = environ.get("HTTP_ORIGIN")
        method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if origin is None:
            message = "Insufficient information. Origin request header needed."
            return _error(start_response, HTTPStatus.BAD_REQUEST, "BadRequest", message)
        if method is None:
            message = "Invalid Access-Control-Request-Method: null"
            return _error(start_response, HTTPStatus.BAD_REQUEST, "BadRequest", message)
        header_names = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "").split(",")
        names = [name.strip().lower() for name in header_names if name.strip()]
        rule = self._rule(environ, origin, method, names)
        if rule is None:
            return _error(start_response, HTTPStatus.FORBIDDEN, "AccessForbidden", _NOT_ALLOWED)
        _replacing_headers(_bucket_headers(rule, origin, names), _VARY, start_response)(
            "200 OK", [("Content-Length", "0")]
        )
        return [b""]

    def _rule(self, environ: Environ, origin: str, method: str, names: Iterable[str]) -> Rule | None:
        """Return the first rule that allows a request; None if none does."""
        for rule in self._read_rules(actions.bucket_and_key(environ)[0]):
            if rule.allows_origin(origin) and method in rule.methods and rule.allows_headers(names):
                return rule
        return None


_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def _bucket_headers(rule: Rule, origin: str, requested_headers: Iterable[str]) -> Headers:
    allowed = _allowed_origin(rule, origin)
    return [
        ("Access-Control-Allow-Origin", allowed),
        *([] if allowed == _EVERY_ORIGIN else [("Access-Control-Allow-Credentials", "true")]),
        *_list_header("Access-Control-Allow-Methods", rule.methods, ", "),
        *_list_header("Access-Control-Allow-Headers", requested_headers, ", "),
        *_list_header("Access-Control-Expose-Headers", rule.exposed_headers, ", "),
        *_age_header("Access-Control-Max-Age", rule),
    ]


def _allowed_origin(rule: Rule, origin: str) -> str:
    return _EVERY_ORIGIN if _EVERY_ORIGIN in rule.origins else origin


def _list_header(name: str, values: Iterable[str], separator: str) -> Headers:
    text = separator.join(values)
    return [(name, text)] if text else []


def _age_header(name: str, rule: Rule) -> Headers:
    return [] if rule.max_age is None else [(name, str(rule.max_age))]


def _replacing_headers(headers: Headers, vary: str, start_response: StartResponse) -> StartResponse:
    """Replace the CORS headers of an answer."""

    def start(status: str, original: Headers, *rest: Any) -> Any:
        unrelated = [(name, value) for name, value in original if not name.lower().startswith(_PREFIX)]
        return start_response(status, [*unrelated, *headers, ("Vary", vary)], *rest)

    return start


def _error(start_response: StartResponse, status: HTTPStatus, code: str, message: str) -> Iterable[bytes]:
    body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>".encode()
    start_response(
        f"{status.value} {status.phrase}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    )
    return [body]
