"""Creates what the template describes at the local endpoint: the part of CloudFormation that this needs.

Every resource gets its name before any is created, so references never wait for an order. Log groups, stages, alarms
and the like have a name to refer to and no effect here.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local import cors, definitions
from local.clients import Clients
from local.http_api import Authorizer, Route
from local.iam import MANAGED_POLICIES, Role
from local.template import ACCOUNT_ID, STREAM_LABEL, Resource, Template, TemplateError, load
from local.workers import Function

MOST_RETRIES = 185  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html

_HEADER = "$request.header."
_INVOKED = re.compile(r"functions/(arn:[^/]+)/invocations")
_KNOWN_OF_MAPPINGS = {
    *("BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "EventSourceArn", "FilterCriteria"),
    *("FunctionName", "FunctionResponseTypes", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "StartingPosition"),
    "MaximumBatchingWindowInSeconds",  # without effect: nothing here is worth waiting for more
    "ParallelizationFactor",  # without effect: one batch after another keeps any order
}
_KNOWN_OF_QUEUE_MAPPINGS = {
    *("BatchSize", "EventSourceArn", "FunctionName", "FunctionResponseTypes", "ScalingConfig"),
}
_ONLY_AT_THE_TOP = (
    "AWS::ApiGatewayV2::Api",
    "AWS::Events::Rule",
    "AWS::Lambda::Function",
    "AWS::StepFunctions::StateMachine",
)
"""Types that run something or start it: the local run looks for them in the outer template alone."""
_NAMES = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
}


@dataclass(frozen=True)
class Delivery:
    """A state machine that a rule starts for each of its events."""

    queue_url: str
    """Where the events wait."""
    rule_arn: str
    target_arn: str
    role_arn: str
    dead_letter_arn: str | None
    most_retries: int


@dataclass(frozen=True)
class StreamMapping:
    """A function that is invoked with the changes of a table; -1 stands for no limit."""

    stream_arn: str
    function: Function
    patterns: tuple[str, ...]
    """Any of these lets a change through; none lets all through."""
    batch_size: int
    most_retries: int
    oldest_seconds: int
    bisects: bool
    reports_failures: bool
    on_failure_arn: str | None


@dataclass(frozen=True)
class QueueMapping:
    """A function that is invoked with the messages of a queue."""

    queue_arn: str
    function: Function
    batch_size: int
    most_concurrent: int
    """Invocations at the same time."""
    reports_failures: bool


@dataclass
class Stack:
    """What a deployment has made, for whoever runs it."""

    outputs: dict[str, str] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    resource_policies: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """Statements of the policies of buckets, queues and topics, by the ARN of each."""
    state_machines: dict[str, str] = field(default_factory=dict)
    """The ARN of each state machine, by logical id."""
    deliveries: list[Delivery] = field(default_factory=list)
    mappings: list[StreamMapping] = field(default_factory=list)
    queue_mappings: list[QueueMapping] = field(default_factory=list)
    api_cors: cors.Rule | None = None
    """What the HTTP API lets pages of other origins do."""
    origins: set[str] = field(default_factory=set)
    """The origins that the API or a bucket lets in."""
    inbox_url: str = ""
    """A queue that gets a copy of everything that any topic sends."""
    events_url: str = ""
    """A queue that gets a copy of everything that is published on the default event bus, but by AWS."""


def plan(template: Template, aws_url: str, api_url: str) -> Stack:
    """Name every resource and describe functions, routes and policies; makes no call.

    Args:
        template: The translated template; its references are filled.
        aws_url: Where the AWS endpoint is served.
        api_url: Where the HTTP API is served.
    """
    for resource in template.resources(*{body["Type"] for body in template.document["Resources"].values()}):
        _name(template, resource, aws_url, api_url)
    stack = Stack()
    for resource in template.resources("AWS::CloudFormation::Stack"):
        nested = _nested(template, resource)
        template.nested[resource.logical_id] = nested
        stack.resource_policies |= plan(nested, aws_url, api_url).resource_policies
        for name, value in nested.outputs().items():
            template.attributes[resource.logical_id, f"Outputs.{name}"] = value
    layers = {
        template.refs[layer.logical_id]: _asset(template, layer.raw["Content"]["S3Key"])
        for layer in template.resources("AWS::Lambda::LayerVersion")
    }
    for resource in template.resources("AWS::Lambda::Function"):
        stack.functions.append(_function(template, resource, layers))
    for resource in template.resources("AWS::Lambda::EventSourceMapping"):
        mapping = template.resolve(resource.raw)
        if ":sqs:" in mapping["EventSourceArn"]:
            stack.queue_mappings.append(_queue_mapping(resource.logical_id, mapping, stack.functions))
        else:
            stack.mappings.append(_mapping(resource.logical_id, mapping, stack.functions))
    stack.routes = _routes(template)
    stack.api_cors = _api_cors(template)
    stack.origins = {
        origin
        for bucket in template.resources("AWS::S3::Bucket")
        for rule in _cors_rules(template.resolve(bucket.raw))
        for origin in rule["AllowedOrigins"]
    }.union(stack.api_cors.origins if stack.api_cors else ())
    stack.state_machines = {
        resource.logical_id: template.refs[resource.logical_id]
        for resource in template.resources("AWS::StepFunctions::StateMachine")
    }
    stack.roles = [_role(template, resource) for resource in template.resources("AWS::IAM::Role")]
    for resource in template.resources("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        properties = template.resolve(resource.raw)
        for arn in _owners(properties, template.region):
            stack.resource_policies.setdefault(arn, []).extend(_statements(properties["PolicyDocument"]))
    if elsewhere := template.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
        raise TemplateError(f"{elsewhere[0].logical_id} is a policy outside a role: teach it in local/deploy.py.")
    stack.outputs = template.outputs()
    return stack


def deploy(template: Template, stack: Stack, clients: Clients) -> None:
    """Create everything that has an effect here.

    Args:
        template: A planned template.
        stack: What `plan` gave; completed here.
        clients: Clients of the local AWS endpoint.
    """
    inbox_arn = _collect_messages(template, stack, clients)
    deployments = [_Deployment(each, stack, clients, inbox_arn) for each in template.with_nested()]
    for kind, create in (
        ("AWS::S3::Bucket", _Deployment.bucket),
        ("AWS::DynamoDB::Table", _Deployment.table),
        ("AWS::SQS::Queue", _Deployment.queue),
        ("AWS::SNS::Topic", _Deployment.topic),
        ("AWS::SNS::Subscription", _Deployment.subscription),
        ("AWS::StepFunctions::StateMachine", _Deployment.state_machine),
        ("AWS::Events::Rule", _Deployment.rule),
    ):
        for deployment in deployments:
            for resource in deployment.template.resources(kind):
                create(deployment, resource, deployment.template.resolve(resource.raw))


def _nested(template: Template, resource: Resource) -> Template:
    """Load the template of a nested application with the parameters that the outer template gives it."""
    properties = template.resolve(resource.raw)
    parameters = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in properties.get("Parameters", {}).items()
    }
    path = _asset(template, properties["TemplateURL"])
    try:
        nested = load(path, f"{template.stack_name}-{resource.logical_id}", template.region, parameters)
    except TemplateError as error:
        raise TemplateError(f"{resource.logical_id} cannot be deployed: {error}") from error
    nested.aliases = template.aliases
    for inner in nested.resources(*_ONLY_AT_THE_TOP):
        raise TemplateError(
            f"{resource.logical_id} contains {inner.logical_id}, an {inner.type}. The local run does not look for that "
            f"in a nested application: move it to {template.path.name}, or teach it in local/deploy.py."
        )
    return nested


def _name(template: Template, resource: Resource, aws_url: str, api_url: str) -> None:
    """Set what `Ref` and `Fn::GetAtt` give for a resource."""
    region, logical_id = template.region, resource.logical_id
    given = resource.raw.get(_NAMES.get(resource.type, ""))
    name = template.resolve(given) if given else f"{template.stack_name}-{logical_id}"
    service = resource.type.split("::")[1].lower()
    arn = f"arn:aws:{service}:{region}:{ACCOUNT_ID}:{name}"
    ref = name
    attributes: dict[str, str] = {}
    match resource.type:
        case "AWS::S3::Bucket":
            ref = name = name if given else f"{name}-local".lower()
            arn = f"arn:aws:s3:::{name}"
            attributes = {"DomainName": f"{name}.s3.amazonaws.com"}
            attributes["RegionalDomainName"] = f"{name}.s3.{region}.amazonaws.com"
        case "AWS::DynamoDB::Table":
            arn = f"arn:aws:dynamodb:{region}:{ACCOUNT_ID}:table/{name}"
            attributes = {"StreamArn": f"{arn}/stream/{STREAM_LABEL}"}
        case "AWS::SNS::Topic":
            ref = arn
            attributes = {"TopicName": name, "TopicArn": arn}
        case "AWS::SQS::Queue":
            ref = f"{aws_url}/{ACCOUNT_ID}/{name}"
            attributes = {"QueueName": name}
        case "AWS::Logs::LogGroup":
            arn = f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{name}:*"
        case "AWS::Lambda::Function":
            arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{name}"
        case "AWS::Lambda::LayerVersion":
            ref = arn = f"arn:aws:lambda:{region}:{ACCOUNT_ID}:layer:{name}:1"
        case "AWS::StepFunctions::StateMachine":
            ref = arn = f"arn:aws:states:{region}:{ACCOUNT_ID}:stateMachine:{name}"
            attributes = {"Name": name}
        case "AWS::IAM::Role":
            arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"
        case "AWS::Events::Rule":
            arn = f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{name}"
        case "AWS::CloudFormation::Stack":
            ref = arn = f"arn:aws:cloudformation:{region}:{ACCOUNT_ID}:stack/{name}/local"
        case "AWS::CloudWatch::Alarm":
            arn = f"arn:aws:cloudwatch:{region}:{ACCOUNT_ID}:alarm:{name}"
        case "AWS::ApiGatewayV2::Api":
            ref = logical_id.lower()
            # What AWS would serve there is served here, so addresses in notifications and outputs work.
            template.aliases[f"https://{ref}.execute-api.{region}.amazonaws.com"] = api_url
            attributes = {"ApiEndpoint": api_url}
    template.refs[logical_id] = ref
    for attribute, value in {"Arn": arn, **attributes}.items():
        template.attributes[logical_id, attribute] = value


def _asset(template: Template, path: str) -> Path:
    asset = (template.path.parent / path).resolve()
    if not asset.exists():
        raise TemplateError(f"{template.path.name} points to {path}, which does not exist.")
    return asset


def _function(template: Template, resource: Resource, layers: dict[str, Path]) -> Function:
    raw = resource.raw
    properties = template.resolve({name: value for name, value in raw.items() if name != "Code"})
    variables = properties.get("Environment", {}).get("Variables", {})
    name = template.refs[resource.logical_id]
    logging = properties.get("LoggingConfig", {})
    log_format = logging.get("LogFormat", "Text")
    return Function(
        logical_id=resource.logical_id,
        name=name,
        arn=template.attributes[resource.logical_id, "Arn"],
        role=properties["Role"],
        handler=properties["Handler"],
        runtime=properties["Runtime"],
        code=_asset(template, raw["Code"]["S3Key"]),
        layers=tuple(_python_path(layers[arn]) for arn in properties.get("Layers", [])),
        timeout=int(properties.get("Timeout", 3)),
        memory=int(properties.get("MemorySize", 128)),
        environment={
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in variables.items()
        },
        log_group=logging.get("LogGroup", f"/aws/lambda/{name}"),
        log_format=log_format,
        log_level=logging.get("ApplicationLogLevel", "INFO") if log_format == "JSON" else "",
    )


def _mapping(logical_id: str, properties: Mapping[str, Any], functions: list[Function]) -> StreamMapping:
    if unknown := sorted(properties.keys() - _KNOWN_OF_MAPPINGS):
        raise TemplateError(f"{unknown[0]} of {logical_id} is not known to the local run.")
    if ":dynamodb:" not in properties["EventSourceArn"] or properties["StartingPosition"] != "TRIM_HORIZON":
        raise TemplateError(f"{logical_id} does not read a table's stream from its beginning, as the local run does.")
    return StreamMapping(
        stream_arn=properties["EventSourceArn"],
        function=next(each for each in functions if properties["FunctionName"] in (each.name, each.arn)),
        patterns=tuple(each["Pattern"] for each in properties.get("FilterCriteria", {}).get("Filters", [])),
        batch_size=int(properties.get("BatchSize", 100)),
        most_retries=int(properties.get("MaximumRetryAttempts", -1)),
        oldest_seconds=int(properties.get("MaximumRecordAgeInSeconds", -1)),
        bisects=properties.get("BisectBatchOnFunctionError", False),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        on_failure_arn=properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
    )


def _queue_mapping(logical_id: str, properties: Mapping[str, Any], functions: list[Function]) -> QueueMapping:
    if unknown := sorted(properties.keys() - _KNOWN_OF_QUEUE_MAPPINGS):
        raise TemplateError(f"{unknown[0]} of {logical_id} is not known to the local run.")
    return QueueMapping(
        queue_arn=properties["EventSourceArn"],
        function=next(each for each in functions if properties["FunctionName"] in (each.name, each.arn)),
        batch_size=int(properties.get("BatchSize", 10)),
        most_concurrent=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", 1000)),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
    )


def _role(template: Template, resource: Resource) -> Role:
    properties = template.resolve(resource.raw)
    if "PermissionsBoundary" in properties:
        raise TemplateError(f"{resource.logical_id} has a permissions boundary: teach it in local/deploy.py.")
    statements: list[Mapping[str, Any]] = []
    for policy in properties.get("Policies", []):
        statements += _statements(policy["PolicyDocument"])
    for arn in properties.get("ManagedPolicyArns", []):
        name = arn.partition(":policy/")[2]
        if name not in MANAGED_POLICIES:
            raise TemplateError(f"What {arn} allows is not known to the local run; teach it in local/iam.py.")
        statements.append(MANAGED_POLICIES[name])
    return Role(resource.logical_id, template.attributes[resource.logical_id, "Arn"], statements)


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _owners(policy: Mapping[str, Any], region: str) -> list[str]:
    """Tell whose policy a resource's policy is."""
    if "Bucket" in policy:
        return [f"arn:aws:s3:::{policy['Bucket']}"]
    if "Topics" in policy:
        return list(policy["Topics"])
    return [f"arn:aws:sqs:{region}:{ACCOUNT_ID}:{url.rpartition('/')[2]}" for url in policy["Queues"]]


