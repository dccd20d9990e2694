"""The interface between the HTTP server and its applications (PEP 3333)."""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def answer_json(
    start_response: StartResponse, status: HTTPStatus, document: Any, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    """Answer a request with a JSON document."""
    body = json.dumps(document).encode()
    fixed = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", [*fixed, *headers])
    return [body]
