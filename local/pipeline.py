"""The local pipeline as a Python object, which tests and the command line share: start, upload, wait, inspect."""

import hmac
import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from boto3.dynamodb.types import TypeDeserializer

from local.emulator.clients import Clients
from local.emulator.configuration import CONTROL_PATH, TOKEN_HEADER, Configuration
from local.emulator.iam import Call

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
TIMEOUT_SECONDS = 120.0  # far longer than any execution takes, also on a busy machine
POLL_SECONDS = 0.05
PACKAGES = ["aws_lambda_powertools", "botocore.session"]
"""Nearly all functions import them, which takes more than half of the CPU time of a start."""
UPLOADS_MACHINE = "ProcessImageStateMachine"
WAITING_MACHINE = "WaitForContentStateMachine"
"""Receives uploads without content first. Version 0.1.0 does not have it."""

Replacement = Callable[[Any], Any]
"""Replaces a function: receives its event and returns its payload or raises its error."""


class StartError(Exception):
    """The local pipeline cannot start; the message says why and what to do."""


class UpdateError(Exception):
    """The stack cannot be updated; the message says why."""


@dataclass(frozen=True)
class Execution:
    """One run of a state machine."""

    arn: str
    state_machine: str
    """Its logical id; empty if it is not of the stack."""
    started: datetime
    status: str
    event: Mapping[str, Any]
    error: str | None
    cause: str | None

    @property
    def name(self) -> str:
        """The id in the record; the ARN of an Express execution has one more part."""
        return self.arn.split(":")[7]

    @property
    def key(self) -> str | None:
        """The S3 key in the event, if it has one."""
        key: str | None = self.event.get("detail", {}).get("object", {}).get("key")
        return key

    @property
    def version_id(self) -> str | None:
        """The version of the object in the event."""
        version: str | None = self.event.get("detail", {}).get("object", {}).get("version-id")
        return version

    @property
    def running(self) -> bool:
        """Whether the execution has not ended."""
        return self.status == "RUNNING"