def _python_path(layer: Path) -> Path:
    """A layer's modules are in `python/` when it is laid out by hand; `sam build` puts them there otherwise."""
    return layer / "python" if (layer / "python").is_dir() else layer


def _routes(template: Template) -> list[Route]:
    for resource in template.resources("AWS::ApiGatewayV2::Api"):
        if "Body" in resource.raw:
            raise TemplateError(f"{resource.logical_id} has its routes in a body: teach it in local/deploy.py.")
    integrations = {
        f"integrations/{template.refs[resource.logical_id]}": template.resolve(resource.raw)["IntegrationUri"]
        for resource in template.resources("AWS::ApiGatewayV2::Integration")
    }
    authorizers = {
        template.refs[resource.logical_id]: resource for resource in template.resources("AWS::ApiGatewayV2::Authorizer")
    }
    routes = []
    for resource in template.resources("AWS::ApiGatewayV2::Route"):
        properties = template.resolve(resource.raw)
        method, _, path = properties["RouteKey"].rpartition(" ")
        protected = properties.get("AuthorizationType", "NONE") != "NONE"
        authorizer = _authorizer(template, authorizers[properties["AuthorizerId"]]) if protected else None
        routes.append(Route(method or "ANY", path, integrations[properties["Target"]], authorizer))
    _check_route_settings(template, {route.key for route in routes})
    return routes


