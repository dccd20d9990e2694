"""Creates and updates the resources of a template at the local endpoint, each type through the API of its service."""

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from local.emulator import cors, definitions
from local.emulator.clients import Clients
from local.emulator.template import ACCOUNT_ID, Resource, Template, TemplateError

MOST_RETRIES = 185  # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html

TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
)
_QUEUE_ATTRIBUTES = ("VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy", "DelaySeconds")
_TARGET_PROPERTIES = {"Arn", "DeadLetterConfig", "Id", "RetryPolicy", "RoleArn"}


@dataclass(frozen=True)
class Delivery:
    """A state machine that a rule starts for each of its events."""

    queue_url: str
    """The queue of the events."""
    rule_arn: str
    target_arn: str
    role_arn: str
    dead_letter_arn: str | None
    most_retries: int


class Creator:
    """Creates and updates the resources of one template.

    Args:
        template: A planned template.
        clients: Clients of the local AWS endpoint.
        inbox_arn: The queue that receives a copy of all messages of topics.
    """

    def __init__(self, template: Template, clients: Clients, inbox_arn: str) -> None:
        self.template = template
        self.deliveries: list[Delivery] = []
        """The state machines that the rules start."""
        self._clients = clients
        self._inbox_arn = inbox_arn

    def create_bucket(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Create a bucket with its versioning, events and CORS rules."""
        s3 = self._clients("s3")
        name = self.template.refs[resource.logical_id]
        region = self.template.region
        location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **location)
        self.update_bucket(resource, properties)

    def update_bucket(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Set the versioning, events and CORS rules of a bucket."""
        s3 = self._clients("s3")
        name = self.template.refs[resource.logical_id]
        if status := properties.get("VersioningConfiguration", {}).get("Status"):
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
        event_bridge = properties.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
        if str(event_bridge.get("EventBridgeEnabled", False)).lower() == "true":
            s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        if rules := cors.bucket_rules(properties):
            s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})
        else:
            s3.delete_bucket_cors(Bucket=name)

    def create_table(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Create a table with its indexes, stream and time to live."""
        dynamodb = self._clients("dynamodb")
        name = self.template.refs[resource.logical_id]
        request = {key: properties[key] for key in TABLE_PROPERTIES if key in properties}
        if "StreamSpecification" in properties:
            request["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        dynamodb.create_table(TableName=name, **request)
        if "TimeToLiveSpecification" in properties:
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])

    def create_queue(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Create a queue."""
        name = self.template.attributes[resource.logical_id, "QueueName"]
        create_queue(self.template, self._clients, name, _queue_attributes(properties))

    def update_queue(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Set the attributes of a queue."""
        if attributes := _queue_attributes(properties):
            url = self.template.refs[resource.logical_id]
            self._clients("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)

    def create_topic(self, resource: Resource, _: dict[str, Any]) -> None:
        """Create a topic, and subscribe the inbox to it."""
        arn = self.template.refs[resource.logical_id]
        self._clients("sns").create_topic(Name=arn.rpartition(":")[2])
        self._clients("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=self._inbox_arn)

    def create_subscription(self, _: Resource, properties: dict[str, Any]) -> None:
        """Subscribe a queue or a mail address to a topic. The address is confirmed, although it never gets mail."""
        sns = self._clients("sns")
        topic_arn = properties["TopicArn"]
        protocol, endpoint = properties["Protocol"], properties["Endpoint"]
        attributes = {"FilterPolicy": json.dumps(properties["FilterPolicy"])} if "FilterPolicy" in properties else {}
        sns.subscribe(TopicArn=topic_arn, Protocol=protocol, Endpoint=endpoint, Attributes=attributes)
        if protocol != "sqs":
            sns.confirm_subscription(TopicArn=topic_arn, Token=endpoint)

    def delete_subscription(self, _: Resource, properties: dict[str, Any]) -> None:
        """Delete a subscription."""
        sns = self._clients("sns")
        # SNS returns the existing subscription.
        request = {name: properties[name] for name in ("TopicArn", "Protocol", "Endpoint")}
        sns.unsubscribe(SubscriptionArn=sns.subscribe(**request)["SubscriptionArn"])

    def create_state_machine(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Create a state machine, with the substitutions in its definition."""
        self._clients("stepfunctions").create_state_machine(
            name=self.template.attributes[resource.logical_id, "Name"],
            definition=self._definition(resource, properties),
            roleArn=properties["RoleArn"],
            type=properties.get("StateMachineType", "STANDARD"),
        )

    def update_state_machine(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Give new executions of a state machine another definition; running ones keep theirs."""
        self._clients("stepfunctions").update_state_machine(
            stateMachineArn=self.template.refs[resource.logical_id],
            definition=self._definition(resource, properties),
            roleArn=properties["RoleArn"],
        )

    def _definition(self, resource: Resource, properties: dict[str, Any]) -> str:
        text = properties.get("DefinitionString") or self.template.asset(
            properties["DefinitionS3Location"]["Key"]
        ).read_text(encoding="utf-8")
        substitutions = properties.get("DefinitionSubstitutions", {})

        def value(match: re.Match[str]) -> str:
            if match[1] not in substitutions:
                raise TemplateError(f"{resource.logical_id} uses ${{{match[1]}}}, which the template does not define.")
            return str(substitutions[match[1]])

        try:  # CloudFormation, too, substitutes in the text before it reads the YAML
            definition = definitions.parse(re.sub(r"\$\{(\w+)\}", value, text))
        except yaml.YAMLError as error:
            raise TemplateError(f"The definition of {resource.logical_id} cannot be read: {error}") from error
        return json.dumps(definition)

    def put_rule(self, resource: Resource, properties: dict[str, Any]) -> None:
        """Create or replace a rule and its targets."""
        name = self.template.refs[resource.logical_id]
        state = properties.get("State", "ENABLED")
        if "EventPattern" not in properties:  # schedules do not run here
            schedule = properties["ScheduleExpression"]
            self._clients("events").put_rule(Name=name, ScheduleExpression=schedule, State=state)
            return
        self._clients("events").put_rule(Name=name, EventPattern=json.dumps(properties["EventPattern"]), State=state)
        targets: list[dict[str, str]] = []
        for target in properties["Targets"]:
            if unsupported := sorted(target.keys() - _TARGET_PROPERTIES):
                raise TemplateError(f"{unsupported[0]} of a target of {name} is not supported by the local run.")
            arn = target["Arn"]
            service = arn.split(":")[2]
            if service == "states":
                queue_url, arn = create_queue(self.template, self._clients, f"{name[-60:]}-{len(targets)}")
                self.deliveries.append(
                    Delivery(
                        queue_url=queue_url,
                        rule_arn=self.template.attributes[resource.logical_id, "Arn"],
                        target_arn=target["Arn"],
                        role_arn=target["RoleArn"],
                        dead_letter_arn=target.get("DeadLetterConfig", {}).get("Arn"),
                        most_retries=int(target.get("RetryPolicy", {}).get("MaximumRetryAttempts", MOST_RETRIES)),
                    )
                )
            elif service != "sqs":
                raise TemplateError(f"The local run cannot deliver to {arn}, a target of {name}.")
            targets.append({"Id": target["Id"], "Arn": arn})
        events = self._clients("events")
        previous_ids = {target["Id"] for target in events.list_targets_by_rule(Rule=name)["Targets"]}
        if obsolete_ids := previous_ids - {target["Id"] for target in targets}:
            events.remove_targets(Rule=name, Ids=sorted(obsolete_ids))
        events.put_targets(Rule=name, Targets=targets)


def _queue_attributes(properties: dict[str, Any]) -> dict[str, str]:
    return {
        key: json.dumps(value) if isinstance(value, dict) else str(value)
        for key, value in properties.items()
        if key in _QUEUE_ATTRIBUTES
    }


def create_queue(
    template: Template, clients: Clients, name: str, attributes: dict[str, str] | None = None
) -> tuple[str, str]:
    """Create a queue and return its URL and its ARN."""
    url = clients("sqs").create_queue(QueueName=name, Attributes=attributes or {})["QueueUrl"]
    return url, f"arn:aws:sqs:{template.region}:{ACCOUNT_ID}:{name}"
