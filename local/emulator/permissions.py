"""Reads roles and the policies of resources from a template."""

from collections.abc import Mapping
from typing import Any

from local.emulator.iam import MANAGED_POLICIES, Role
from local.emulator.template import ACCOUNT_ID, Resource, Template, TemplateError

Statements = list[Mapping[str, Any]]


def read_roles(template: Template) -> list[Role]:
    """Read all roles with the statements of their policies.

    Raises:
        TemplateError: A role has a property that is not supported here, or a policy is outside of a role.
    """
    policies = template.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy")
    if policies:
        raise TemplateError(
            f"{policies[0].logical_id} is a policy outside of a role: implement it in emulator/permissions.py."
        )
    return [_role(template, resource) for resource in template.resources("AWS::IAM::Role")]


def read_resource_policies(template: Template) -> dict[str, Statements]:
    """Read the statements of the policies of buckets, queues and topics, by the ARN of the resource."""
    policies: dict[str, Statements] = {}
    for resource in template.resources("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        properties = template.resolve(resource.raw)
        for arn in _resource_arns(properties, template.region):
            policies.setdefault(arn, []).extend(_statements(properties["PolicyDocument"]))
    return policies


def _role(template: Template, resource: Resource) -> Role:
    properties = template.resolve(resource.raw)
    if "PermissionsBoundary" in properties:
        raise TemplateError(
            f"{resource.logical_id} has a permissions boundary: implement it in emulator/permissions.py."
        )
    statements: Statements = []
    for policy in properties.get("Policies", []):
        statements += _statements(policy["PolicyDocument"])
    for arn in properties.get("ManagedPolicyArns", []):
        name = arn.partition(":policy/")[2]
        if name not in MANAGED_POLICIES:
            raise TemplateError(f"The managed policy {arn} is not known to the local run: add it to emulator/iam.py.")
        statements.append(MANAGED_POLICIES[name])
    return Role(resource.logical_id, template.attributes[resource.logical_id, "Arn"], statements)


def _statements(document: Mapping[str, Any]) -> Statements:
    statements = document["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _resource_arns(policy: Mapping[str, Any], region: str) -> list[str]:
    """Return the ARNs of the resources that a policy belongs to."""
    if "Bucket" in policy:
        return [f"arn:aws:s3:::{policy['Bucket']}"]
    if "Topics" in policy:
        return list(policy["Topics"])
    return [f"arn:aws:sqs:{region}:{ACCOUNT_ID}:{url.rpartition('/')[2]}" for url in policy["Queues"]]
