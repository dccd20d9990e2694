"""Process many uploads again: all uploads with a prefix that match a filter, within a budget."""

import argparse
import json
import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from image_pipeline.errors import SettingsError
from image_pipeline.keys import UPLOADS_PREFIX
from image_pipeline_cli import names, prices, terminal
from image_pipeline_cli.exits import INCOMPLETE, INTERRUPTED, OK
from image_pipeline_cli.stack import Stack

_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class BackfillTotals:
    """The results of all parts of a backfill together."""

    listed: int
    selected: int
    bytes: int
    over_limit: int
    failed_parts: int
    recipe_warnings: list[str]
    """Settings in the recipe file of the stack that have no effect."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command to its parser."""
    description = "prefix of the keys (default %(default)s)"
    parser.add_argument("prefix", nargs="?", default=UPLOADS_PREFIX, type=names.prefix, help=description)
    parser.add_argument("--dry-run", action="store_true", help="print number, duration and cost; process nothing")
    parser.add_argument("--changed-since", type=_time, metavar="TIME", help="only uploads since this time, in ISO 8601")
    status_filter = parser.add_mutually_exclusive_group()
    status_filter.add_argument(
        "--recipe-changed", action="store_true", help="only images that the current recipes did not produce"
    )
    status_filter.add_argument(
        "--failed-only", action="store_true", help="only uploads that failed for a reason other than the file"
    )
    status_filter.add_argument(
        "--rejected-only", action="store_true", help="only rejected files; use after limits or accepted formats changed"
    )
    parser.add_argument(
        "--concurrency", type=_between(1, 1000), default=10, metavar="N", help="parallel parts (default %(default)s)"
    )
    parser.add_argument("--budget", type=_dollars, metavar="DOLLARS", help="maximum cost in US dollars")
    parser.add_argument(
        "--tolerate",
        type=_between(0, 100),
        default=0,
        metavar="PERCENT",
        help="maximum share of parts that may fail (default %(default)s)",
    )


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Start a backfill, wait for its end, and print the result."""
    max_images = math.floor(options.budget / prices.dollars_per_image()) if options.budget is not None else 0
    if options.budget is not None and max_images < 1:
        print(f"The budget is too small: one image costs {prices.dollars_per_image():.6f} dollars.", file=sys.stderr)
        return INCOMPLETE
    request = {
        "prefix": options.prefix,
        "dryRun": options.dry_run,
        "changedSince": options.changed_since.timestamp() if options.changed_since else 0,
        "recipeChanged": options.recipe_changed,
        "failedOnly": options.failed_only,
        "rejectedOnly": options.rejected_only,
        "maxImages": max_images,
        "concurrency": options.concurrency,
        "toleratedFailurePercentage": options.tolerate,
    }
    execution = _start(stack, request)
    show_progress = (lambda _: None) if options.json or not sys.stderr.isatty() else _show
    try:
        description = _wait(stack, execution, show_progress)
    except KeyboardInterrupt:
        stop = "" if stack.local else f" To stop it: aws stepfunctions stop-execution --execution-arn {execution}"
        print(f"The backfill continues in the background.{stop}")
        return INTERRUPTED
    if description["status"] != "SUCCEEDED":
        _report_failure(stack, description, options.json)
        return INCOMPLETE
    location = json.loads(description["output"])["ResultWriterDetails"]
    totals = _totals(stack, location)
    result = {
        "executionArn": execution,
        "dryRun": options.dry_run,
        "listed": totals.listed,
        "selected": totals.selected,
        "selectedBytes": totals.bytes,
        "overLimit": totals.over_limit,
        "failedParts": totals.failed_parts,
        "recipeWarnings": totals.recipe_warnings,
        "dollars": round(totals.selected * prices.dollars_per_image(), 2),
        "seconds": round(totals.selected / prices.images_per_second(int(stack.outputs["BatchConcurrency"]))),
        "results": f"s3://{location['Bucket']}/{location['Key']}",
    }
    if not options.json:
        for warning in totals.recipe_warnings:
            terminal.complain(warning)
    print(json.dumps(result) if options.json else _summary(result, max_images))
    return INCOMPLETE if totals.failed_parts or totals.over_limit else OK


def _start(stack: Stack, request: Mapping[str, Any]) -> str:
    response = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs["BackfillStateMachineArn"],
        name=f"backfill_{uuid.uuid4()}",
        input=json.dumps(request),
    )
    arn: str = response["executionArn"]
    return arn


def _wait(stack: Stack, execution: str, show_progress: Callable[[str], None]) -> Mapping[str, Any]:
    """Wait until an execution ends, and return its description."""
    states = stack.client("stepfunctions")
    while True:
        description: Mapping[str, Any] = states.describe_execution(executionArn=execution)
        if description["status"] != "RUNNING":
            show_progress("")
            return description
        for map_run in states.list_map_runs(executionArn=execution)["mapRuns"]:
            counts = states.describe_map_run(mapRunArn=map_run["mapRunArn"])["executionCounts"]
            show_progress(f"{counts['succeeded']} of {counts['total']} parts done, {counts['failed']} failed")
        time.sleep(_POLL_SECONDS)


def _show(text: str) -> None:
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _report_failure(stack: Stack, description: Mapping[str, Any], as_json: bool) -> None:
    arn = description["executionArn"]
    error = description.get("error") or description["status"]
    cause = description.get("cause")
    if error == SettingsError.__name__:
        cause = _message(cause)
    if as_json:
        print(json.dumps({"executionArn": arn, "status": description["status"], "error": error, "cause": cause}))
        return
    if error == SettingsError.__name__:
        print(f"The backfill did not start: {cause}", file=sys.stderr)
        return
    reason = (cause or "unknown cause").rstrip(".")
    # The local engine cannot redrive executions.
    next_step = (
        "run the same command again" if stack.local else f"aws stepfunctions redrive-execution --execution-arn {arn}"
    )
    print(
        f"The backfill failed with {error}: {reason}. The log of SelectBackfillFunction has the cause of each failed "
        f"part. Uploads that were already selected are processed. After fixing the cause, continue with:\n{next_step}",
        file=sys.stderr,
    )


def _message(cause: str | None) -> str:
    """Return the message of an error in one line; Lambda wraps it in JSON."""
    try:
        text = json.loads(cause or "")["errorMessage"]
    except (ValueError, TypeError, KeyError):
        text = cause or "unknown cause"
    return " ".join(str(text).split())


def _totals(stack: Stack, location: Mapping[str, str]) -> BackfillTotals:
    """Sum up the results of all parts."""
    s3 = stack.client("s3")

    def read(key: str) -> Any:
        return json.loads(s3.get_object(Bucket=location["Bucket"], Key=key)["Body"].read())

    def read_parts(status: str) -> Iterator[Any]:
        for file in files[status]:
            yield from read(file["Key"])

    files = read(location["Key"])["ResultFiles"]
    parts = list(read_parts("SUCCEEDED"))
    warnings = dict.fromkeys(warning for part in parts for warning in part.get("recipeWarnings", []))
    return BackfillTotals(
        listed=sum(part["listed"] for part in parts),
        selected=sum(part["selected"] for part in parts),
        bytes=sum(part["selectedBytes"] for part in parts),
        over_limit=sum(part["overLimit"] for part in parts),
        failed_parts=sum(1 for _ in read_parts("FAILED")),
        recipe_warnings=list(warnings),
    )


def _summary(result: Mapping[str, Any], max_images: int) -> str:
    verb = "would be" if result["dryRun"] else "will be"
    size = f"{result['selectedBytes'] / 1e6:,.1f} MB"
    sentences = [
        f"{result['selected']:,} of {result['listed']:,} uploads ({size}) {verb} processed again. "
        f"Estimate: {_duration(result['seconds'])}, {result['dollars']:,.2f} dollars."
    ]
    if result["dryRun"] and max_images and result["selected"] > max_images:
        sentences.append(f"The budget covers only {max_images:,} of them.")
    if result["overLimit"]:
        sentences.append(f"{result['overLimit']:,} more uploads exceed the budget, which covers {max_images:,}.")
    if result["failedParts"]:
        sentences.append(f"{result['failedParts']:,} parts of up to 100 uploads failed and selected nothing.")
    return "\n".join([*sentences, f"Results: {result['results']}"])


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def _time(text: str) -> datetime:
    try:
        time_point = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!a} is not an ISO 8601 time, such as 2026-11-21") from None
    return time_point if time_point.tzinfo else time_point.replace(tzinfo=UTC)


def _dollars(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < 1e9:
        raise argparse.ArgumentTypeError(f"{text!a} is not an amount of dollars above 0")
    return amount


def _between(low: int, high: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from {low} to {high}")
        return int(text)

    return whole_number
