"""A stack, wherever it runs: its outputs, and clients that reach it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local import lock
from local.clients import Clients


class StackError(Exception):
    """There is no such stack, or it cannot be reached; the message says why and what to do."""


@dataclass(frozen=True)
class Stack:
    """What a command needs to know."""

    outputs: Mapping[str, str]
    client: Callable[[str], Any]
    """Gives the boto3 client of a service."""


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
        raise StackError(
            f"The stack {name} cannot be reached: {error}. Check --stack, --region and credentials."
        ) from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    if "ProcessImageStateMachineArn" not in outputs:
        raise StackError(f"The stack {name} has no output ProcessImageStateMachineArn, so it is no image pipeline.")
    return Stack(outputs, lambda service: session.client(service))  # type: ignore[call-overload]


def on_this_machine(run_dir: Path) -> Stack:
    """Find the copy that `make run` keeps up.

    Raises:
        StackError: None is running.
    """
    running = lock.read(run_dir)
    if running is None:
        raise StackError("No local copy is running: start one with `make run`.")
    return Stack(running["outputs"], Clients(running["awsUrl"], running["region"]))
