"""The process behind a local pipeline: endpoint, functions and HTTP API, deployed and ready.

It reads its configuration as one line of JSON from standard input, answers one line on standard output, and ends when
standard input does: whatever happens to the parent, nothing is left behind. moto keeps its state in globals, so a
process of its own also keeps it apart from moto in a test.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.clients import DUMMY_KEY, Clients, variables

CONTROL_PATH = "/_local"


@dataclass(frozen=True)
class Configuration:
    """What a server is started with; port 0 takes any free one."""

    template: str
    run_dir: str
    stack_name: str = "image-pipeline"
    region: str = "us-east-1"
    aws_port: int = 0
    api_port: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    per_function: int = 2
    total: int = 4
    wait_scale: float = 1.0
    """Waits between retries are multiplied by this, so that a test need not sit them out."""


def main() -> None:
    """Start everything, say so, and stay until the parent hangs up."""
    configuration = Configuration(**json.loads(sys.stdin.readline()))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that moto prints may mix with the answer
    try:
        stop, answer = start(configuration)
    except Exception as error:
        import traceback

        traceback.print_exc()
        print(json.dumps({"error": str(error) or type(error).__name__}), file=answers, flush=True)
        os._exit(1)

    def finish(*_: object) -> None:
        stop()
        os._exit(0)  # executions may still run in threads

    signal.signal(signal.SIGTERM, finish)
    print(json.dumps(answer), file=answers, flush=True)
    sys.stdin.read()
    finish()


def start(configuration: Configuration) -> tuple[Callable[[], None], dict[str, Any]]:
    """Start and deploy.

    Returns:
        What stops it, and what the parent needs to know.

    Raises:
        RuntimeError: A port is taken, or a seam of moto has moved.
        TemplateError: The template cannot be deployed here.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": DUMMY_KEY,
        "AWS_SECRET_ACCESS_KEY": DUMMY_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_DEFAULT_REGION": configuration.region,
    }

    from moto.core.config import default_user_config

    from local import (
        dynamodb,
        endpoint,
        events,
        executions,
        jsonata,
        listing,
        service_tasks,
        sqs,
        stepfunctions,
        template,
    )
    from local.deliveries import Deliveries
    from local.deploy import deploy, plan
    from local.http_api import HttpApi
    from local.iam import Guard
    from local.queues import Queues
    from local.streams import Streams
    from local.workers import Workers, credentials

    dynamodb.install()
    endpoint.install()
    jsonata.install()
    events.install()
    listing.install()
    sqs.install()
    stepfunctions.install(configuration.wait_scale)
    service_tasks.install()
    executions.install(events.publish)
    default_user_config["stepfunctions"]["execute_state_machine"] = True

    # The ports come first: addresses are part of what is deployed.
    aws, api = _Later(), _Later()
    aws_port = _bind(endpoint.serve, aws, configuration.aws_port, "the AWS endpoint")
    api_port = _bind(endpoint.serve, api, configuration.api_port, "the HTTP API")
    aws_url = f"http://127.0.0.1:{aws_port}"
    api_url = f"http://127.0.0.1:{api_port}"
    os.environ["MOTO_PORT"] = str(aws_port)

    loaded = template.load(
        Path(configuration.template), configuration.stack_name, configuration.region, configuration.parameters
    )
    stack = plan(loaded, aws_url, api_url)
    clients = Clients(aws_url, configuration.region)
    s3 = clients("s3")

    def read_object(bucket: str, key: str, version: str | None) -> bytes:
        which = {"VersionId": version} if version else {}
        try:
            body: bytes = s3.get_object(Bucket=bucket, Key=key, **which)["Body"].read()
        except s3.exceptions.ClientError as error:
            raise KeyError(key) from error
        return body

    environment = variables(aws_url, configuration.region) | {"AWS_REGION": configuration.region}
    run_dir = Path(configuration.run_dir)
    workers = Workers(stack.functions, environment, run_dir, configuration.per_function, configuration.total)
    threading.Thread(target=workers.warm, args=(stack.functions,), daemon=True).start()
    guard = Guard(stack.roles, stack.resource_policies)
    front = endpoint.Endpoint(workers, guard, read_object)
    http_api = HttpApi(stack.routes, front.invoke)
    aws.application = _Control(front, http_api)
    api.application = http_api
    deploy(loaded, stack, clients)
    deliveries = Deliveries(clients, guard, configuration.wait_scale)
    for delivery in stack.deliveries:
        deliveries.follow(delivery)
    streams = Streams(clients, front.invoke, configuration.wait_scale)
    for mapping in stack.mappings:
        streams.follow(mapping)
    queues = Queues(clients, front.invoke, configuration.wait_scale)
    for queue_mapping in stack.queue_mappings:
        queues.follow(queue_mapping)

    def stop() -> None:
        queues.stop()
        streams.stop()
        deliveries.stop()
        workers.stop()

    answer = {
        "awsUrl": aws_url,
        "apiUrl": api_url,
        "region": configuration.region,
        "inboxUrl": stack.inbox_url,
        "eventsUrl": stack.events_url,
        "outputs": stack.outputs,
        "stateMachines": stack.state_machines,
        "environments": {
            function.logical_id: {**function.environment, **credentials(function)} for function in stack.functions
        },
        "roles": {role.logical_id: role.statements for role in stack.roles},
    }
    return stop, answer


