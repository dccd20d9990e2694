"""Start the emulator: patch moto, bind the ports, create the resources of the template, and serve.

The environment must be complete before this module is imported, because moto reads it at import.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ParamValidationError
from moto.core.config import default_user_config

from local.emulator import cors, presigned, template
from local.emulator.clients import Clients, variables
from local.emulator.configuration import Configuration
from local.emulator.controls import Controls
from local.emulator.deliveries import Deliveries
from local.emulator.deploy import Deployment, plan
from local.emulator.endpoint import Endpoint
from local.emulator.gate import Gate, own_origins
from local.emulator.http_api import HttpApi
from local.emulator.http_server import serve
from local.emulator.iam import Guard
from local.emulator.in_process import sender
from local.emulator.moto_seams import (
    attributes,
    copies,
    dynamodb,
    encoding,
    events,
    executions,
    forms,
    jsonata,
    listing,
    notifications,
    server,
    service_tasks,
    sqs,
    stepfunctions,
    subscriptions,
)
from local.emulator.one_host import OneHost
from local.emulator.queues import Queues
from local.emulator.stack import EmulatedStack, Runtime
from local.emulator.streams import Streams, count_changes
from local.emulator.workers import Workers
from local.emulator.wsgi import Application, Environ, StartResponse


def start(configuration: Configuration) -> tuple[Callable[[], None], dict[str, Any]]:
    """Start the servers and deploy the template.

    Returns:
        A function that stops everything, and the answer for the parent.

    Raises:
        RuntimeError: A port is in use, or moto no longer has something that a seam replaces.
        TemplateError: The template cannot be deployed here.
    """
    ports = _bind_ports(configuration)  # first, because resources contain the addresses
    clients = Clients(ports.aws_url, configuration.region, sender(ports.aws))
    _install_seams(configuration.wait_scale, clients)
    loaded = template.load(
        Path(configuration.template), configuration.stack_name, configuration.region, configuration.parameters
    )
    deployment = plan(loaded, ports.aws_url, ports.api_url)
    workers = _start_workers(configuration, deployment, ports.aws_url)
    guard = Guard(deployment.roles, deployment.resource_policies)
    endpoint = Endpoint(workers, guard, partial(_read_object, clients("s3")))
    http_api = HttpApi(deployment.routes, endpoint.invoke, cors_rule=deployment.api_cors)
    controls = Controls(endpoint, http_api, configuration.control_token)
    gates = _open_gates(ports, controls, http_api, clients)
    runtime = Runtime(
        workers=workers,
        guard=guard,
        http_api=http_api,
        gates=gates,
        deliveries=Deliveries(clients, guard, configuration.wait_scale),
        streams=Streams(clients, endpoint.invoke, configuration.wait_scale, count_changes),
        queues=Queues(clients, endpoint.invoke, configuration.wait_scale, sqs.wait_for_message),
    )
    stack = EmulatedStack(loaded, deployment, runtime, clients, ports.aws_url, ports.api_url)
    if configuration.controls:
        controls.enable_tests(stack.update)
    stack.start()
    addresses = {"awsUrl": ports.aws_url, "apiUrl": ports.api_url, "region": configuration.region}
    return runtime.stop, {**addresses, **stack.describe()}


def _install_seams(wait_scale: float, clients: Clients) -> None:
    for seam in (
        attributes,
        dynamodb,
        jsonata,
        events,
        forms,
        listing,
        notifications,
        copies,
        encoding,
        server,
        sqs,
        subscriptions,
    ):
        seam.install()
    stepfunctions.install(wait_scale, clients)
    service_tasks.install()
    executions.install(events.publish)
    default_user_config["stepfunctions"]["execute_state_machine"] = True


class DeferredApp:
    """A WSGI application that is set after its port is bound; until then it answers 503."""

    def __init__(self) -> None:
        self.application: Application = _refuse

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self.application(environ, start_response)


def _refuse(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "1")])
    return [b"The local pipeline is still starting."]


@dataclass(frozen=True)
class _Ports:
    """The bound ports, and the applications that answer at them."""

    aws: DeferredApp
    aws_port: int
    api: DeferredApp
    api_port: int

    @property
    def aws_url(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"


def _bind_ports(configuration: Configuration) -> _Ports:
    aws = DeferredApp()
    aws_port = _bind(aws, configuration.aws_port, "the AWS endpoint")
    api = DeferredApp()
    api_port = _bind(api, configuration.api_port, "the HTTP API")
    return _Ports(aws, aws_port, api, api_port)


def _bind(application: DeferredApp, port: int, purpose: str) -> int:
    try:
        return serve(application, port)
    except OSError as error:
        raise RuntimeError(
            f"Port {port} on 127.0.0.1, for {purpose}, is in use. Stop the program that uses it, or choose other ports "
            "with --port and --api-port; 0 selects a free port."
        ) from error


def _start_workers(configuration: Configuration, deployment: Deployment, aws_url: str) -> Workers:
    environment = variables(aws_url, configuration.region) | {"AWS_REGION": configuration.region}
    run_dir = Path(configuration.run_dir)
    workers = Workers(
        deployment.functions,
        environment,
        run_dir,
        configuration.per_function,
        configuration.total,
        configuration.packages,
    )
    if configuration.warm:
        threading.Thread(target=workers.warm, args=(deployment.functions,), daemon=True).start()
    return workers


def _open_gates(ports: _Ports, aws: Application, http_api: HttpApi, clients: Clients) -> list[Gate]:
    """Put the applications behind their ports, and return the gates that protect them."""
    own = own_origins(ports.api_port)
    buckets = cors.BucketCors(aws, partial(_read_cors_rules, clients("s3")))
    aws_gate = Gate(buckets, ports.aws_port, own, buckets=True, may_be_image=presigned.is_for_object)
    api_gate = Gate(OneHost(http_api, ports.api_port), ports.api_port, own, may_be_image=lambda _: True)
    ports.aws.application = aws_gate
    ports.api.application = api_gate
    return [aws_gate, api_gate]


def _read_object(s3: Any, bucket: str, key: str, version: str | None) -> bytes:
    version_argument = {"VersionId": version} if version else {}
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key, **version_argument)["Body"].read()
    except s3.exceptions.ClientError as error:
        raise KeyError(key) from error
    return body


def _read_cors_rules(s3: Any, bucket: str) -> list[cors.Rule]:
    try:
        return list(map(cors.Rule.of_bucket, s3.get_bucket_cors(Bucket=bucket)["CORSRules"]))
    except (s3.exceptions.ClientError, ParamValidationError):  # the bucket has no rules, or does not exist
        return []
