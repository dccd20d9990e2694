"""The AWS endpoint on loopback: the server of moto, with a layer in front for features that moto lacks.

The layer checks calls of roles against their policies and presigned requests as S3 does, answers `Invoke` of Lambda and
`DetectLabels` of Rekognition, injects faults for tests, and passes everything else on. It uses no private name of moto.
"""

import io
import json
import select
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from local.emulator import actions, presigned, rekognition
from local.emulator.iam import Denial, Guard, Role
from local.emulator.moto_seams import stepfunctions
from local.emulator.request_body import BodyError, read_chunks
from local.emulator.services import Service
from local.emulator.workers import MAX_REQUEST_BYTES, InvocationResult, Workers, failure
from local.emulator.wsgi import Environ, StartResponse

POLL_SECONDS = 0.05
SERVICES = frozenset(
    {"cloudwatch", "dynamodb", "dynamodbstreams", "events", "s3", "sns", "sqs", "stepfunctions", "sts"}
)
"""The services of moto that are served. Clients ask STS for the identity of their credentials."""

_FORM = "application/x-www-form-urlencoded"
_S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_SERVER_ERRORS = ("InternalServerError", "InternalError", "InternalErrorException", "ServiceException")


@dataclass
class Fault:
    """A fault to inject: which calls fail, how, and how often."""

    service: str
    operation: str
    times: int
    containing: list[str]
    error_code: str = ""
    """Empty if the call gets no response at all."""
    status: int = 0
    effective: bool = False
    """Whether the operation takes effect although the call fails."""