class Pipeline:
    """A running local copy of the stack.

    Args:
        run_dir: Where logs and temporary files go.
        template: The template to deploy; this repository's by default.
        aws_port: Port of the AWS endpoint; 0 for any free one.
        api_port: Port of the HTTP API; 0 for any free one.
        parameters: Values of template parameters, instead of their defaults.
        wait_scale: Factor on the waits between retries of the workflow.
        warm: Whether to start a process for each function at once. It takes seconds of CPU; without it, the first
            invocation of a function waits for its process.
        controls: Whether tests may inject faults and replace functions; `replace`, `alter`, `fault`, `hang`,
            `time_out`, `restrict`, `calls`, `update` and `clear` require it. They are methods, although the local run
            does not use them, because tests, benchmarks and tools share them.

    Example:
        >>> with Pipeline(tmp_path) as pipeline:
        ...     pipeline.upload("uploads/beach.jpg", data)
        ...     record = pipeline.wait_for("uploads/beach.jpg")
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        template: Path = ROOT / "template.yml",
        aws_port: int = 0,
        api_port: int = 0,
        parameters: Mapping[str, str] | None = None,
        wait_scale: float = 1.0,
        warm: bool = False,
        controls: bool = False,
    ) -> None:
        self._configuration = Configuration(
            template=str(template),
            run_dir=str(run_dir.resolve()),
            aws_port=aws_port,
            api_port=api_port,
            parameters=dict(parameters or {}),
            wait_scale=wait_scale,
            warm=warm,
            packages=PACKAGES,
            controls=controls,
            control_token=secrets.token_urlsafe(32),
        )
        self.run_dir = run_dir.resolve()
        self.region = self._configuration.region
        self._process: subprocess.Popen[str] | None = None
        self._clients: Clients | None = None
        self._executions: dict[str, Execution] = {}  # by ARN
        self._position = 0
        """Of the last change of an execution that is known here."""
        self._replacements: dict[str, Replacement] = {}
        self._callbacks: ThreadingHTTPServer | None = None
        self._notifications: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self.aws_url = self.api_url = self._inbox_url = self._events_url = ""
        self.outputs: dict[str, str] = {}
        self.parameters: dict[str, str] = {}
        self.resources: list[list[str]] = []
        """Logical id, type and name of each resource."""
        self.state_machines: dict[str, str] = {}
        """The ARN of each state machine, by logical id."""
        self.environments: dict[str, dict[str, str]] = {}
        """The environment variables of each function, by logical id: the template's, and its role's credentials."""
        self.roles: dict[str, list[dict[str, Any]]] = {}
        """The policy statements of each role, by logical id."""

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Start the server process and wait until everything is deployed.

        Raises:
            StartError: A port is taken, the template cannot be deployed, or the process died.
        """
        logs = self.run_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.emulator.server"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # only this process receives Ctrl-C; it stops the server itself
            )
        try:
            answer = self._handshake(self._process)
        except BaseException:
            self.stop()
            raise
        self.aws_url = answer["awsUrl"]
        self.api_url = answer["apiUrl"]
        self._clients = Clients(self.aws_url, self.region)
        self._read_description(answer)

    def update(self, template: Path = ROOT / "template.yml", parameters: Mapping[str, str] | None = None) -> None:
        """Update the stack to another template, as CloudFormation does, while it processes uploads.

        Args:
            template: The template; this repository's by default.
            parameters: New values of parameters; all others keep their values.

        Raises:
            UpdateError: The template cannot be deployed here, or the update would replace a table or a workflow.
        """
        request = {"template": str(template), "parameters": dict(parameters or {})}
        try:
            self._read_description(self._control("update", request))
        except HTTPError as error:
            raise UpdateError(json.loads(error.read())["message"]) from error

    def stop(self) -> None:
        """Stop the server and its functions; may be called twice."""
        if self._callbacks:
            self._callbacks.shutdown()
            self._callbacks.server_close()
            self._callbacks = None
        process = self._process
        self._process = None
        if process is None:
            return
        if self._clients is None:
            process.terminate()  # still starting: it would notice a closed pipe only after the start
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._clients:
            self._clients.close()
            self._clients = None
        shutil.rmtree(self.run_dir / "tmp", ignore_errors=True)

    @property
    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The id of the server process, whose descendants are the functions."""
        return self._process.pid if self._process else None

    @property
    def uploads_bucket(self) -> str:
        """The bucket to upload to."""
        return self.outputs["UploadsBucketName"]

    @property
    def facts(self) -> dict[str, Any]:
        """What commands need to know about this pipeline, as JSON."""
        return {
            "awsUrl": self.aws_url,
            "apiUrl": self.api_url,
            "region": self.region,
            "outputs": self.outputs,
            "parameters": self.parameters,
            "resources": self.resources,
            "environments": self.environments,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client for the local endpoint."""
        if self._clients is None:
            raise RuntimeError("The pipeline is not running. Start it first.")
        return self._clients(service)

    def warm_up(self, api_key: str) -> None:
        """Send the requests of a first visitor: the first answers of a new process take longer than all others."""
        for path in ("/", "/access", "/images"):
            with suppress(HTTPError):  # the stack has no page, or takes tokens
                urlopen(Request(f"{self.api_url}{path}", headers={"x-api-key": api_key})).close()  # noqa: S310 (loopback)

    def upload(self, key: str, body: bytes, **options: Any) -> str | None:
        """Put an object into the uploads bucket.

        Returns:
            Its version id.
        """
        answer = self.client("s3").put_object(Bucket=self.uploads_bucket, Key=key, Body=body, **options)
        version: str | None = answer.get("VersionId")
        return version

    def wait_for(
        self, key: str, version_id: str | None = None, seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any] | None:
        """Wait until the executions of the newest upload of a key, or of a version, have ended.

        Returns:
            The record as plain values; None if there is none.

        Raises:
            TimeoutError: The executions have not ended in time.
        """
        if version_id is None:
            version_id = self.client("s3").head_object(Bucket=self.uploads_bucket, Key=key).get("VersionId")

        def has_ended() -> bool:
            executions = [
                execution
                for execution in list(self._executions.values())  # other threads may add some
                if execution.state_machine in (WAITING_MACHINE, UPLOADS_MACHINE)
                and (execution.key, execution.version_id) == (key, version_id)
            ]
            return bool(executions) and not any(execution.running for execution in executions)

        self._wait_for_changes(has_ended, f"the workflow for {key} to end", seconds)
        return self.record(key)

    def wait_for_end(self, arn: str, seconds: float = TIMEOUT_SECONDS) -> Execution:
        """Wait until an execution has ended.

        Raises:
            TimeoutError: It has not ended in time.
        """

        def has_ended() -> bool:
            return arn in self._executions and not self._executions[arn].running

        self._wait_for_changes(has_ended, f"{arn} to end", seconds)
        return self._executions[arn]

    def record(self, key: str) -> dict[str, Any] | None:
        """Read the record of a key from the table."""
        name = self.outputs["ImageTableName"]
        item = self.client("dynamodb").get_item(TableName=name, Key={"ImageKey": {"S": key}}).get("Item")
        if item is None:
            return None
        plain = TypeDeserializer().deserialize
        return {field: plain(value) for field, value in item.items()}

    def executions(self, state_machine: str | None = None) -> list[Execution]:
        """List the executions of one state machine, by logical id, or of all; oldest first."""
        self._read_changes(self._position)
        executions = [
            execution
            for execution in list(self._executions.values())
            if execution.state_machine and state_machine in (None, execution.state_machine)
        ]
        return sorted(executions, key=lambda execution: execution.started)

    def _wait_for_changes(self, condition: Callable[[], bool], description: str, seconds: float) -> None:
        """Wait until a condition on the known executions is true; it is tested whenever an execution changes."""
        deadline = time.monotonic() + seconds
        self._read_changes(self._position)
        while True:
            position = self._position  # another thread may read a change after the condition is tested
            if condition():
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._timeout(description, seconds)
            self._read_changes(position, remaining)

    def _read_changes(self, position: int, seconds: float = 0) -> None:
        """Read which executions have changed since a position; if none has, wait for one at most so long."""
        answer = self._request("executions", {"position": position, "seconds": seconds})
        logical_ids = {arn: logical_id for logical_id, arn in self.state_machines.items()}
        for change in answer["executions"]:
            known = self._executions.get(change["arn"])
            if known is None or known.running:
                self._executions[change["arn"]] = Execution(
                    arn=change["arn"],
                    state_machine=logical_ids.get(change["stateMachineArn"], ""),
                    started=datetime.fromisoformat(change["started"]),
                    status=change["status"],
                    event=json.loads(change["input"]),
                    error=change["error"],
                    cause=change["cause"],
                )
        self._position = max(self._position, answer["position"])  # several threads may read at the same time

    def history(self, execution: Execution) -> list[dict[str, Any]]:
        """Return the events of an execution so far."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=execution.arn)
        return [event for page in pages for event in page["events"]]

    def states_entered(self, execution: Execution) -> list[str]:
        """Return the names of the states that an execution has entered so far, in order."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.history(execution)
            if "stateEnteredEventDetails" in event
        ]

    def notifications(self) -> list[dict[str, Any]]:
        """Return all messages that topics have sent so far: `Subject`, `Message`, `MessageAttributes`."""
        self._notifications += [json.loads(message["Body"]) for message in self.take_messages(self._inbox_url)]
        return list(self._notifications)

    def events(self) -> list[dict[str, Any]]:
        """Return all events on the default bus so far, except those of AWS; they arrive soon after their cause."""
        self._events += [json.loads(message["Body"]) for message in self.take_messages(self._events_url)]
        return list(self._events)

    def take_messages(self, queue_url: str) -> list[dict[str, Any]]:
        """Remove all messages from a queue and return their `Body` and their `MessageAttributes` as strings."""
        sqs = self.client("sqs")
        received = []
        request = {"QueueUrl": queue_url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        while messages := sqs.receive_message(**request).get("Messages", []):
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                texts = {name: attribute["StringValue"] for name, attribute in attributes.items()}
                received.append({"Body": message["Body"], "MessageAttributes": texts})
            entries = [{"Id": entry["MessageId"], "ReceiptHandle": entry["ReceiptHandle"]} for entry in messages]
            sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
        return received

    def wait_until(self, condition: Callable[[], bool], description: str, seconds: float = TIMEOUT_SECONDS) -> None:
        """Poll until a condition is true.

        Raises:
            TimeoutError: The condition was not true in time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise self._timeout(description, seconds)
            time.sleep(POLL_SECONDS)

    def _timeout(self, description: str, seconds: float) -> TimeoutError:
        return TimeoutError(f"Waited {seconds:.0f} s for {description}; the logs are in {self.run_dir / 'logs'}.")

    def replace(self, logical_id: str, replacement: Replacement) -> None:
        """Replace a function by a Python callable until `clear`."""
        if self._callbacks is None:
            self._callbacks = _callbacks(self._replacements, self._token)
        self._replacements[logical_id] = replacement
        url = f"http://127.0.0.1:{self._callbacks.server_address[1]}/{logical_id}"
        self._control("replace", {"function": logical_id, "url": url})

    def alter(
        self, logical_id: str, *, source: str | None = None, timeout: float | None = None, memory: int | None = None
    ) -> None:
        """Run a function with other code or limits until `clear`; it still runs in its own process.

        Args:
            logical_id: The function's name in the template.
            source: Source of a module with a `lambda_handler`; None keeps the code of the function.
            timeout: Seconds that an invocation may take.
            memory: Mebibytes that the process may use.
        """
        self._control("alter", {"logical_id": logical_id, "source": source, "timeout": timeout, "memory": memory})

    def fault(
        self,
        service: str,
        operation: str,
        error_code: str,
        times: int = 1,
        *,
        status: int = 0,
        containing: str | Iterable[str] = (),
        effective: bool = False,
    ) -> None:
        """Fail the next calls of an AWS operation, from any caller, until `clear`.

        Args:
            service: boto3's name of the service, such as `dynamodb`.
            operation: The operation, such as `UpdateItem`.
            error_code: The code of the error that is returned.
            times: How many calls fail; -1 for all.
            status: The HTTP status; 0 chooses 500 or 400 by the code. `Invoke` of Lambda returns an error of the
                function with 200.
            containing: Fail only requests that contain this text, or all of these texts, in their path or body.
            effective: Whether the operation takes effect although the call fails.
        """
        selector = _calls(service, operation, times, containing, effective)
        self._control("fault", {**selector, "error_code": error_code, "status": status})

    def hang(
        self,
        service: str,
        operation: str,
        times: int = 1,
        *,
        containing: str | Iterable[str] = (),
        effective: bool = False,
    ) -> None:
        """Leave the next calls of an AWS operation without a response, until `clear`.

        A state of a workflow that makes such a call times out at once: `States.Timeout`. Any other caller waits until
        its own timeout.

        Args:
            service: As for `fault`.
            operation: As for `fault`.
            times: As for `fault`.
            containing: As for `fault`.
            effective: Whether the operation takes effect, so that only the response is lost.
        """
        self._control("fault", _calls(service, operation, times, containing, effective))

    def time_out(self, execution: Execution) -> None:
        """Time out an execution, as if the `TimeoutSeconds` of its definition had passed."""
        self._control("time_out", {"execution": execution.arn})

    def restrict(self, role: str, statements: list[dict[str, Any]]) -> None:
        """Replace the policy statements of a role, by logical id, until `clear`."""
        self._control("restrict", {"logical_id": role, "statements": statements})

    def calls(self) -> list[Call]:
        """List the permissions that roles requested since `clear`, each once."""
        return [Call(**call) for call in self._control("calls", {})]

    def filled_queues(self) -> list[str]:
        """Return the names of the queues whose messages can be received now."""
        names: list[str] = self._control("filled_queues", {})
        return names

    def clear(self) -> None:
        """Remove faults, replacements and recorded calls; restore the code of functions and the policies of roles."""
        self._replacements.clear()
        self._control("clear", {})

    def _read_description(self, stack: dict[str, Any]) -> None:
        self._inbox_url = stack["inboxUrl"]
        self._events_url = stack["eventsUrl"]
        self.outputs = stack["outputs"]
        self.parameters = stack["parameters"]
        self.resources = stack["resources"]
        self.state_machines = stack["stateMachines"]
        self.environments = stack["environments"]
        self.roles = stack["roles"]

    def _handshake(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Send the configuration and read the answer."""
        guard = threading.Timer(START_SECONDS, process.kill)
        guard.daemon = True  # an interruption before `cancel` must not wait for it
        guard.start()
        try:
            if process.stdin and process.stdout:
                process.stdin.write(json.dumps(asdict(self._configuration)) + "\n")
                process.stdin.flush()
                answer: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            log = self.run_dir / "logs" / "server.log"
            raise StartError(f"The server ended before it was ready; see {log}.") from error
        finally:
            guard.cancel()
        if "error" in answer:
            raise StartError(answer["error"])
        return answer

    def _control(self, command: str, request: Mapping[str, Any]) -> Any:
        if not self._configuration.controls:
            raise RuntimeError("This pipeline has no controls for tests. Start it with controls=True.")
        return self._request(command, request)

    def _request(self, command: str, request: Mapping[str, Any]) -> Any:
        """Send a request that only this process may send."""
        url = f"{self.aws_url}{CONTROL_PATH}{command}"
        body = json.dumps(request).encode()
        headers = {TOKEN_HEADER: self._token}
        with urlopen(Request(url, data=body, headers=headers, method="POST")) as answer:  # noqa: S310 (loopback)
            return json.loads(answer.read())

    @property
    def _token(self) -> str:
        return self._configuration.control_token


def _calls(
    service: str, operation: str, times: int, containing: str | Iterable[str], effective: bool
) -> dict[str, Any]:
    """Describe the calls that a fault applies to."""
    texts = [containing] if isinstance(containing, str) else list(containing)
    return {"service": service, "operation": operation, "times": times, "containing": texts, "effective": effective}


def _callbacks(replacements: Mapping[str, Replacement], token: str) -> ThreadingHTTPServer:
    """Serve the replaced functions to the server process only."""

    class ReplacementHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if not hmac.compare_digest(self.headers.get(TOKEN_HEADER, "").encode(), token.encode()):
                self.send_error(403)
                return
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            try:
                answer = {"payload": json.dumps(replacements[self.path[1:]](event)), "failed": False}
            except Exception as error:
                error_payload = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}
                answer = {"payload": json.dumps(error_payload), "failed": True}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), ReplacementHandler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
