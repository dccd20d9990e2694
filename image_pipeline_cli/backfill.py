"""Process many uploads again: those below a prefix that pass a filter, within a budget."""

import argparse
import json
import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from image_pipeline.errors import SettingsError
from image_pipeline.keys import UPLOADS_PREFIX
from image_pipeline_cli import names, terminal
from image_pipeline_cli.exits import INTERRUPTED, LEFT, OK
from image_pipeline_cli.stack import Stack

_FIGURES = Path(__file__).with_name("figures")
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Sums:
    """What a backfill has chosen, over all of its parts."""

    listed: int
    selected: int
    bytes: int
    over_limit: int
    failed_parts: int
    recipe_warnings: list[str]
    """What the stack's recipe file says that has no effect."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    words = "what their keys begin with (default %(default)s)"
    parser.add_argument("prefix", nargs="?", default=UPLOADS_PREFIX, type=names.prefix, help=words)
    parser.add_argument("--dry-run", action="store_true", help="tell how many, how long and what it costs; do nothing")
    parser.add_argument("--changed-since", type=_time, metavar="TIME", help="uploaded since then, in ISO 8601")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--recipe-changed", action="store_true", help="what was not made by the recipes of today")
    which.add_argument("--failed-only", action="store_true", help="what has failed through no fault of the file")
    which.add_argument("--rejected-only", action="store_true", help="what was rejected: limits or formats have changed")
    parser.add_argument("--concurrency", type=_between(1, 1000), default=10, metavar="N", help="parts at a time (10)")
    parser.add_argument("--budget", type=_dollars, metavar="DOLLARS", help="choose no more than that pays for")
    parser.add_argument(
        "--tolerate", type=_between(0, 100), default=0, metavar="PERCENT", help="of parts that fail (0)"
    )


def run(stack: Stack, options: argparse.Namespace) -> int:
    """Start a backfill, follow it, and tell what came of it."""
    most = math.floor(options.budget / _dollars_each()) if options.budget is not None else 0
    if options.budget is not None and most < 1:
        print(f"A picture costs {_dollars_each():.6f} dollars, more than the budget.", file=sys.stderr)
        return LEFT
    request = {
        "prefix": options.prefix,
        "dryRun": options.dry_run,
        "changedSince": options.changed_since.timestamp() if options.changed_since else 0,
        "recipeChanged": options.recipe_changed,
        "failedOnly": options.failed_only,
        "rejectedOnly": options.rejected_only,
        "maxImages": most,
        "concurrency": options.concurrency,
        "toleratedFailurePercentage": options.tolerate,
    }
    execution = _start(stack, request)
    say = (lambda _: None) if options.json or not sys.stderr.isatty() else _show
    try:
        ended = _follow(stack, execution, say)
    except KeyboardInterrupt:
        stop = "" if stack.local else f" To stop it: aws stepfunctions stop-execution --execution-arn {execution}"
        print(f"It goes on without you.{stop}")
        return INTERRUPTED
    if ended["status"] != "SUCCEEDED":
        _fail(stack, ended, options.json)
        return LEFT
    place = json.loads(ended["output"])["ResultWriterDetails"]
    sums = _sums(stack, place)
    facts = {
        "executionArn": execution,
        "dryRun": options.dry_run,
        "listed": sums.listed,
        "selected": sums.selected,
        "selectedBytes": sums.bytes,
        "overLimit": sums.over_limit,
        "failedParts": sums.failed_parts,
        "recipeWarnings": sums.recipe_warnings,
        "dollars": round(sums.selected * _dollars_each(), 2),
        "seconds": round(sums.selected / _pictures_a_second(int(stack.outputs["BatchConcurrency"]))),
        "results": f"s3://{place['Bucket']}/{place['Key']}",
    }
    if not options.json:
        for warning in sums.recipe_warnings:
            terminal.complain(warning)
    print(json.dumps(facts) if options.json else _summary(facts, most))
    return LEFT if sums.failed_parts or sums.over_limit else OK


def _start(stack: Stack, request: Mapping[str, Any]) -> str:
    answer = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs["BackfillStateMachineArn"],
        name=f"backfill_{uuid.uuid4()}",
        input=json.dumps(request),
    )
    arn: str = answer["executionArn"]
    return arn


def _follow(stack: Stack, execution: str, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Wait until an execution has ended, and tell how far it is."""
    states = stack.client("stepfunctions")
    while True:
        found: Mapping[str, Any] = states.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            say("")
            return found
        for part in states.list_map_runs(executionArn=execution)["mapRuns"]:
            counts = states.describe_map_run(mapRunArn=part["mapRunArn"])["executionCounts"]
            say(f"{counts['succeeded']} of {counts['total']} parts looked at, {counts['failed']} failed")
        time.sleep(_LOOK_SECONDS)