class Endpoint:
    """The WSGI application in front of moto.

    Args:
        workers: Runs the functions.
        guard: Checks the calls of roles.
        read_object: Reads an object of S3 for the stand-in of Rekognition.
    """

    def __init__(self, workers: Workers, guard: Guard, read_object: rekognition.ReadObject) -> None:
        self._moto = DomainDispatcherApplication(_application)
        self._workers = workers
        self.guard = guard
        self._read_object = read_object
        self._faults: list[Fault] = []
        self._cleared = threading.Event()
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self.replacements: dict[str, Callable[[bytes], InvocationResult]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._faults and (fault := self._matching_fault(environ)):
            actions.peek(
                environ
            )  # read it all: a client that is still sending would get a broken pipe instead of the answer
            if fault.effective:
                b"".join(self._answer(environ, lambda *_: None))
            if fault.error_code:
                return _fault(environ, start_response, fault)
            return self._leave_unanswered(environ, start_response)
        return self._answer(environ, start_response)

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            presigned.judge(environ, datetime.now(UTC))
        except presigned.S3RefusalError as error:
            return _error(environ, start_response, "s3", error.status, error.code, error.message)
        if _is_truncated(environ):
            message = "You did not provide the number of bytes specified by the x-amz-decoded-content-length header."
            return _error(environ, start_response, "s3", 400, "IncompleteBody", message)
        role = self.guard.caller(environ)
        if role and (denial := self.guard.judge(role, environ)):
            if actions.identify(environ) == ("s3", "DeleteObjects"):
                return self._delete_allowed(role, environ, start_response)
            return _denied(environ, start_response, denial)
        if match := actions.INVOCATION.match(environ["PATH_INFO"]):
            return self._invoke(unquote(match[1]), environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") == "RekognitionService.DetectLabels":
            status, answer = rekognition.detect_labels(
                json.loads(actions.body(environ)), self._reader_for(role, environ)
            )
            return _json(start_response, status, answer)
        if environ["REQUEST_METHOD"] == "PUT" and environ.get("CONTENT_TYPE", "").startswith(_FORM):
            # Some clients declare every body a form; moto would parse it for parameters and lose it.
            environ["CONTENT_TYPE"] = "binary/octet-stream"
        body: Iterable[bytes]
        if role is None or (listing := actions.list_permission(environ)) is None:
            with self._one_at_a_time if _is_for_dynamodb(environ) else nullcontext():
                body = self._moto(environ, start_response)
            return body
        started: list[Any] = []
        body = self._moto(environ, lambda *arguments: started.extend(arguments))
        if started[0].startswith("404") and not self.guard.allows(role, listing):
            return _denied(environ, start_response, Denial("s3", "Access Denied"))
        start_response(*started)
        return body

    def invoke(self, name: str, payload: bytes) -> InvocationResult | None:
        """Run a function by name or ARN; None if it does not exist."""
        function = self._workers.find(name)
        if function is None:
            return None
        if replacement := self.replacements.get(function.logical_id):
            return replacement(payload)
        return self._workers.invoke(function, json.loads(payload or b"{}"))

    def alter(self, logical_id: str, source: str | None, timeout: float | None, memory: int | None) -> None:
        """Run a function with other code or limits until `clear`."""
        self._workers.alter(logical_id, source, timeout, memory)

    def add_fault(self, fault: Fault) -> None:
        """Inject a fault into the next matching calls."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Remove faults and replacements, and restore the code of functions and the policies of roles."""
        with self._lock:
            self._faults.clear()
            self._cleared.set()
            self._cleared = threading.Event()
        self.replacements.clear()
        self._workers.restore()
        self.guard.clear()

    def _reader_for(self, role: Role | None, environ: Environ) -> rekognition.ReadObject:
        """Return a function that reads objects with the permissions of the caller, as Rekognition does."""
        region = actions.region_of(environ)

        def read(bucket: str, key: str, version: str | None) -> bytes:
            if role and not self.guard.allows(
                role, actions.read_permission(bucket=bucket, key=key, version=version, region=region)
            ):
                raise KeyError(key)
            return self._read_object(bucket, key, version)

        return read

    def _delete_allowed(self, role: Role, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Delete the allowed objects of a batch; the answer lists the denied ones, as that of S3 does."""
        batch = ElementTree.fromstring(actions.peek(environ))  # noqa: S314 (the body is from a function)
        permissions = zip(batch.findall("{*}Object"), actions.needs(environ), strict=True)
        denied = [entry for entry, need in permissions if not self.guard.allows(role, need)]
        for entry in denied:
            batch.remove(entry)
        answer = f'<DeleteResult xmlns="{_S3_NAMESPACE}"/>'.encode()
        if batch.find("{*}Object") is not None:
            body = ElementTree.tostring(batch, default_namespace=_S3_NAMESPACE)
            environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            answer = b"".join(self._moto(environ, lambda *_: None))
        result = ElementTree.fromstring(answer)  # noqa: S314 (the answer of moto)
        for entry in denied:
            facts = {field.tag.rpartition("}")[2]: field.text for field in entry}
            error = ElementTree.SubElement(result, f"{{{_S3_NAMESPACE}}}Error")
            for name, text in {**facts, "Code": "AccessDenied", "Message": "Access Denied"}.items():
                ElementTree.SubElement(error, f"{{{_S3_NAMESPACE}}}{name}").text = text
        text = ElementTree.tostring(result, encoding="unicode", default_namespace=_S3_NAMESPACE)
        return _answer(start_response, 200, "application/xml", text)

    def _invoke(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        payload = actions.body(environ)
        if len(payload) > MAX_REQUEST_BYTES:
            message = f"Request must be smaller than {MAX_REQUEST_BYTES} bytes for the InvokeFunction operation"
            return _lambda_error(start_response, 413, "RequestTooLargeException", message)
        if environ.get("HTTP_X_AMZ_INVOCATION_TYPE") == "Event":
            if self._workers.find(name):
                threading.Thread(target=self.invoke, args=(name, payload), daemon=True).start()
                start_response("202 Accepted", [("Content-Length", "0")])
                return [b""]
            result = None
        else:
            result = self.invoke(name, payload)
        if result is None:
            return _lambda_error(start_response, 404, "ResourceNotFoundException", f"Function not found: {name}")
        return _invoked(start_response, result)

    def _leave_unanswered(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send no response: a state of the engine times out; other callers wait until they give up or `clear`."""
        if stepfunctions.USER_AGENT in environ.get("HTTP_USER_AGENT", ""):
            return _answer(start_response, 200, "text/plain", "", {stepfunctions.UNANSWERED: "yes"})
        connection = environ.get("werkzeug.socket")  # a client in this process has none
        cleared = self._cleared  # `clear` replaces it
        while not cleared.wait(POLL_SECONDS):
            # The request is read completely, so a readable connection has been closed by the client.
            if connection and select.select([connection], [], [], 0)[0]:
                break
        if connection:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError  # the server logs nothing

    def _matching_fault(self, environ: Environ) -> Fault | None:
        service, operation = actions.identify(environ)
        with self._lock:
            for fault in self._faults:
                is_operation = (fault.service, fault.operation) == (service, operation)
                if is_operation and all(_mentions(environ, text) for text in fault.containing):
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
                    return fault
        return None


def _is_truncated(environ: Environ) -> bool:
    """Return whether a body in chunks is shorter than its header says; moto would store it."""
    length: str | None = environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH")
    if length is None:
        return False
    try:
        return str(len(read_chunks(io.BytesIO(actions.peek(environ))))) != length
    except BodyError:
        return True


def _application(service: Any) -> Any:
    """Create the application of a service; other services and the API of moto are not served.

    Some services of moto have side effects: AWS Batch and Lambda start Docker containers that a request names, and the
    API of moto resets all state.
    """
    if service not in SERVICES:
        return _not_served
    return Service(service)


def _not_served(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    service, _ = actions.identify(environ)
    message = f"The local run does not support this service; it supports {', '.join(sorted(SERVICES))}."
    return _error(environ, start_response, service, 501, "NotImplemented", message)


def _is_for_dynamodb(environ: Environ) -> bool:
    """Return whether a request is for DynamoDB, whose writes are atomic; those of moto are visible step by step."""
    return str(environ.get("HTTP_X_AMZ_TARGET", "")).startswith("DynamoDB")


def _mentions(environ: Environ, text: str) -> bool:
    return text in unquote(environ["PATH_INFO"]) or text.encode() in actions.peek(environ)


def _denied(environ: Environ, start_response: StartResponse, denial: Denial) -> Iterable[bytes]:
    return _error(environ, start_response, denial.service, denial.status, denial.code, denial.message)


def _fault(environ: Environ, start_response: StartResponse, fault: Fault) -> Iterable[bytes]:
    status = fault.status or (500 if fault.error_code in _SERVER_ERRORS else 400)
    message = f"Injected by a test: {fault.error_code}"
    if fault.service == "lambda" and status == 200:
        return _invoked(start_response, failure(fault.error_code, message))
    return _error(environ, start_response, fault.service, status, fault.error_code, message)


def _error(
    environ: Environ, start_response: StartResponse, service: str, status: int, code: str, message: str
) -> Iterable[bytes]:
    """Answer with an error in the format of the service."""
    actions.body(environ)  # a client that is still sending would get a broken pipe instead of the answer
    if service == "lambda":
        return _lambda_error(start_response, status, code, message)
    if "HTTP_X_AMZ_TARGET" in environ:
        return _json(start_response, status, {"__type": code, "message": message, "Message": message})
    detail = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if service != "s3":
        detail = f"<ErrorResponse>{detail}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    return _answer(start_response, status, "application/xml", "" if environ["REQUEST_METHOD"] == "HEAD" else detail)


def _invoked(start_response: StartResponse, result: InvocationResult) -> Iterable[bytes]:
    headers = {"X-Amz-Executed-Version": "$LATEST"}
    if result.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return _answer(start_response, 200, "application/json", result.payload, headers)


def _lambda_error(start_response: StartResponse, status: int, code: str, message: str) -> Iterable[bytes]:
    body = json.dumps({"Type": "User", "Message": message, "message": message})
    return _answer(start_response, status, "application/json", body, {"X-Amzn-ErrorType": code})


def _json(start_response: StartResponse, status: int, answer: Any) -> Iterable[bytes]:
    return _answer(start_response, status, "application/x-amz-json-1.1", json.dumps(answer))


def _answer(
    start_response: StartResponse, status: int, content_type: str, text: str, headers: dict[str, str] | None = None
) -> Iterable[bytes]:
    body = text.encode()
    fixed = {"Content-Type": content_type, "Content-Length": str(len(body)), "X-Amzn-RequestId": str(uuid.uuid4())}
    start_response(f"{status} {'OK' if status == 200 else 'Error'}", list((fixed | (headers or {})).items()))
    return [body]
