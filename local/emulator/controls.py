"""Controls for tests: inject faults, replace functions, time out executions, update the stack.

They run code from requests. So they exist only if a test enables them at the start, and they require the token that
this test passed over standard input.
"""

import hmac
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.request import Request, urlopen

from local.emulator.configuration import CONTROL_PATH, TOKEN_HEADER
from local.emulator.endpoint import Endpoint, Fault
from local.emulator.http_api import HttpApi
from local.emulator.moto_seams import events, executions, sqs
from local.emulator.template import TemplateError
from local.emulator.workers import InvocationResult
from local.emulator.wsgi import Application, Environ, StartResponse, answer_json

_TOKEN_VARIABLE = "HTTP_" + TOKEN_HEADER.upper().replace("-", "_")


class Controls:
    """A WSGI application that answers control requests and passes all others on.

    Args:
        application: Answers other requests.
        endpoint: The AWS endpoint to control.
        http_api: The HTTP API, whose cached decisions `clear` removes.
        token: The token that each control request must have.
    """

    def __init__(self, application: Application, endpoint: Endpoint, http_api: HttpApi, token: str) -> None:
        self._application = application
        self._endpoint = endpoint
        self._http_api = http_api
        self._token = token
        self._commands: dict[str, Callable[..., Any]] = {
            "alter": endpoint.alter,
            "calls": endpoint.guard.calls,
            "clear": self._clear,
            "filled_queues": sqs.filled,
            "fault": lambda **fault: endpoint.add_fault(Fault(**fault)),
            "replace": self._replace,
            "restrict": endpoint.guard.restrict,
            "time_out": _time_out,
        }

    def add(self, name: str, command: Callable[..., Any]) -> None:
        """Add a control. It reports what is wrong with its arguments as a TemplateError."""
        self._commands[name] = command

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