def _show(text: str) -> None:
    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _fail(stack: Stack, ended: Mapping[str, Any], as_json: bool) -> None:
    arn, error, cause = ended["executionArn"], ended.get("error") or ended["status"], ended.get("cause")
    if error == SettingsError.__name__:
        cause = _message(cause)
    if as_json:
        print(json.dumps({"executionArn": arn, "status": ended["status"], "error": error, "cause": cause}))
        return
    if error == SettingsError.__name__:
        print(f"The backfill has not begun, and nothing was chosen: {cause}", file=sys.stderr)
        return
    why = (cause or "no cause was given").rstrip(".")
    # The local engine cannot redrive.
    rest = "run it again" if stack.local else f"aws stepfunctions redrive-execution --execution-arn {arn}"
    print(
        f"The backfill ended with {error}: {why}. Why a part failed is in the log of "
        f"SelectBackfillFunction. What was chosen until then is processed. Once the cause is mended, for the rest:\n"
        f"{rest}",
        file=sys.stderr,
    )


def _message(cause: str | None) -> str:
    """What an error of the pipeline says, in one line: Lambda wraps it in JSON."""
    try:
        text = json.loads(cause or "")["errorMessage"]
    except (ValueError, TypeError, KeyError):
        text = cause or "no cause was given"
    return " ".join(str(text).split())


def _sums(stack: Stack, place: Mapping[str, str]) -> Sums:
    """Add up the results of all parts."""
    s3 = stack.client("s3")

    def read(key: str) -> Any:
        return json.loads(s3.get_object(Bucket=place["Bucket"], Key=key)["Body"].read())

    def lines(status: str) -> Iterator[Any]:
        for file in files[status]:
            yield from read(file["Key"])

    files = read(place["Key"])["ResultFiles"]
    parts = list(lines("SUCCEEDED"))
    names = "listed", "selected", "selectedBytes", "overLimit"
    listed, selected, size, over = (sum(part[name] for part in parts) for name in names)
    warnings = dict.fromkeys(warning for part in parts for warning in part.get("recipeWarnings", []))
    return Sums(listed, selected, size, over, sum(1 for _ in lines("FAILED")), list(warnings))


def _summary(facts: Mapping[str, Any], most: int) -> str:
    would = "would be" if facts["dryRun"] else "are"
    size = f"{facts['selectedBytes'] / 1e6:,.1f} MB"
    text = [
        f"{facts['selected']:,} of {facts['listed']:,} uploads, {size}, {would} processed again, in about "
        f"{_duration(facts['seconds'])} and for about {facts['dollars']:,.2f} dollars."
    ]
    if facts["dryRun"] and most and facts["selected"] > most:
        text.append(f"The budget pays for {most:,} of them.")
    if facts["overLimit"]:
        text.append(f"{facts['overLimit']:,} more were left out: the budget pays for {most:,}.")
    if facts["failedParts"]:
        text.append(f"{facts['failedParts']:,} parts of a hundred uploads failed and chose nothing.")
    return "\n".join([*text, f"Results: {facts['results']}"])


def _dollars_each() -> float:
    """What one picture costs, by `bench.cost`."""
    return float(json.loads((_FIGURES / "costs.json").read_text())["dollarsAMillion"]) / 1e6


def _pictures_a_second(concurrency: int) -> float:
    """How fast the queue drains, by the nearest of the simulated settings that is no faster."""
    runs = json.loads((_FIGURES / "batch.json").read_text())["runs"]
    fitting = [run for run in runs if run["batchConcurrency"] <= concurrency]
    return max(float(run["picturesPerSecond"]) for run in fitting)


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!a} is no time in ISO 8601, such as 2026-11-21") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _dollars(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 < amount < 1e9:
        raise argparse.ArgumentTypeError(f"{text!a} is no amount of dollars above 0")
    return amount


def _between(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from {low} to {high}")
        return int(text)

    return whole
