"""A deployed template with everything that runs it, which an update replaces part by part."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.clients import Clients
from local.emulator.deliveries import Deliveries
from local.emulator.deploy import Deployment, check_update, deploy, plan, update
from local.emulator.gate import Gate
from local.emulator.http_api import HttpApi
from local.emulator.iam import Guard
from local.emulator.queues import Queues
from local.emulator.streams import Streams
from local.emulator.template import Template, load
from local.emulator.workers import Workers, credentials


@dataclass
class Runtime:
    """The components that run the resources of a stack."""

    workers: Workers
    guard: Guard
    http_api: HttpApi
    gates: list[Gate]
    """In front of the servers."""
    deliveries: Deliveries
    streams: Streams
    queues: Queues

    def apply(self, deployment: Deployment) -> None:
        """Run what a deployment describes; it may replace another one."""
        for delivery in deployment.deliveries:
            self.deliveries.follow(delivery)
        self.streams.update(deployment.stream_mappings)
        self.queues.update(deployment.queue_mappings)
        self.http_api.update(deployment.routes, deployment.api_cors)
        for gate in self.gates:
            gate.accept(deployment.origins)

    def stop(self) -> None:
        """Stop everything."""
        self.queues.stop()
        self.streams.stop()
        self.deliveries.stop()
        self.workers.stop()


class EmulatedStack:
    """A running stack.

    Args:
        template: A planned template.
        deployment: The result of its plan.
        runtime: Runs it.
        clients: Clients of the local AWS endpoint.
        aws_url: The address of the AWS endpoint.
        api_url: The address of the HTTP API.
    """

    def __init__(
        self, template: Template, deployment: Deployment, runtime: Runtime, clients: Clients, aws_url: str, api_url: str
    ) -> None:
        self._template = template
        self._deployment = deployment
        self._runtime = runtime
        self._clients = clients
        self._urls = aws_url, api_url
        self._lock = threading.Lock()

    def start(self) -> None:
        """Create the resources and run them."""
        deploy(self._template, self._deployment, self._clients)
        self._runtime.apply(self._deployment)

    def update(self, template: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Change the stack to another template, in the order of CloudFormation: roles, functions, all others.

        Args:
            template: The path of the template.
            parameters: New values of parameters. Others keep their values, as with `sam deploy`.

        Returns:
            The new description of the stack.

        Raises:
            TemplateError: The template cannot be deployed here, or it would replace a table or a workflow.
        """
        with self._lock:
            current = self._template
            new = load(Path(template), current.stack_name, current.region, parameters, current.parameters)
            deployment = plan(new, *self._urls)
            check_update(current, new)
            self._runtime.guard.update(deployment.roles, deployment.resource_policies)
            self._runtime.workers.update(deployment.functions)
            update(current, new, deployment, self._clients)
            self._runtime.apply(deployment)
            self._template = new
            self._deployment = deployment
        return self.describe()

    def describe(self) -> dict[str, Any]:
        """Return what the parent process needs to know."""
        deployment = self._deployment
        return {
            "inboxUrl": deployment.inbox_url,
            "eventsUrl": deployment.events_url,
            "outputs": deployment.outputs,
            "parameters": {name: _text(value) for name, value in self._template.parameters.items()},
            "resources": deployment.resources,
            "stateMachines": deployment.state_machines,
            "environments": {
                function.logical_id: {**function.environment, **credentials(function)}
                for function in deployment.functions
            },
            "roles": {role.logical_id: role.statements for role in deployment.roles},
        }


def _text(value: Any) -> str:
    """Return the value of a parameter as CloudFormation describes it; lists are joined with commas."""
    return ",".join(value) if isinstance(value, list) else str(value)