def _api_cors(template: Template) -> cors.Rule | None:
    for resource in template.resources("AWS::ApiGatewayV2::Api"):
        if configuration := template.resolve(resource.raw).get("CorsConfiguration"):
            if configuration.get("AllowCredentials"):
                raise TemplateError(f"{resource.logical_id} allows credentials: teach it in local/cors.py.")
            return cors.Rule.of_api(configuration)
    return None


def _cors_rules(bucket: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Translate the CORS rules of a bucket from the template's names to those of S3's API."""
    names = {"ExposedHeaders": "ExposeHeaders", "Id": "ID", "MaxAge": "MaxAgeSeconds"}
    rules = bucket.get("CorsConfiguration", {}).get("CorsRules", [])
    return [{names.get(name, name): value for name, value in rule.items()} for rule in rules]


def _check_route_settings(template: Template, route_keys: set[str]) -> None:
    """Refuse limits of routes that do not exist, as API Gateway does. The limits themselves have no effect here."""
    for resource in template.resources("AWS::ApiGatewayV2::Stage"):
        for route_key in resource.raw.get("RouteSettings", {}):
            if route_key not in route_keys:
                raise TemplateError(f"{resource.logical_id} has settings for a route that does not exist: {route_key}.")


def _authorizer(template: Template, resource: Resource) -> Authorizer:
    properties = template.resolve(resource.raw)
    if properties["AuthorizerType"] != "REQUEST":
        raise TemplateError(
            f"{resource.logical_id} checks tokens (JWT), which the local run cannot. Leave JwtIssuer empty; use keys."
        )
    invoked = _INVOKED.search(properties["AuthorizerUri"])
    simple = str(properties.get("EnableSimpleResponses")).lower() == "true"
    header = properties["IdentitySource"][0].removeprefix(_HEADER)
    if not (invoked and simple and len(properties["IdentitySource"]) == 1 and header):
        raise TemplateError(
            f"{resource.logical_id} is more than a function that judges one header with a simple response: "
            "teach it in local/deploy.py."
        )
    return Authorizer(invoked[1], header.lower(), int(properties.get("AuthorizerResultTtlInSeconds", 0)))


class _Deployment:
    """Creates resources by type, through the same API that anybody else uses."""

    def __init__(self, template: Template, stack: Stack, clients: Clients, inbox_arn: str) -> None:
        self.template = template
        self._stack = stack
        self._clients = clients
        self._inbox_arn = inbox_arn

    def bucket(self, resource: Resource, properties: dict[str, Any]) -> None:
        s3 = self._clients("s3")
        name = self.template.refs[resource.logical_id]
        region = self.template.region
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **place)
        if status := properties.get("VersioningConfiguration", {}).get("Status"):
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
        event_bridge = properties.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
        if str(event_bridge.get("EventBridgeEnabled", False)).lower() == "true":
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )

        if rules := _cors_rules(properties):
            s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})

    def table(self, resource: Resource, properties: dict[str, Any]) -> None:
        dynamodb = self._clients("dynamodb")
        name = self.template.refs[resource.logical_id]
        kept = (
            "AttributeDefinitions",
            "KeySchema",
            "BillingMode",
            "ProvisionedThroughput",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
        )
        given = {key: properties[key] for key in kept if key in properties}
        if "StreamSpecification" in properties:
            given["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        dynamodb.create_table(TableName=name, **given)
        if "TimeToLiveSpecification" in properties:
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])

    def queue(self, resource: Resource, properties: dict[str, Any]) -> None:
        attributes = {
            key: json.dumps(value) if isinstance(value, dict) else str(value)
            for key, value in properties.items()
            if key in ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "DelaySeconds")
        }
        _new_queue(self.template, self._clients, self.template.attributes[resource.logical_id, "QueueName"], attributes)

    def topic(self, resource: Resource, _: dict[str, Any]) -> None:
        arn = self.template.refs[resource.logical_id]
        self._clients("sns").create_topic(Name=arn.rpartition(":")[2])
        self._clients("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=self._inbox_arn)

    def subscription(self, _: Resource, properties: dict[str, Any]) -> None:
        if properties["Protocol"] != "sqs":
            return  # nothing is mailed from here; the inbox shows what would have been
        attributes = {"FilterPolicy": json.dumps(properties["FilterPolicy"])} if "FilterPolicy" in properties else {}
        self._clients("sns").subscribe(
            TopicArn=properties["TopicArn"], Protocol="sqs", Endpoint=properties["Endpoint"], Attributes=attributes
        )

    def state_machine(self, resource: Resource, properties: dict[str, Any]) -> None:
        text = properties.get("DefinitionString") or _asset(
            self.template, properties["DefinitionS3Location"]["Key"]
        ).read_text(encoding="utf-8")
        substitutions = properties.get("DefinitionSubstitutions", {})

        def value(match: re.Match[str]) -> str:
            if match[1] not in substitutions:
                raise TemplateError(f"{resource.logical_id} uses ${{{match[1]}}}, which the template does not give.")
            return str(substitutions[match[1]])

        try:  # CloudFormation, too, substitutes in the text before it reads the YAML
            definition = definitions.parse(re.sub(r"\$\{(\w+)\}", value, text))
        except yaml.YAMLError as error:
            raise TemplateError(f"The definition of {resource.logical_id} cannot be read: {error}") from error
        self._clients("stepfunctions").create_state_machine(
            name=self.template.attributes[resource.logical_id, "Name"],
            definition=json.dumps(definition),
            roleArn=properties["RoleArn"],
            type=properties.get("StateMachineType", "STANDARD"),
        )

    def rule(self, resource: Resource, properties: dict[str, Any]) -> None:
        name = self.template.refs[resource.logical_id]
        if "EventPattern" not in properties:
            return  # a schedule: nothing here waits for days
        self._clients("events").put_rule(
            Name=name, EventPattern=json.dumps(properties["EventPattern"]), State=properties.get("State", "ENABLED")
        )
        targets: list[dict[str, str]] = []
        for target in properties["Targets"]:
            if unknown := sorted(target.keys() - {"Arn", "DeadLetterConfig", "Id", "RetryPolicy", "RoleArn"}):
                raise TemplateError(f"{unknown[0]} of a target of {name} is not known to the local run.")
            service, arn = target["Arn"].split(":")[2], target["Arn"]
            if service == "states":
                queue_url, arn = _new_queue(self.template, self._clients, f"{name[-60:]}-{len(targets)}")
                delivery = Delivery(
                    queue_url=queue_url,
                    rule_arn=self.template.attributes[resource.logical_id, "Arn"],
                    target_arn=target["Arn"],
                    role_arn=target["RoleArn"],
                    dead_letter_arn=target.get("DeadLetterConfig", {}).get("Arn"),
                    most_retries=int(target.get("RetryPolicy", {}).get("MaximumRetryAttempts", MOST_RETRIES)),
                )
                self._stack.deliveries.append(delivery)
            elif service != "sqs":
                raise TemplateError(f"The local run cannot deliver to {arn}, a target of {name}.")
            targets.append({"Id": target["Id"], "Arn": arn})
        self._clients("events").put_targets(Rule=name, Targets=targets)


def _collect_messages(template: Template, stack: Stack, clients: Clients) -> str:
    """Create the queues that get copies of what topics send and of what is published.

    Returns:
        The ARN of the queue for what topics send.
    """
    stack.inbox_url, inbox_arn = _new_queue(template, clients, f"{template.stack_name}-inbox")
    stack.events_url, events_arn = _new_queue(template, clients, f"{template.stack_name}-events")
    name, others = f"{template.stack_name}-events", {"source": [{"anything-but": {"prefix": "aws."}}]}
    clients("events").put_rule(Name=name, EventPattern=json.dumps(others))
    clients("events").put_targets(Rule=name, Targets=[{"Id": "events", "Arn": events_arn}])
    return inbox_arn


def _new_queue(
    template: Template, clients: Clients, name: str, attributes: dict[str, str] | None = None
) -> tuple[str, str]:
    """Create a queue; return its URL and its ARN."""
    url = clients("sqs").create_queue(QueueName=name, Attributes=attributes or {})["QueueUrl"]
    return url, f"arn:aws:sqs:{template.region}:{ACCOUNT_ID}:{name}"
