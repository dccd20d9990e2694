"""What only the parent process may do: follow executions; and, for tests, inject faults, replace functions and more.

Each request must have the token that the parent passed over standard input. The controls for tests run code from
requests, so they exist only if a test enables them at the start.
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
from local.emulator.moto_seams import events, executions, sqs
from local.emulator.template import TemplateError
from local.emulator.workers import InvocationResult
from local.emulator.wsgi import Environ, StartResponse, answer_json

_TOKEN_VARIABLE = "HTTP_" + TOKEN_HEADER.upper().replace("-", "_")


class Controls:
    """A WSGI application that answers control requests and passes all others on.

    Args:
        endpoint: The AWS endpoint to control; it answers other requests.
        http_api: The HTTP API, whose cached decisions `clear` removes.
        token: The token that each control request must have.
    """

    def __init__(self, endpoint: Endpoint, http_api: HttpApi, token: str) -> None:
        self._endpoint = endpoint
        self._http_api = http_api
        self._token = token
        self._commands: dict[str, Callable[..., Any]] = {"executions": executions.CHANGES.read}

    def enable_tests(self, update: Callable[[str, Mapping[str, str]], dict[str, Any]]) -> None:
        """Add the controls for tests.

        Args:
            update: Updates the stack to a template with parameters. It reports what is wrong as a TemplateError.
        """
        self._commands |= {
            "alter": self._endpoint.alter,
            "calls": self._endpoint.guard.calls,
            "clear": self._clear,
            "filled_queues": sqs.filled,
            "fault": lambda **fault: self._endpoint.add_fault(Fault(**fault)),
            "replace": self._replace,
            "restrict": self._endpoint.guard.restrict,
            "time_out": _time_out,
            "update": update,
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not environ["PATH_INFO"].startswith(CONTROL_PATH):
            return self._endpoint(environ, start_response)
        if not hmac.compare_digest(environ.get(_TOKEN_VARIABLE, "").encode(), self._token.encode()):
            return answer_json(
                start_response, HTTPStatus.FORBIDDEN, {"message": f"{TOKEN_HEADER} is missing or wrong."}
            )
        command = self._commands.get(environ["PATH_INFO"].removeprefix(CONTROL_PATH))
        if command is None or environ["REQUEST_METHOD"] != "POST":
            return answer_json(start_response, HTTPStatus.NOT_FOUND, {"message": "This control does not exist."})
        arguments = json.loads(environ["wsgi.input"].read() or b"{}")
        try:
            return answer_json(start_response, HTTPStatus.OK, command(**arguments))
        except TemplateError as error:
            return answer_json(start_response, HTTPStatus.BAD_REQUEST, {"message": str(error)})

    def _clear(self) -> None:
        self._endpoint.clear()
        self._http_api.clear()

    def _replace(self, function: str, url: str) -> None:
        """Forward invocations of a function to the process of the test, which has the replacement."""

        def forward(payload: bytes) -> InvocationResult:
            request = Request(url, data=payload, headers={TOKEN_HEADER: self._token}, method="POST")  # noqa: S310
            with urlopen(request) as response:  # noqa: S310 (the server of a test, on loopback)
                answer = json.loads(response.read())
            return InvocationResult(answer["payload"], answer["failed"])

        self._endpoint.replacements[function] = forward


def _time_out(execution: str) -> None:
    from moto.stepfunctions.parser.api import ExecutionStatus
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    _, _, _, region, account, *_ = execution.split(":")
    running_execution = stepfunctions_parser_backends[account][region].describe_execution(execution)
    executions.end(running_execution, ExecutionStatus.TIMED_OUT, events.publish)