class _Later:
    """An application that is set after its port is bound."""

    application: Any = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer: Iterable[bytes] = self.application(environ, start_response)
        return answer


class _Control:
    """Lets the parent change functions and roles, inject faults and let time run out; passes everything else on."""

    def __init__(self, endpoint: Any, http_api: Any) -> None:
        self._endpoint = endpoint
        self._http_api = http_api

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(CONTROL_PATH + "/"):
            answer: Iterable[bytes] = self._endpoint(environ, start_response)
            return answer
        from local.endpoint import Fault

        command = environ["PATH_INFO"].removeprefix(CONTROL_PATH + "/")
        request = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or b"{}")
        if command == "fault":
            self._endpoint.add_fault(Fault(**request))
        elif command == "replace":
            self._endpoint.replacements[request["function"]] = _remote(request["url"])
        elif command == "alter":
            self._endpoint.alter(**request)
        elif command == "time_out":
            _time_out(request["execution"])
        elif command == "restrict":
            self._endpoint.guard.restrict(request["role"], request["statements"])
        elif command == "clear":
            self._endpoint.clear()
            self._http_api.clear()
        body = json.dumps(self._endpoint.guard.calls() if command == "calls" else None).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


def _time_out(arn: str) -> None:
    from moto.stepfunctions.parser.api import ExecutionStatus
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    from local import events, executions

    _, _, _, region, account, *_ = arn.split(":")
    execution = stepfunctions_parser_backends[account][region].describe_execution(arn)
    executions.end(execution, ExecutionStatus.TIMED_OUT, events.publish)


def _remote(url: str) -> Callable[[bytes], Any]:
    """Answer invocations by asking the parent, where the test's own function is."""

    def invoke(payload: bytes) -> Any:
        from urllib.request import Request, urlopen

        from local.workers import Result

        with urlopen(Request(url, data=payload, method="POST")) as response:  # noqa: S310 (loopback, our own)
            answer = json.loads(response.read())
        return Result(answer["payload"], answer["failed"])

    return invoke


def _bind(serve: Callable[[Any, int], int], application: Any, port: int, what: str) -> int:
    try:
        return serve(application, port)
    except OSError as error:
        raise RuntimeError(
            f"Port {port} on 127.0.0.1, meant for {what}, is in use. Stop what uses it, or choose other "
            "ports: --port and --api-port, where 0 is any that is free."
        ) from error


if __name__ == "__main__":
    main()
