"""Process unchanged uploads again."""

import argparse
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from image_pipeline.errors import PipelineError, TooSoonError
from image_pipeline.store import records, uploads
from image_pipeline_cli import follow, names, terminal
from image_pipeline_cli.exits import INCOMPLETE, OK
from image_pipeline_cli.stack import Stack


def reprocess(stack: Stack, options: argparse.Namespace) -> int:
    """Start the workflow for each key; with `wait`, wait for the outcome of each.

    Returns:
        The exit code.
    """
    return start_all(stack, options, options.keys, uploads.reprocess)


def start_all(stack: Stack, options: argparse.Namespace, image_names: Iterable[str], start: Callable[..., str]) -> int:
    """Start the workflow for each upload; with `wait`, wait for the outcome of each.

    Args:
        stack: the stack.
        options: `wait`, `timeout` and `json`.
        image_names: the names of the uploads.
        start: starts the workflow and returns the ARN of the execution, as `uploads.reprocess`.

    Returns:
        The exit code.
    """
    keys = list(dict.fromkeys(map(names.key, image_names)))
    previous = follow.read(stack, keys) if options.wait else {}
    started: dict[str, str] = {}
    failed: list[dict[str, str]] = []
    for key in keys:
        try:
            started[key] = _start_when_allowed(stack, key, start, options.timeout)
        except PipelineError as error:
            failed.append({"key": key, "reason": str(error)})
            terminal.complain(str(error))
        else:
            if not options.json:
                terminal.say(f"Started {started[key]}.")
    document: dict[str, Any] = {"started": started, "failed": failed}
    code = INCOMPLETE if failed else OK
    if options.wait:
        targets: dict[str, follow.Target] = {key: follow.Attempt(_last_attempt(previous, key)) for key in started}
        outcomes = follow.Outcomes(targets, follow.outcome_test(stack))
        document |= _follow(stack, outcomes, options)
        code = code or outcomes.code
    if options.json:
        terminal.write_json(document)
    return code


def _start_when_allowed(stack: Stack, key: str, start: Callable[..., str], timeout: int) -> str:
    """Start the workflow for an upload, after its cooldown, and return the ARN of the execution.

    Raises:
        UploadNotFoundError: the upload does not exist.
        TooSoonError: the workflow cannot be started within the timeout: an upload that S3 did not report never gets a
            record.
    """
    outputs = stack.outputs
    cooldown = _cooldown(stack)
    waited = 0
    while True:
        try:
            return start(
                stack.client,
                bucket=outputs["UploadsBucketName"],
                table=outputs["ImageTableName"],
                state_machine=outputs["ProcessImageStateMachineArn"],
                image_key=key,
                cooldown_seconds=cooldown,
            )
        except TooSoonError as error:
            if waited >= max(timeout, cooldown):
                raise
            waited += error.retry_after_seconds
            terminal.complain(f"{error.message} Waiting {error.retry_after_seconds} s.")
            time.sleep(error.retry_after_seconds)


def _cooldown(stack: Stack) -> int:
    return int(stack.outputs.get("ReprocessCooldownSeconds", 0))


def _follow(stack: Stack, outcomes: follow.Outcomes, options: argparse.Namespace) -> dict[str, Any]:
    """Wait for the outcomes; return their part of the JSON document."""
    bodies: dict[str, follow.Body] = {}
    with terminal.bar("Processing", len(outcomes.targets), hidden=options.json) as bar:
        for body in follow.changes(stack, outcomes.targets, options.timeout, follow.outcome_test(stack)):
            if outcomes.record(body):
                bodies[body["imageKey"]] = body
                bar.advance(1)
                if not options.json:
                    terminal.say(*follow.line(body))
    for key in outcomes.pending:
        terminal.complain(f"{key} has no outcome after {options.timeout} s; check its status later.")
    return {"statuses": list(bodies.values()), "open": outcomes.pending}


def _last_attempt(bodies: Mapping[str, follow.Body], key: str) -> str | None:
    return records.last_attempt(bodies[key]) if key in bodies else None
