"""`python -m bench.exposure`: what an anonymous caller can hold and cost at the template's default rates.

Computed from the template, the waits in `image_pipeline.api.waiting` and dated prices; nothing is measured. The result
is written into docs/reading.md.
"""

from __future__ import annotations

import itertools
import sys
import tomllib
from dataclasses import dataclass
from typing import Any

import yaml

from bench import cost
from bench.report import write_document
from image_pipeline.api import waiting

DOCUMENT = cost.ROOT / "docs" / "reading.md"
SECTION = "exposure"

SPELLINGS = 2
"""Reads of one look at a name that has a `%`: as it is, and decoded once."""
LOG_KILOBYTES = 2
"""Lambda's own lines of one invocation and the line of the access log: an assumption."""
_DAY = 86_400


def max_reads(wait_seconds: float) -> int:
    """Return how often a request that waits for so long reads the records at most."""
    ends = itertools.accumulate(waiting.pauses_between_reads())
    return 2 + sum(1 for _ in itertools.takewhile(lambda end: end < wait_seconds, ends))


@dataclass(frozen=True)
class Exposure:
    """What one caller can hold and cost who sends as much as the throttles let through."""

    executions: int
    """Held all the time."""
    peak_executions: int
    """Held for the length of one wait, when the burst is used as well."""
    dollars_a_day: float


def exposure(wait_seconds: int) -> Exposure:
    """Compute it for requests that are each kept waiting for so long."""
    template = yaml.load((cost.ROOT / "template.yml").read_text(), cost._Template)  # noqa: S506  a SafeLoader
    prices = {name: each["usd"] for name, each in tomllib.loads((cost.HERE / "prices.toml").read_text()).items()}
    parameters: dict[str, Any] = template["Parameters"]
    resources: dict[str, Any] = template["Resources"]
    routes = [name for name in resources["ImageStatusApiStage"]["Properties"]["RouteSettings"] if name != "$default"]
    rate = len(routes) * parameters["StatusRateLimit"]["Default"]
    burst = len(routes) * parameters["StatusBurstLimit"]["Default"]
    gigabytes = resources["GetStatusFunction"]["Properties"]["MemorySize"] / 1024
    request = (
        prices["http_api_request"]
        + prices["lambda_request"]
        + wait_seconds * gigabytes * prices["lambda_gb_second"]
        + max_reads(wait_seconds) * SPELLINGS * prices["dynamodb_read"]
        + LOG_KILOBYTES * prices["logs_kilobyte"]
    )
    return Exposure(rate * wait_seconds, burst + rate * wait_seconds, rate * _DAY * request)


def table() -> str:
    """Markdown: one row for what a caller knows."""
    rows = {
        "makes up names": waiting.MAX_BLIND_WAIT_SECONDS,
        f"knows names of uploads whose execution began in the last {waiting.SOON_SECONDS} seconds": (
            waiting.MAX_WAIT_SECONDS
        ),
    }
    lines = ["| a caller that | waits | holds | at the peak | costs, US dollars a day |", "|---|---|---|---|---|"]
    for who, seconds in rows.items():
        found = exposure(seconds)
        held = f"{found.executions} executions | {found.peak_executions} | {found.dollars_a_day:,.0f}"
        lines.append(f"| {who} | {seconds} s | {held} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    write_document(SECTION, table(), DOCUMENT)
    sys.exit(0)
