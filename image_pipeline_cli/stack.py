"""Find a stack on AWS or its local run: its outputs and clients."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    TokenRetrievalError,
)

from image_pipeline import aws
from image_pipeline.settings import WorkflowType
from image_pipeline_cli import local_run

# A person waits longer than a function may: these timeouts are longer than those of the functions.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60, max_pool_connections=64
)
_LOCAL_KEY = "local"
"""The local run does not check signatures; real credentials must never be sent to it."""
_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_WRONG_CODES = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})


class StackError(Exception):
    """The stack does not exist or cannot be reached; the message says why and what to do."""


@dataclass(frozen=True)
class StackResource:
    """A resource of a stack."""

    logical_id: str
    type: str
    """Such as `AWS::Events::Rule`."""
    name: str
    """Its physical id: a name, a URL or an ARN."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack, on AWS or on this machine."""

    outputs: Mapping[str, str]
    client: Callable[[str], Any]
    """Returns the boto3 client of a service."""
    local: bool = False
    """Whether it is the local run."""
    name: str = "the local run"
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The values of the template's parameters."""
    list_resources: Callable[[], Iterable[StackResource]] = tuple
    """Lists the resources, without those of nested stacks."""

    def resources(self, kind: str) -> dict[str, str]:
        """Return the names of the resources of a type, by logical id."""
        return {resource.logical_id: resource.name for resource in self.list_resources() if resource.type == kind}

    @property
    def workflow(self) -> WorkflowType:
        """The type of the workflow; older versions without this output deploy only Standard."""
        return WorkflowType(self.outputs.get("WorkflowType", WorkflowType.STANDARD))


def find_on_aws(name: str, region: str | None) -> Stack:
    """Find a stack on AWS with the credentials of the caller.

    Args:
        name: The stack's name.
        region: Its region; None for the configured one.

    Raises:
        StackError: The stack does not exist, is not an image pipeline, or AWS denies access.
    """
    try:
        client = clients_on_aws(region)
        (description,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (ClientError, BotoCoreError) as error:
        raise StackError(explain_unreachable(name, region or "the configured region", error)) from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}
    if "ProcessImageStateMachineArn" not in outputs:
        raise StackError(f"The stack {name} is not an image pipeline: it has no output ProcessImageStateMachineArn.")
    return Stack(
        outputs,
        client,
        name=name,
        parameters={entry["ParameterKey"]: entry["ParameterValue"] for entry in description.get("Parameters", [])},
        list_resources=cache(lambda: _list_resources(client("cloudformation"), name)),
    )


def _list_resources(formation: Any, name: str) -> list[StackResource]:
    pages = formation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [
        StackResource(entry["LogicalResourceId"], entry["ResourceType"], entry["PhysicalResourceId"])
        for page in pages
        for entry in page["StackResourceSummaries"]
        if entry.get("PhysicalResourceId")
    ]


def find_local(run_dir: Path) -> Stack:
    """Find the local run that `make run` started.

    Raises:
        StackError: There is no local run.
    """
    running = local_run.read(run_dir)
    if running is None:
        raise StackError(
            f"No local run was found at {run_dir}. Start one with `make run`, or use this command in the clone or with "
            "`--run-dir CLONE/.run`."
        )
    session = boto3.Session(_LOCAL_KEY, _LOCAL_KEY, region_name=running["region"])
    return Stack(
        running["outputs"],
        _clients(session, running["awsUrl"]),
        local=True,
        parameters=running["parameters"],
        list_resources=lambda: [StackResource(*entry) for entry in running["resources"]],
    )


def clients_on_aws(region: str | None) -> Callable[[str], Any]:
    """Return a function that creates each client once, with the credentials of the caller.

    Args:
        region: The region of the clients; None for the configured one.
    """
    return _clients(boto3.Session(region_name=region))


def _clients(session: boto3.Session, endpoint_url: str | None = None) -> Callable[[str], Any]:
    """Return a function that creates the client of a service once."""

    @cache
    def client(service: str) -> Any:
        config = aws.S3_CONFIG.merge(_CONFIG) if service == "s3" else _CONFIG
        return session.client(service, config=config, endpoint_url=endpoint_url)  # type: ignore[call-overload]

    return client


def explain_unreachable(name: str, region: str, error: ClientError | BotoCoreError) -> str:
    """Explain why a stack cannot be used, and what to do."""
    code = aws.code_of(error)
    if isinstance(error, NoCredentialsError):
        return "No AWS credentials were found. Run `aws configure` or `aws sso login`, or set AWS_PROFILE."
    if isinstance(error, TokenRetrievalError | CredentialRetrievalError) or code in _EXPIRED_CODES:
        return f"The AWS credentials have expired ({error}). Run `aws sso login` or get new credentials."
    if code in _WRONG_CODES:
        return f"AWS rejects these credentials ({code}). Check AWS_PROFILE or run `aws configure`."
    if isinstance(error, NoRegionError):
        return "No region is configured. Use --region or set AWS_REGION."
    if code == "ValidationError" and "does not exist" in str(error):
        return f"There is no stack {name} in {region}. Check --stack, --region and AWS_PROFILE."
    return f"The stack {name} cannot be reached: {error}. Check --stack, --region and the credentials."
