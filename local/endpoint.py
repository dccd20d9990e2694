"""The AWS endpoint on loopback: moto's server, with a layer in front for what moto cannot do.

The layer answers Lambda's `Invoke` and Rekognition's `DetectLabels`, fails the calls that a test wants failed, and
passes everything else on. It touches no private name of moto.
"""

import io
import json
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local import rekognition
from local.workers import Result, Workers

MAX_REQUEST_BYTES = 6_291_456  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_INVOKE = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")
_CREDENTIAL = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/")
_FORM = "application/x-www-form-urlencoded"
_SERVICES = {"states": "stepfunctions", "monitoring": "cloudwatch"}
_SERVER_ERRORS = ("InternalServerError", "InternalError", "InternalErrorException", "ServiceException")


@dataclass
class Fault:
    """A call that shall fail: which, how, and how many times more."""

    service: str
    operation: str
    error_code: str
    times: int
    status: int = 0
    containing: str = ""


class QuietHandler(MotoRequestHandler):
    """Serves without a log line per request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


class Endpoint:
    """The WSGI application in front of moto.

    Args:
        workers: Runs the functions.
        read_object: Gives Rekognition's stand-in an object of S3.
    """

    def __init__(self, workers: Workers, read_object: rekognition.ReadObject) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._workers = workers
        self._read_object = read_object
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.replacements: dict[str, Callable[[bytes], Result]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if self._faults and (fault := self._matching_fault(environ)):
            return _error(environ, start_response, fault)
        if match := _INVOKE.match(environ["PATH_INFO"]):
            return self._invoke(unquote(match[1]), environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") == "RekognitionService.DetectLabels":
            status, answer = rekognition.detect_labels(json.loads(_body(environ)), self._read_object)
            return _json(start_response, status, answer)
        if environ["REQUEST_METHOD"] == "PUT" and environ.get("CONTENT_TYPE", "").startswith(_FORM):
            # An upload by a client that declares every body a form; moto would look for parameters in it and lose it.
            environ["CONTENT_TYPE"] = "binary/octet-stream"
        answer_of_moto: Iterable[bytes] = self._moto(environ, start_response)
        return answer_of_moto

    def invoke(self, name: str, payload: bytes) -> Result | None:
        """Run a function by name or ARN; None when there is no such function."""
        function = self._workers.find(name)
        if function is None:
            return None
        if replacement := self.replacements.get(function.logical_id):
            return replacement(payload)
        return self._workers.invoke(function, json.loads(payload or b"{}"))

    def add_fault(self, fault: Fault) -> None:
        """Fail the next calls that match."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget faults and replacements."""
        with self._lock:
            self._faults.clear()
        self.replacements.clear()

    def _invoke(self, name: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        payload = _body(environ)
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
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if result.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        return _answer(start_response, 200, "application/json", result.payload, headers)

    def _matching_fault(self, environ: Environ) -> Fault | None:
        service, operation = identify(environ)
        with self._lock:
            for fault in self._faults:
                if (fault.service, fault.operation) == (service, operation) and _mentions(environ, fault.containing):
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
                    return fault
        return None


def serve(application: Any, port: int) -> int:
    """Bind a loopback port (0: any free one) and answer on it from a thread.

    Returns:
        The port.

    Raises:
        OSError: The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        server = make_server(
            "127.0.0.1", port, application, threaded=True, request_handler=QuietHandler, fd=listener.fileno()
        )
    finally:
        listener.close()  # the server has a duplicate
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return int(server.socket.getsockname()[1])


def identify(environ: Environ) -> tuple[str, str]:
    """Tell service and operation of a request in boto3's names, such as `("dynamodb", "UpdateItem")`."""
    if _INVOKE.match(environ["PATH_INFO"]):
        return "lambda", "Invoke"
    credential = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = credential[1] if credential else "s3"
    service = _SERVICES.get(service, service)
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, target.rpartition(".")[2]
    if service == "s3":
        return service, _s3_operation(environ)
    return service, parse_qs(_peek(environ).decode("utf-8", "replace")).get("Action", [""])[0]


def _s3_operation(environ: Environ) -> str:
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    _, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if not key:
        if method == "GET" and not query.keys() - {"list-type", "prefix", "delimiter", "max-keys", "encoding-type"}:
            return "ListObjectsV2" if "list-type" in query else "ListObjects"
        return {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}.get(method, "")
    if method == "PUT":
        if "uploadId" in query:
            return "UploadPart"
        return "CopyObject" if "HTTP_X_AMZ_COPY_SOURCE" in environ else "PutObject"
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    return {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, "")


def _mentions(environ: Environ, text: str) -> bool:
    return not text or text in unquote(environ["PATH_INFO"]) or text.encode() in _peek(environ)


def _body(environ: Environ) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    body: bytes = environ["wsgi.input"].read(int(length)) if length else b""
    return body


def _peek(environ: Environ) -> bytes:
    body = _body(environ)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _error(environ: Environ, start_response: StartResponse, fault: Fault) -> Iterable[bytes]:
    status = fault.status or (500 if fault.error_code in _SERVER_ERRORS else 400)
    _body(environ)  # a client that is still sending would see a broken pipe instead of the answer
    message = f"Injected by a test: {fault.error_code}"
    if fault.service == "lambda":
        return _lambda_error(start_response, status, fault.error_code, message)
    if "HTTP_X_AMZ_TARGET" in environ:
        return _json(start_response, status, {"__type": fault.error_code, "message": message, "Message": message})
    detail = f"<Error><Code>{escape(fault.error_code)}</Code><Message>{escape(message)}</Message></Error>"
    if fault.service != "s3":
        detail = f"<ErrorResponse>{detail}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    return _answer(start_response, status, "application/xml", detail)


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
