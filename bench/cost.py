"""`python -m bench.cost`: compute the cost of a million pictures from measured times, the template and dated prices.

The first table has the processing of an image, with the same rows since the beginning. The second one has everything
else that the stack costs (`bench.other_costs`), at a monthly volume that `--per-month` sets.

Lambda bills waiting time, and `bench.handlers` measures without a network, so each AWS call adds the latency of its
service. A function with less memory than that of one vCPU gets a share of a processor, so its time increases.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bench import logs, other_costs
from bench.report import RESULTS_FOLDER, write_document
from local.emulator import definitions

HERE = Path(__file__).parent
ROOT = HERE.parent

NETWORK_SECONDS = 0.03
"""Latency of one call within a region: a generous assumption. Parallel writes are waited for together."""
DYNAMODB_SECONDS = 0.01
"""Latency of one call to DynamoDB, which promises less: "single-digit millisecond performance at any scale"
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html)."""
REKOGNITION_SECONDS = 0.5
"""Latency of DetectLabels: an assumption."""
MEGABYTES_OF_ONE_CPU = 1769
"""Memory at which Lambda gives one vCPU (AWS Lambda developer guide, "Configure Lambda function memory")."""
EXPRESS_GIGABYTES = 64 / 1024
"""Billed memory of an Express execution: 50 MB, the definition and the data, rounded up to 64 MB."""
DIRECT_INTEGRATIONS = 2
"""Calls that the workflow makes without a function: the claim and the notification."""
RECORD_KILOBYTES = 3
"""A completed record with ten labels, rounded up; the claim writes less than one kilobyte."""
INDEX_WRITES = 2
"""The claim is added to ProcessingIndex, and removed with the outcome."""
LISTING = {"calls": 18, "waits": 8, "writes": 17, "reads": 2}
"""Listing a claim and then a picture with ten labels and four renditions, in no folder: calls, sequential waits, write
units and read units. `tests/contracts/test_performance.py` counts them."""
LISTING_TOGETHER = {"calls": 14, "waits": 4, "writes": 14, "reads": 1}
"""The same when both changes are in one batch of the stream, of which only the last change of a picture is listed."""
LISTING_CALL_SECONDS = 0.001
"""CPU time of botocore for one of these calls on one vCPU, measured without a network."""
STREAM_INVOCATIONS = 3
"""Both changes of a record are listed and one is published, if each has an invocation of its own. In a burst, changes
of several pictures share invocations."""
STEP_INVOCATIONS = 4
LOG_KILOBYTES = logs.kilobytes()
"""Measured: the lines of the application, and metrics."""
TARGETS = {"Standard": 207.0, "Express": 54.0}
"""US dollars for a million 12-megapixel JPEGs, by type of the workflow, without Rekognition."""
PER_MONTH = 1_000_000
"""Images in a month, over which monthly costs are spread."""

WRITTEN_AT_ONCE = 4
"""The value in `image_pipeline.store.storage`; a test compares them."""

WAIT_SECONDS = {
    "DetectLabels": REKOGNITION_SECONDS,
    "GetItem": DYNAMODB_SECONDS,
    "UpdateItem": DYNAMODB_SECONDS,
}
STREAM_FUNCTIONS = ("IndexImages", "PublishOutcomes")
MAIN_PATH_STEPS = ("ValidateImage", "GenerateThumbnails", "ExtractMetadata", "StoreResults")


class _Template(yaml.SafeLoader):
    """Reads template.yml without intrinsic functions."""


_Template.add_multi_constructor("!", lambda *_: None)


def _template() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load((ROOT / "template.yml").read_text(), _Template)  # noqa: S506  a SafeLoader
    return template


def _resources() -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = _template()["Resources"]
    return resources


def definition(name: str) -> dict[str, Any]:
    """The definition of a workflow.

    Args:
        name: the file's name, without what follows the dot.
    """
    return definitions.parse((ROOT / "statemachine" / f"{name}.asl.yaml").read_text(encoding="utf-8"))


def main_path_states() -> int:
    """Count the states of the workflow for a valid picture."""
    return states_passed("process_image")


def states_passed(workflow: str, *chosen: str) -> int:
    """Count the states from the start of a workflow to its end, which are billed as transitions.

    Args:
        workflow: The name of the file without its extensions.
        chosen: The states to take at a Choice instead of the default.
    """
    machine = definition(workflow)
    name = machine["StartAt"]
    count = 0
    while name:
        state = machine["States"][name]
        count += 1
        choices = [choice["Next"] for choice in state.get("Choices", []) if choice["Next"] in chosen]
        name = next(iter(choices), None) or state.get("Next") or state.get("Default")
    return count


def memory_megabytes() -> dict[str, int]:
    """Return the memory of each function in megabytes, by state."""
    return {
        name.removesuffix("Function"): body["Properties"]["MemorySize"]
        for name, body in _resources().items()
        if body["Type"] == "AWS::Serverless::Function"
    }


def listing_window_seconds() -> float:
    """Return how long the stream collects changes before it lists them."""
    return float(_resources()["IndexImagesEventSourceMapping"]["Properties"]["MaximumBatchingWindowInSeconds"])


def share_listed_together(seconds: float, window: float) -> float:
    """Return the share of images whose claim and outcome come into one batch, for a continuous stream of changes.

    Then a claim comes at any moment of a window with the same probability. With pauses between uploads the share is
    larger, because a claim after a pause opens the window.

    Args:
        seconds: The time from the claim to the outcome.
        window: How long changes are collected.
    """
    return max(0.0, 1 - seconds / window)


def listing(seconds: float) -> dict[str, float]:
    """Return calls, waits, write units, read units and invocations that list an image, on average."""
    share = share_listed_together(seconds, listing_window_seconds())
    counts = {name: LISTING[name] + share * (LISTING_TOGETHER[name] - LISTING[name]) for name in LISTING}
    return counts | {"invocations": STREAM_INVOCATIONS - share}


def lambda_seconds(step: dict[str, Any], memory: int) -> float:
    """Return the billed seconds of one warm invocation."""
    share = min(1.0, memory / MEGABYTES_OF_ONE_CPU)
    operations = [call["operation"] for call in step["calls"]]
    puts = operations.count("PutObject")
    waits = sum(WAIT_SECONDS.get(name, NETWORK_SECONDS) for name in operations if name != "PutObject")
    waits += math.ceil(puts / WRITTEN_AT_ONCE) * NETWORK_SECONDS
    return float(step["milliseconds"]) / 1000 / share + waits


def _folder(state: str) -> str:
    """Return the folder of the function of a state."""
    return "".join("_" + c.lower() if c.isupper() else c for c in state).lstrip("_")


def gigabyte_seconds(picture: dict[str, Any]) -> float:
    """Return the billed time of the steps, times their memory."""
    memory = memory_megabytes()
    return sum(
        lambda_seconds(picture[_folder(state)], memory[state]) * memory[state] / 1024 for state in MAIN_PATH_STEPS
    )


def execution_seconds(picture: dict[str, Any]) -> float:
    """Return the time of an execution, with the way to each function and service."""
    memory = memory_megabytes()
    steps = [lambda_seconds(picture[_folder(state)], memory[state]) + NETWORK_SECONDS for state in MAIN_PATH_STEPS]
    return sum(steps) + DIRECT_INTEGRATIONS * NETWORK_SECONDS


def cost(picture: dict[str, Any], prices: dict[str, float]) -> dict[str, float]:
    """Return US dollars for a million pictures of this kind, by service."""
    memory = memory_megabytes()
    functions = gigabyte_seconds(picture)
    seconds = execution_seconds(picture)
    counts = listing(seconds)
    operations = [call["operation"] for step in picture.values() for call in step.get("calls", [])]
    gets = operations.count("GetObject") + 1  # Rekognition reads the rendition, too
    per_picture = {
        "Lambda": STEP_INVOCATIONS * prices["lambda_request"] + functions * prices["lambda_gb_second"],
        "S3": (operations.count("PutObject") + 1) * prices["s3_put"] + gets * prices["s3_get"],
        "DynamoDB": (1 + math.ceil(RECORD_KILOBYTES) + INDEX_WRITES) * prices["dynamodb_write"],
        "EventBridge and SNS": prices["eventbridge_event"] + prices["sns_publish"],
        "Logs": LOG_KILOBYTES * prices["logs_kilobyte"],
    }
    share = min(1.0, memory["IndexImages"] / MEGABYTES_OF_ONE_CPU)
    listing_seconds = counts["calls"] * LISTING_CALL_SECONDS / share + counts["waits"] * DYNAMODB_SECONDS
    publishing_seconds = lambda_seconds(
        {"milliseconds": 5, "calls": [{"operation": "PutEvents"}]}, memory["PublishOutcomes"]
    )
    megabyte_seconds = listing_seconds * memory["IndexImages"] + publishing_seconds * memory["PublishOutcomes"]
    per_picture["Listing and outcome events"] = (
        counts["writes"] * prices["dynamodb_write"]
        + counts["reads"] * prices["dynamodb_read"]
        + counts["invocations"] * prices["lambda_request"]
        + megabyte_seconds / 1024 * prices["lambda_gb_second"]
        + prices["eventbridge_event"]
    )
    express = math.ceil(seconds * 10) / 10 * EXPRESS_GIGABYTES  # billed in steps of 100 ms
    workflow = {
        "Standard": main_path_states() * prices["states_transition"],
        "Express": prices["express_request"] + express * prices["express_gb_second"],
    }
    rest = sum(per_picture.values())
    per_picture |= {f"Step Functions, {name}": dollars for name, dollars in workflow.items()}
    per_picture |= {f"**together, {name}**": rest + dollars for name, dollars in workflow.items()}
    per_picture["Rekognition, apart"] = prices["rekognition_image"]
    return {name: value * 1e6 for name, value in per_picture.items()}


def events_without_picture(prices: dict[str, float]) -> dict[str, float]:
    """Return US dollars for a million S3 events without a picture; their workflows are Standard with either setting.

    EventBridge bills every event of S3, whether a rule matches it or not.
    """
    event, transition = prices["eventbridge_event"], prices["states_transition"]
    content = states_passed("wait_for_content", "UploadReplaced")
    folder = states_passed("wait_for_content", "FolderMarkerIgnored")
    per_event = {
        "an old version expires": event,
        "a folder marker is created": event + folder * transition,
        "an empty object is created, and its content comes": event + content * transition + prices["s3_get"],
    }
    return {name: value * 1e6 for name, value in per_event.items()}


def other(results: dict[str, Any], picture: dict[str, Any], prices: dict[str, float], images: int) -> dict[str, float]:
    """Return US dollars for a million pictures beside their processing.

    Args:
        results: The measurements of `bench.handlers`.
        picture: The one of them that is meant.
        prices: US dollars by name.
        images: Images in a month.
    """
    memory = memory_megabytes()
    parameters = _template()["Parameters"]
    sent = [call["sent"] for call in picture["generate_thumbnails"]["calls"] if call["operation"] == "PutObject"]
    starts = {state: results["starts"]["now"][_folder(state)] for state in (*MAIN_PATH_STEPS, *STREAM_FUNCTIONS)}
    image = other_costs.Image(
        upload_bytes=picture["upload"]["bytes"],
        rendition_bytes=sum(sent),
        renditions=len(sent),
        record_bytes=RECORD_KILOBYTES * 1000,
        log_kilobytes=LOG_KILOBYTES,
        poll_seconds=lambda_seconds(picture["get_status"], memory["GetStatus"]) * memory["GetStatus"] / 1024,
        init_gigabyte_seconds=sum(
            lambda_seconds({"milliseconds": sum(start.values()), "calls": []}, memory[name]) * memory[name] / 1024
            for name, start in starts.items()
        ),
        stream_invocations=listing(execution_seconds(picture))["invocations"],
    )
    rows = other_costs.per_image(
        image,
        prices,
        trace_rate=parameters["TraceRate"]["Default"],
        noncurrent_days=parameters["NoncurrentVersionDays"]["Default"],
        log_days=parameters["LogRetentionDays"]["Default"],
    )
    counts = other_costs.monitoring((ROOT / "monitoring" / "template.yml").read_text())
    monthly = other_costs.per_month(counts, prices, watch_gigabytes=memory["WatchRecords"] / 1024)
    return {name: dollars * 1e6 for name, dollars in rows.items()} | {
        name: dollars * 1e6 / images for name, dollars in monthly.items()
    }


def dated_prices() -> dict[str, float]:
    """Return prices in US dollars by name, from `prices.toml`."""
    return {name: price["usd"] for name, price in tomllib.loads((HERE / "prices.toml").read_text()).items()}


def costs() -> dict[str, dict[str, float]]:
    """Return US dollars for a million pictures, by kind of picture and service."""
    measured = json.loads((RESULTS_FOLDER / "handlers.json").read_text())
    prices = dated_prices()
    return {name: cost(picture, prices) for name, picture in measured["pictures"].items()}


def deletion(prices: dict[str, float]) -> float:
    """Return US dollars for a million deletions: the event, the workflow, its function, the record and the listing."""
    memory = memory_megabytes()["CleanRenditions"]
    calls = [{"operation": name} for name in ("GetItem", "ListObjectVersions", "DeleteObjects")]
    seconds = lambda_seconds({"milliseconds": 20, "calls": calls}, memory)
    dollars = (
        2 * prices["eventbridge_event"]  # S3's event and the outcome
        + states_passed("delete_image") * prices["states_transition"]
        + (1 + STREAM_INVOCATIONS) * prices["lambda_request"]
        + seconds * memory / 1024 * prices["lambda_gb_second"]
        + (RECORD_KILOBYTES + LISTING["writes"]) * prices["dynamodb_write"]
        + LOG_KILOBYTES * prices["logs_kilobyte"]
    )
    return dollars * 1e6


def rendering(prices: dict[str, float]) -> dict[str, float]:
    """Return how the price of processing, Standard and without labels, depends on the recipes.

    The first picture tells what is the same for all recipes: everything but the time and the files of
    `GenerateThumbnails`.
    """
    picture = next(iter(json.loads((RESULTS_FOLDER / "handlers.json").read_text())["pictures"].values()))
    step, memory = picture["generate_thumbnails"], memory_megabytes()["GenerateThumbnails"]
    puts = [call for call in step["calls"] if call["operation"] == "PutObject"]
    second = memory / 1024 * prices["lambda_gb_second"] * 1e6
    without_files = {"milliseconds": 0, "calls": [call for call in step["calls"] if call not in puts]}
    seconds = lambda_seconds(step, memory) - lambda_seconds(without_files, memory)
    dollars = cost(picture, prices)["**together, Standard**"] - seconds * second - len(puts) * prices["s3_put"] * 1e6
    return {
        "dollars": round(dollars, 2),
        "dollarsAFile": round(prices["s3_put"] * 1e6, 2),
        "dollarsASecond": round(second, 2),
        "writeSeconds": NETWORK_SECONDS,
        "writtenAtOnce": WRITTEN_AT_ONCE,
        "dollarsAGigabyteMonth": prices["s3_stored_gigabyte"],
    }


def for_commands() -> dict[str, Any]:
    """Return what `image-pipeline` uses: a million pictures of the most expensive kind, Standard, labels; deletions;
    and how the price depends on the recipes."""
    return {
        "dollarsAMillion": round(
            max(dollars["**together, Standard**"] + dollars["Rekognition, apart"] for dollars in costs().values()), 2
        ),
        "dollarsAMillionDeletions": round(deletion(dated_prices()), 2),
        "statesAnImage": main_path_states(),
        "rendering": rendering(dated_prices()),
    }


def table(images: int = PER_MONTH) -> str:
    """Return Markdown tables: processing by kind of picture, everything else, and events without a picture.

    Args:
        images: Images in a month.
    """
    figures = costs()
    lines = ["| US dollars a million pictures | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for service in next(iter(figures.values())):
        lines.append(f"| {service} | " + " | ".join(f"{dollars[service]:,.1f}" for dollars in figures.values()) + " |")
    lines += [
        "",
        "| target for jpeg-12mp, processing without Rekognition | at most | computed | |",
        "|---|---|---|---|",
    ]
    for workflow, target in TARGETS.items():
        dollars = figures["jpeg-12mp"][f"**together, {workflow}**"]
        verdict = "met" if dollars <= target else f"**missed** by {dollars - target:.1f}"
        lines.append(f"| {workflow} | {target:g} | {dollars:.1f} | {verdict} |")
    results = json.loads((RESULTS_FOLDER / "handlers.json").read_text())
    prices = dated_prices()
    others = {name: other(results, picture, prices, images) for name, picture in results["pictures"].items()}
    lines += ["", f"| beside processing, at {images:,} pictures a month | " + " | ".join(others) + " |"]
    lines.append("|---" * (len(others) + 1) + "|")
    for cause in next(iter(others.values())):
        lines.append(f"| {cause} | " + " | ".join(f"{dollars[cause]:,.2f}" for dollars in others.values()) + " |")
    sums = (f"{sum(dollars.values()):,.1f}" for dollars in others.values())
    lines.append("| **together** | " + " | ".join(sums) + " |")
    lines += ["", "| US dollars a million events without a picture | |", "|---|---|"]
    lines += [f"| {name} | {dollars:,.0f} |" for name, dollars in events_without_picture(prices).items()]
    return "\n".join(lines)


def main() -> int:
    """Print the tables, and write those of the usual volume into the document."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=main.__doc__)
    parser.add_argument("--per-month", type=int, default=PER_MONTH, metavar="N", help="pictures in a month")
    images = parser.parse_args().per_month
    if images < 1:
        parser.error("--per-month is a number of pictures, 1 or more.")
    print(table(images))
    if images == PER_MONTH:
        write_document("cost", table())
        (ROOT / "image_pipeline_cli" / "figures" / "costs.json").write_text(json.dumps(for_commands()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
