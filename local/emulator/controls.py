"""What tests may do to a running pipeline: break calls, replace functions, let time run out.

It runs code that a request brings along. So it exists only when a test asks for it at the start, and answers only
requests that carry the token which that test has passed over standard input.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.request import Request, urlopen

from local.emulator.configuration import CONTROL_PATH, TOKEN_HEADER
from local.emulator.endpoint import Endpoint, Fault
from local.emulator.http_api import HttpApi
from local.emulator.moto_seams import events, executions
from local.emulator.workers import Result
from local.emulator.wsgi import Application, Environ, StartResponse, answer_json

_TOKEN_VARIABLE = "HTTP_" + TOKEN_HEADER.upper().replace("-", "_")


class Controls:
    """A WSGI application that answers the calls of a test and passes everything else on.

    Args:
        application: What other requests are for.
        endpoint: The AWS endpoint to change.
        http_api: The HTTP API that must forget what it remembers.
        token: What each call must carry.
    """

    def __init__(self, application: Application, endpoint: Endpoint, http_api: HttpApi, token: str) -> None:
        self._application = application
        self._endpoint = endpoint
        self._http_api = http_api
        self._token = token
        self._commands: Mapping[str, Callable[..., Any]] = {
            "alter": endpoint.alter,
            "calls": endpoint.guard.calls,
            "clear": self._clear,
            "fault": lambda **fault: endpoint.add_fault(Fault(**fault)),
            "replace": self._replace,
            "restrict": endpoint.guard.restrict,
            "time_out": _time_out,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not environ["PATH_INFO"].startswith(CONTROL_PATH):
            return self._application(environ, start_response)
        if not hmac.compare_digest(environ.get(_TOKEN_VARIABLE, "").encode(), self._token.encode()):
            return answer_json(
                start_response, HTTPStatus.FORBIDDEN, {"message": f"{TOKEN_HEADER} is missing or wrong."}
            )
        command = self._commands.get(environ["PATH_INFO"].removeprefix(CONTROL_PATH))
        if command is None or environ["REQUEST_METHOD"] != "POST":
            return answer_json(start_response, HTTPStatus.NOT_FOUND, {"message": "There is no such control."})
        arguments = json.loads(environ["wsgi.input"].read() or b"{}")
        return answer_json(start_response, HTTPStatus.OK, command(**arguments))

    def _clear(self) -> None:
        self._endpoint.clear()
        self._http_api.clear()

    def _replace(self, function: str, url: str) -> None:
        """Answer invocations by asking the test's own process, where its callable is."""

        def ask(payload: bytes) -> Result:
            request = Request(url, data=payload, headers={TOKEN_HEADER: self._token}, method="POST")  # noqa: S310
            with urlopen(request) as response:  # noqa: S310 (a test's own server on loopback)
                answer = json.loads(response.read())
            return Result(answer["payload"], answer["failed"])

        self._endpoint.replacements[function] = ask


def _time_out(execution: str) -> None:
    from moto.stepfunctions.parser.api import ExecutionStatus
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    _, _, _, region, account, *_ = execution.split(":")
    found = stepfunctions_parser_backends[account][region].describe_execution(execution)
    executions.end(found, ExecutionStatus.TIMED_OUT, events.publish)
