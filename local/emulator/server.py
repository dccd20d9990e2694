"""The server process: AWS endpoint, functions and HTTP API of a deployed template.

It reads its configuration as one line of JSON from standard input and answers with one line on standard output. It ends
when standard input ends, even while it starts, so it never outlives its parent. moto keeps its state in globals; a
separate process isolates it from moto in tests.
"""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from local.emulator.clients import DUMMY_KEY, Clients, variables
from local.emulator.configuration import Configuration
from local.emulator.wsgi import Application, Environ, StartResponse


def main() -> None:
    """Start everything, answer, and run until the parent closes standard input."""
    line = sys.stdin.readline()
    if not line:
        return  # the parent was interrupted before it sent the configuration
    configuration = Configuration(**json.loads(line))
    stop_functions: list[Callable[[], None]] = []

    def finish(*_: object) -> None:
        try:
            for stop in stop_functions:
                stop()
        finally:
            os._exit(0)  # threads may still run executions

    def end_with_parent() -> None:
        sys.stdin.read()
        finish()

    threading.Thread(target=end_with_parent, daemon=True).start()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of moto must not mix with the answer
    try:
        stop, answer = start(configuration)
    except Exception as error:
        import traceback

        traceback.print_exc()
        print(json.dumps({"error": str(error) or type(error).__name__}), file=answers, flush=True)
        os._exit(1)
    stop_functions.append(stop)
    gc.freeze()  # half a million objects that stay; a garbage collection would look through all of them
    signal.signal(signal.SIGTERM, finish)
    print(json.dumps(answer), file=answers, flush=True)
    threading.Event().wait()


def start(configuration: Configuration) -> tuple[Callable[[], None], dict[str, Any]]:
    """Start the servers and deploy the template.

    Returns:
        A function that stops everything, and the answer for the parent.

    Raises:
        RuntimeError: A port is in use, or moto no longer has something that a seam replaces.
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
        "MOTO_DISABLE_GLOBAL_CORS": "true",  # otherwise moto would allow pages of any origin to read its answers
    }

    from botocore.exceptions import ParamValidationError
    from moto.core.config import default_user_config

    from local.emulator import cors, endpoint, presigned, template
    from local.emulator.controls import Controls
    from local.emulator.deliveries import Deliveries
    from local.emulator.deploy import plan
    from local.emulator.gate import Gate, own_origins
    from local.emulator.http_api import HttpApi
    from local.emulator.http_server import serve
    from local.emulator.iam import Guard
    from local.emulator.moto_seams import (
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

    dynamodb.install()
    jsonata.install()
    events.install()
    forms.install()
    listing.install()
    notifications.install()
    copies.install()
    encoding.install()
    server.install()
    sqs.install()
    stepfunctions.install(configuration.wait_scale)
    service_tasks.install()
    subscriptions.install()
    executions.install(events.publish)
    default_user_config["stepfunctions"]["execute_state_machine"] = True

    # Bind the ports first, because resources contain the addresses.
    aws = DeferredApp()
    api = DeferredApp()
    aws_port = _bind(serve, aws, configuration.aws_port, "the AWS endpoint")
    api_port = _bind(serve, api, configuration.api_port, "the HTTP API")
    aws_url = f"http://127.0.0.1:{aws_port}"
    api_url = f"http://127.0.0.1:{api_port}"
    os.environ["MOTO_PORT"] = str(aws_port)

    loaded = template.load(
        Path(configuration.template), configuration.stack_name, configuration.region, configuration.parameters
    )
    deployment = plan(loaded, aws_url, api_url)
    clients = Clients(aws_url, configuration.region)
    s3 = clients("s3")

    def read_object(bucket: str, key: str, version: str | None) -> bytes:
        version_argument = {"VersionId": version} if version else {}
        try:
            body: bytes = s3.get_object(Bucket=bucket, Key=key, **version_argument)["Body"].read()
        except s3.exceptions.ClientError as error:
            raise KeyError(key) from error
        return body

    def read_cors_rules(bucket: str) -> list[cors.Rule]:
        try:
            return list(map(cors.Rule.of_bucket, s3.get_bucket_cors(Bucket=bucket)["CORSRules"]))
        except (s3.exceptions.ClientError, ParamValidationError):  # the bucket has no rules, or does not exist
            return []

    environment = variables(aws_url, configuration.region) | {"AWS_REGION": configuration.region}
    run_dir = Path(configuration.run_dir)
    workers = Workers(deployment.functions, environment, run_dir, configuration.per_function, configuration.total)
    if configuration.warm:
        threading.Thread(target=workers.warm, args=(deployment.functions,), daemon=True).start()
    guard = Guard(deployment.roles, deployment.resource_policies)
    front = endpoint.Endpoint(workers, guard, read_object)
    http_api = HttpApi(deployment.routes, front.invoke, cors_rule=deployment.api_cors)
    controls = Controls(front, front, http_api, configuration.control_token)
    application: Application = controls if configuration.control_token else front
    own = own_origins(api_port)
    aws_gate = Gate(
        cors.BucketCors(application, read_cors_rules),
        aws_port,
        own,
        buckets=True,
        may_be_picture=presigned.is_for_object,
    )
    api_gate = Gate(OneHost(http_api, api_port), api_port, own, may_be_picture=lambda _: True)
    aws.application, api.application = aws_gate, api_gate
    runtime = Runtime(
        workers=workers,
        guard=guard,
        http_api=http_api,
        gates=[aws_gate, api_gate],
        deliveries=Deliveries(clients, guard, configuration.wait_scale),
        streams=Streams(clients, front.invoke, configuration.wait_scale, count_changes),
        queues=Queues(clients, front.invoke, configuration.wait_scale),
    )
    stack = EmulatedStack(loaded, deployment, runtime, clients, aws_url, api_url)
    controls.add("update", stack.update)
    stack.start()
    answer = {"awsUrl": aws_url, "apiUrl": api_url, "region": configuration.region, **stack.describe()}
    return runtime.stop, answer


class DeferredApp:
    """A WSGI application that is set after its port is bound; until then it answers 503."""

    def __init__(self) -> None:
        self.application: Application = _starting

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self.application(environ, start_response)


def _starting(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "1")])
    return [b"The local pipeline is still starting."]


def _bind(serve: Callable[[Any, int], int], application: Any, port: int, purpose: str) -> int:
    try:
        return serve(application, port)
    except OSError as error:
        raise RuntimeError(
            f"Port {port} on 127.0.0.1, for {purpose}, is in use. Stop the program that uses it, or choose other ports "
            "with --port and --api-port; 0 selects a free port."
        ) from error


if __name__ == "__main__":
    main()
