"""`python -m bench.exposure`: the concurrency and cost that an anonymous caller can cause at the default rates.

They are computed from the template, the waits in `image_pipeline.api.waiting` and dated prices; nothing is measured.
The result is written to docs/reading.md.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from typing import Any

import yaml

from bench import cost
from bench.report import write_document
from image_pipeline.api import waiting

DOCUMENT = cost.ROOT / "docs" / "reading.md"
SECTION = "exposure"

SPELLINGS = 2
"""Reads for a name with a `%`: unchanged, and decoded once."""
LOG_KILOBYTES = 2
"""Log lines of Lambda for one invocation, and the access log: an assumption."""
_DAY = 86_400


def max_reads(wait_seconds: float) -> int:
    """Return how often a request that waits for so long reads the records at most."""
    ends = itertools.accumulate(waiting.pauses_between_reads())
    return 2 + sum(1 for _ in itertools.takewhile(lambda end: end < wait_seconds, ends))


@dataclass(frozen=True)
class Exposure:
    """The concurrency and cost that one caller causes who sends as many requests as the throttles allow."""

    executions: int
    """Permanently occupied executions."""
    peak_executions: int
    """Executions during one wait if the burst is used, too."""
    dollars_a_day: float


def exposure(wait_seconds: int) -> Exposure:
    """Compute the exposure for requests that each wait this long."""
    template = yaml.load((cost.ROOT / "template.yml").read_text(), cost._Template)  # noqa: S506  a SafeLoader
    prices = cost.dated_prices()
    parameters: dict[str, Any] = template["Parameters"]
    resources: dict[str, Any] = template["Resources"]
    methods = [name.partition(" ")[0] for name in resources["ImageStatusApiStage"]["Properties"]["RouteSettings"]]
    waiting_rate, head_rate = (
        methods.count(method) * parameters["StatusRateLimit"]["Default"] for method in ("GET", "HEAD")
    )
    burst = (methods.count("GET") + methods.count("HEAD")) * parameters["StatusBurstLimit"]["Default"]
    gigabytes = resources["GetStatusFunction"]["Properties"]["MemorySize"] / 1024

    def dollars(wait_seconds: int) -> float:
        """Return the price of one request."""
        return float(
            prices["http_api_request"]
            + prices["lambda_request"]
            + wait_seconds * gigabytes * prices["lambda_gb_second"]
            + max_reads(wait_seconds) * SPELLINGS * prices["dynamodb_read"]
            + LOG_KILOBYTES * prices["logs_kilobyte"]
        )

    executions = waiting_rate * wait_seconds
    dollars_a_day = _DAY * (waiting_rate * dollars(wait_seconds) + head_rate * dollars(0))  # HEAD does not wait
    return Exposure(executions, burst + executions, dollars_a_day)


def table() -> str:
    """Return a Markdown table with a row for each kind of caller."""
    rows = {
        "makes up names": waiting.MAX_BLIND_WAIT_SECONDS,
        f"knows names of uploads whose execution began in the last {waiting.SOON_SECONDS} seconds": (
            waiting.MAX_WAIT_SECONDS
        ),
    }
    lines = ["| a caller that | waits | holds | at the peak | costs, US dollars a day |", "|---|---|---|---|---|"]
    for caller, seconds in rows.items():
        result = exposure(seconds)
        cells = f"{result.executions} executions | {result.peak_executions} | {result.dollars_a_day:,.0f}"
        lines.append(f"| {caller} | {seconds} s | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    write_document(SECTION, table(), DOCUMENT)
    sys.exit(0)
