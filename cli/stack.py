"""A stack, wherever it runs: its outputs, and clients that reach it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from local import lock
from local.clients import Clients

# A person waits longer than a function may.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60, max_pool_connections=64
)
_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_WRONG_CODES = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"})


class StackError(Exception):
    """There is no such stack, or it cannot be reached; the message says why and what to do."""


@dataclass(frozen=True)
class Stack:
    """What a command needs to know."""

    outputs: Mapping[str, str]
    client: Callable[[str], Any]
    """Gives the boto3 client of a service."""
    local: bool = False
    """Whether it is the copy on this machine."""

    @property
    def workflow(self) -> WorkflowType:
        """How it runs the workflow of an upload; a stack that does not say has no choice yet."""
        return WorkflowType(self.outputs.get("WorkflowType", WorkflowType.STANDARD))


def deployed(name: str, region: str | None) -> Stack:
    """Find a stack on AWS with the caller's own credentials.

    Args:
        name: The stack's name.
        region: Its region; None for the configured one.

    Raises:
        StackError: It is not there, is no image pipeline, or AWS refuses.
    """
    try:
        session = boto3.Session(region_name=region)
        (found,) = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (ClientError, BotoCoreError) as error:
        raise StackError(_unreachable(name, region or "the configured region", error)) from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    if "ProcessImageStateMachineArn" not in outputs:
        raise StackError(f"The stack {name} has no output ProcessImageStateMachineArn, so it is no image pipeline.")

    @cache
    def client(service: str) -> Any:
        config = aws.S3_CONFIG.merge(_CONFIG) if service == "s3" else _CONFIG
        return session.client(service, config=config)  # type: ignore[call-overload]

    return Stack(outputs, client)


def on_this_machine(run_dir: Path) -> Stack:
    """Find the copy that `make run` keeps up.

    Raises:
        StackError: None is running.
    """
    running = lock.read(run_dir)
    if running is None:
        raise StackError("No local copy is running: start one with `make run`.")
    return Stack(running["outputs"], Clients(running["awsUrl"], running["region"]), local=True)


def _unreachable(name: str, region: str, error: ClientError | BotoCoreError) -> str:
    """Say why a stack is not to be had, and what to do."""
    code = aws.code_of(error)
    if isinstance(error, NoCredentialsError):
        return "There are no AWS credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE."
    if isinstance(error, TokenRetrievalError | CredentialRetrievalError) or code in _EXPIRED_CODES:
        return f"The AWS credentials have expired ({error}): run `aws sso login`, or get new ones."
    if code in _WRONG_CODES:
        return f"AWS does not know these credentials ({code}): check AWS_PROFILE, or run `aws configure`."
    if isinstance(error, NoRegionError):
        return "No region is configured: give --region, or set AWS_REGION."
    if code == "ValidationError" and "does not exist" in str(error):
        return f"There is no stack {name} in {region}: check --stack, --region and AWS_PROFILE."
    return f"The stack {name} cannot be reached: {error}. Check --stack, --region and credentials."
