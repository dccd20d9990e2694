"""The interface between the HTTP server and its applications (PEP 3333)."""

import json
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

_LOG = logging.getLogger(__name__)


def call(application: Application, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
    """Return status, headers and body of an answer; an unexpected error is logged and answered with 500.

    Raises:
        ConnectionError: The application closes the connection without an answer.
    """
    started: list[Any] = []
    try:
        answer = application(environ, lambda *arguments: started.extend(arguments))
        try:
            data = b"".join(answer)
        finally:
            getattr(answer, "close", lambda: None)()
    except ConnectionError:
        raise
    except Exception:
        _LOG.exception("%s %s failed.", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        return (
            "500 Internal Server Error",
            [("Content-Type", "text/plain")],
            b"Internal error of the local server; see its log.",
        )
    return started[0], started[1], data


def answer_json(
    start_response: StartResponse, status: HTTPStatus, document: Any, headers: Iterable[tuple[str, str]] = ()
) -> Iterable[bytes]:
    """Answer a request with a JSON document."""
    body = json.dumps(document).encode()
    fixed = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", [*fixed, *headers])
    return [body]
