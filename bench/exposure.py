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
PAGE_SECONDS = 0.05
"""Duration of an invocation that serves a file of the web page: an assumption, far above a warm start."""
PAGE_KILOBYTES = 20
"""Size of the largest file of the web page, compressed: an assumption, a third of the page's budget."""
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
    parameters, resources = _template()
    prices = cost.dated_prices()
    methods = [method for method, path in _open_routes(resources) if path.startswith("/images/")]
    waiting_rate, head_rate = (
        methods.count(method) * parameters["StatusRateLimit"]["Default"] for method in ("GET", "HEAD")
    )
    burst = len(methods) * parameters["StatusBurstLimit"]["Default"]
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


def page_exposure() -> Exposure:
    """Compute the exposure for requests that load the largest file of the web page."""
    parameters, resources = _template()
    prices = cost.dated_prices()
    rate, burst = (parameters[name]["Default"] for name in ("StatusRateLimit", "StatusBurstLimit"))
    methods = [method for method, path in _open_routes(resources) if path == "/" or path.startswith("/page/")]
    gigabytes = resources["ServePageFunction"]["Properties"]["MemorySize"] / 1024
    dollars = (
        prices["http_api_request"]
        + prices["lambda_request"]
        + PAGE_SECONDS * gigabytes * prices["lambda_gb_second"]
        + LOG_KILOBYTES * prices["logs_kilobyte"]
    )
    sent_gigabytes = methods.count("GET") * rate * PAGE_KILOBYTES / 1e6
    dollars_a_second = len(methods) * rate * dollars + sent_gigabytes * prices["transfer_gigabyte"]
    executions = round(len(methods) * rate * PAGE_SECONDS)
    return Exposure(executions, len(methods) * burst + executions, _DAY * dollars_a_second)


def _template() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters and the resources of the template."""
    template = yaml.load((cost.ROOT / "template.yml").read_text(), cost._Template)  # noqa: S506  a SafeLoader
    return template["Parameters"], template["Resources"]


def _open_routes(resources: dict[str, Any]) -> list[tuple[str, str]]:
    """Return method and path of the routes that can be open to everyone."""
    routes = [name.partition(" ") for name in resources["ImageStatusApiStage"]["Properties"]["RouteSettings"]]
    return [(method, path) for method, _, path in routes]


def table() -> str:
    """Return a Markdown table with a row for each kind of caller."""
    rows = {
        "makes up names": waiting.MAX_BLIND_WAIT_SECONDS,
        f"knows names of uploads whose execution began in the last {waiting.SOON_SECONDS} seconds": (
            waiting.MAX_WAIT_SECONDS
        ),
    }
    lines = ["| a caller that | waits | holds | at the peak | costs, US dollars a day |", "|---|---|---|---|---|"]
    results = [(caller, seconds, exposure(seconds)) for caller, seconds in rows.items()]
    for caller, seconds, result in [*results, ("loads files of the web page", 0, page_exposure())]:
        cells = f"{result.executions} executions | {result.peak_executions} | {result.dollars_a_day:,.0f}"
        lines.append(f"| {caller} | {seconds} s | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    write_document(SECTION, table(), DOCUMENT)
    sys.exit(0)
