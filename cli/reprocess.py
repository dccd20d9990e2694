"""Process uploads again that have not changed."""

import argparse
import time
from collections.abc import Mapping
from typing import Any

from cli import follow, names, terminal
from cli.exits import LEFT, OK
from cli.stack import Stack
from image_pipeline.errors import TooSoonError, UploadNotFoundError
from image_pipeline.store import records, uploads


def reprocess(stack: Stack, options: argparse.Namespace) -> int:
    """Start the workflow for each key; with `wait`, follow each to its outcome.

    Returns:
        The exit code.
    """
    keys = list(dict.fromkeys(map(names.key, options.keys)))
    before = follow.read(stack, keys) if options.wait else {}
    started: dict[str, str] = {}
    failed: list[dict[str, str]] = []
    for key in keys:
        try:
            started[key] = _start_when_allowed(stack, key)
        except UploadNotFoundError as error:
            failed.append({"key": key, "reason": str(error)})
            terminal.complain(str(error))
        else:
            if not options.json:
                terminal.say(f"Started {started[key]}.")
    document: dict[str, Any] = {"started": started, "failed": failed}
    code = LEFT if failed else OK
    if options.wait:
        wanted: dict[str, follow.Wanted] = {key: follow.Attempt(_last(before, key)) for key in started}
        outcomes = follow.Outcomes(wanted, follow.judge(stack))
        document |= _follow(stack, outcomes, options)
        code = code or outcomes.code
    if options.json:
        terminal.write_json(document)
    return code


def _start_when_allowed(stack: Stack, key: str) -> str:
    """Start a reprocess, after the cooldown if the upload was reprocessed a moment ago; its ARN."""
    outputs = stack.outputs
    cooldown = int(outputs.get("ReprocessCooldownSeconds", 0))
    while True:
        try:
            return uploads.reprocess(
                stack.client,
                bucket=outputs["UploadsBucketName"],
                table=outputs["ImageTableName"],
                state_machine=outputs["ProcessImageStateMachineArn"],
                image_key=key,
                cooldown_seconds=cooldown,
            )
        except TooSoonError as error:
            terminal.complain(f"{error.message} Waiting {error.retry_after_seconds} s.")
            time.sleep(error.retry_after_seconds)


def _follow(stack: Stack, outcomes: follow.Outcomes, options: argparse.Namespace) -> dict[str, Any]:
    """Wait for the outcomes; what is known of each in the end, and the keys without one."""
    known: dict[str, follow.Body] = {}
    with terminal.bar("Processing", len(outcomes.wanted), hidden=options.json) as bar:
        for body in follow.changes(stack, outcomes.wanted, options.timeout, follow.judge(stack)):
            if outcomes.note(body):
                known[body["imageKey"]] = body
                bar.advance(1)
                if not options.json:
                    terminal.say(*follow.line(body))
    for key in outcomes.open:
        terminal.complain(f"{key} has no outcome after {options.timeout} s; ask for its status later.")
    return {"statuses": list(known.values()), "open": outcomes.open}


def _last(bodies: Mapping[str, follow.Body], key: str) -> str | None:
    return records.last_attempt(bodies[key]) if key in bodies else None
