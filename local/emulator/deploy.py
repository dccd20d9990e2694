"""Deploys and updates a template at the local endpoint: the part of CloudFormation that a local run needs.

All resources are named before any is created, so references do not depend on an order. Log groups, stages, alarms and
similar resources have a name to refer to, but no effect here.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.emulator import cors
from local.emulator.clients import Clients
from local.emulator.functions import QueueMapping, StreamMapping, read_functions, read_mappings
from local.emulator.http_api import Route
from local.emulator.iam import Role
from local.emulator.naming import name_resource
from local.emulator.permissions import read_resource_policies, read_roles
from local.emulator.resources import TABLE_PROPERTIES, Creator, Delivery, create_queue
from local.emulator.routes import read_cors, read_routes
from local.emulator.template import Resource, Template, TemplateError, load
from local.emulator.workers import Function

_ONLY_AT_THE_TOP = (
    "AWS::ApiGatewayV2::Api",
    "AWS::Events::Rule",
    "AWS::Lambda::Function",
    "AWS::StepFunctions::StateMachine",
)
"""Types that run or start something; the local run supports them only in the outer template."""

_Method = Callable[[Creator, Resource, dict[str, Any]], None]
_METHODS: tuple[tuple[str, _Method, _Method | None], ...] = (
    ("AWS::S3::Bucket", Creator.create_bucket, Creator.update_bucket),
    ("AWS::DynamoDB::Table", Creator.create_table, None),
    ("AWS::SQS::Queue", Creator.create_queue, Creator.update_queue),
    ("AWS::SNS::Topic", Creator.create_topic, None),
    ("AWS::SNS::Subscription", Creator.create_subscription, None),
    ("AWS::StepFunctions::StateMachine", Creator.create_state_machine, Creator.update_state_machine),
    ("AWS::Events::Rule", Creator.put_rule, Creator.put_rule),
)
"""The types that have an effect here, in the order of their creation, with the methods that create and change them."""

_UNCHANGEABLE = {
    "AWS::DynamoDB::Table": (*TABLE_PROPERTIES, "StreamSpecification", "TimeToLiveSpecification"),
    "AWS::StepFunctions::StateMachine": ("StateMachineType",),
}


@dataclass
class Deployment:
    """The planned and created resources of a template, for the components that run them."""

    outputs: dict[str, str] = field(default_factory=dict)
    resources: list[tuple[str, str, str]] = field(default_factory=list)
    """Logical id, type and name of each resource, without those of nested applications."""
    functions: list[Function] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    resource_policies: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """The statements of the policies of buckets, queues and topics, by the ARN of the resource."""
    state_machines: dict[str, str] = field(default_factory=dict)
    """The ARNs of state machines, by logical id."""
    deliveries: list[Delivery] = field(default_factory=list)
    stream_mappings: list[StreamMapping] = field(default_factory=list)
    queue_mappings: list[QueueMapping] = field(default_factory=list)
    api_cors: cors.Rule | None = None
    """What the HTTP API allows to pages of other origins."""
    origins: set[str] = field(default_factory=set)
    """The origins that the API or a bucket allows."""
    inbox_url: str = ""
    """A queue that receives a copy of every message of every topic."""
    events_url: str = ""
    """A queue that receives a copy of every event on the default bus, except events of AWS."""


def plan(template: Template, aws_url: str, api_url: str) -> Deployment:
    """Name every resource and describe functions, routes and policies, without any call.

    Args:
        template: The translated template; its references are filled.
        aws_url: The address of the AWS endpoint.
        api_url: The address of the HTTP API.

    Raises:
        TemplateError: The template uses something that is not supported here.
    """
    resources = template.resources(*{body["Type"] for body in template.document["Resources"].values()})
    for resource in resources:
        name_resource(template, resource, aws_url=aws_url, api_url=api_url)
    deployment = Deployment()
    for resource in template.resources("AWS::CloudFormation::Stack"):
        nested = _load_nested(template, resource)
        template.nested[resource.logical_id] = nested
        deployment.resource_policies |= plan(nested, aws_url, api_url).resource_policies
        for name, value in nested.outputs().items():
            template.attributes[resource.logical_id, f"Outputs.{name}"] = value
    deployment.functions = read_functions(template)
    deployment.stream_mappings, deployment.queue_mappings = read_mappings(template, deployment.functions)
    deployment.routes = read_routes(template)
    deployment.api_cors = read_cors(template)
    deployment.origins = _bucket_origins(template) | set(deployment.api_cors.origins if deployment.api_cors else ())
    deployment.state_machines = {
        resource.logical_id: template.refs[resource.logical_id]
        for resource in template.resources("AWS::StepFunctions::StateMachine")
    }
    deployment.roles = read_roles(template)
    for arn, statements in read_resource_policies(template).items():
        deployment.resource_policies.setdefault(arn, []).extend(statements)
    deployment.outputs = template.outputs()
    deployment.resources = [
        (resource.logical_id, resource.type, template.refs[resource.logical_id]) for resource in resources
    ]
    return deployment


def deploy(template: Template, deployment: Deployment, clients: Clients) -> None:
    """Create all resources that have an effect here.

    Args:
        template: A planned template.
        deployment: The result of `plan`; completed here.
        clients: Clients of the local AWS endpoint.
    """
    inbox_arn = _create_inboxes(template, deployment, clients)
    creators = [Creator(part, clients, inbox_arn) for part in template.with_nested()]
    for kind, create, _ in _METHODS:
        for creator, resource in _resources(creators, kind):
            create(creator, resource, creator.template.resolve(resource.raw))
    deployment.deliveries = [delivery for creator in creators for delivery in creator.deliveries]


def check_update(previous: Template, template: Template) -> None:
    """Check that an update replaces no table and no state machine, and changes no table.

    Raises:
        TemplateError: It does.
    """
    before = _by_identity(previous)
    after = _by_identity(template)
    for identity in before.keys() & after.keys():
        (old_template, old), (new_template, new) = before[identity], after[identity]
        for name in _UNCHANGEABLE.get(new.type, ()):
            if old_template.resolve(old.raw.get(name)) != new_template.resolve(new.raw.get(name)):
                raise TemplateError(
                    f"The local run cannot change {name} of {new.logical_id}: implement it in emulator/deploy.py."
                )


def update(previous: Template, template: Template, deployment: Deployment, clients: Clients) -> None:
    """Turn the resources of a deployed template into those of another one.

    As in CloudFormation, a resource with the same logical id and name is changed in place, new ones are created, and
    rules, state machines and subscriptions that are gone are deleted last. Buckets, tables, queues and topics that are
    gone stay, but nothing uses them.

    Args:
        previous: The deployed template.
        template: The planned template that replaces it.
        deployment: The result of `plan` for this template; completed here.
        clients: Clients of the local AWS endpoint.
    """
    before = _by_identity(previous)
    after = _by_identity(template)
    inbox_arn = _create_inboxes(template, deployment, clients)
    creators = [Creator(part, clients, inbox_arn) for part in template.with_nested()]
    for kind, create, change in _METHODS:
        for creator, resource in _resources(creators, kind):
            exists = _identity(creator.template, resource) in before
            properties = creator.template.resolve(resource.raw)
            if not exists:
                create(creator, resource, properties)
            elif change:
                change(creator, resource, properties)
    deployment.deliveries = [delivery for creator in creators for delivery in creator.deliveries]
    for kind, name in before.keys() - after.keys():
        if kind == "AWS::Events::Rule" and "EventPattern" in before[kind, name][1].raw:
            _delete_rule(name, clients)
        elif kind == "AWS::StepFunctions::StateMachine":
            clients("stepfunctions").delete_state_machine(stateMachineArn=name)
        elif kind == "AWS::SNS::Subscription":
            part, resource = before[kind, name]
            Creator(part, clients, inbox_arn).delete_subscription(resource, part.resolve(resource.raw))


def _resources(creators: list[Creator], kind: str) -> Iterator[tuple[Creator, Resource]]:
    for creator in creators:
        for resource in creator.template.resources(kind):
            yield creator, resource


def _by_identity(template: Template) -> dict[tuple[str, str], tuple[Template, Resource]]:
    """Return the resources of a template and its nested applications by type and name."""
    return {
        _identity(part, resource): (part, resource)
        for part in template.with_nested()
        for resource in part.resources(*(kind for kind, _, _ in _METHODS))
    }


def _identity(template: Template, resource: Resource) -> tuple[str, str]:
    """Return type and name of a resource; a subscription of another address is another one."""
    name = template.refs[resource.logical_id]
    if resource.type == "AWS::SNS::Subscription":
        name += f" {template.resolve(resource.raw['Endpoint'])}"
    return resource.type, name


def _delete_rule(name: str, clients: Clients) -> None:
    """Delete a rule. Events that it has matched already are still delivered."""
    events = clients("events")
    targets = events.list_targets_by_rule(Rule=name)["Targets"]
    events.remove_targets(Rule=name, Ids=[target["Id"] for target in targets])
    events.delete_rule(Name=name)


def _load_nested(template: Template, resource: Resource) -> Template:
    """Load the template of a nested application with the parameters that the outer template sets."""
    properties = template.resolve(resource.raw)
    parameters = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in properties.get("Parameters", {}).items()
    }
    path = template.asset(properties["TemplateURL"])
    try:
        nested = load(path, f"{template.stack_name}-{resource.logical_id}", template.region, parameters)
    except TemplateError as error:
        raise TemplateError(f"{resource.logical_id} cannot be deployed: {error}") from error
    nested.aliases = template.aliases
    for inner in nested.resources(*_ONLY_AT_THE_TOP):
        raise TemplateError(
            f"{resource.logical_id} contains {inner.logical_id}, an {inner.type}. The local run does not support "
            f"that in a nested application: move it to {template.path.name}, or implement it in emulator/deploy.py."
        )
    return nested


def _bucket_origins(template: Template) -> set[str]:
    """Return the origins in the CORS rules of buckets."""
    return {
        origin
        for bucket in template.resources("AWS::S3::Bucket")
        for rule in cors.bucket_rules(template.resolve(bucket.raw))
        for origin in rule["AllowedOrigins"]
    }


def _create_inboxes(template: Template, deployment: Deployment, clients: Clients) -> str:
    """Create the queues that receive copies of messages of topics and of published events.

    Returns:
        The ARN of the queue for messages of topics.
    """
    deployment.inbox_url, inbox_arn = create_queue(template, clients, f"{template.stack_name}-inbox")
    deployment.events_url, events_arn = create_queue(template, clients, f"{template.stack_name}-events")
    name = f"{template.stack_name}-events"
    not_of_aws = {"source": [{"anything-but": {"prefix": "aws."}}]}
    clients("events").put_rule(Name=name, EventPattern=json.dumps(not_of_aws))
    clients("events").put_targets(Rule=name, Targets=[{"Id": "events", "Arn": events_arn}])
    return inbox_arn
