"""`python -m bench.cost`: compute the cost of a million images from measured times, the template and dated prices.

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
from functools import cache
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
"""Listing a claim and then an image with ten labels and four renditions, in no folder: calls, sequential waits, write
units and read units. `tests/contracts/test_performance.py` counts them."""
LISTING_TOGETHER = {"calls": 14, "waits": 4, "writes": 14, "reads": 1}
"""The same when both changes are in one batch of the stream, of which only the last change of an image is listed."""
LISTING_CALL_SECONDS = 0.001
"""CPU time of botocore for one of these calls on one vCPU, measured without a network."""
STREAM_INVOCATIONS = 3
"""Both changes of a record are listed and one is published, if each has an invocation of its own. In a burst, changes
of several images share invocations."""
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
ENGINE_ROWS = {"jpeg-12mp": "jpeg-12mp", "png-12mp": "png-12mp-photo", "webp-12mp": "webp-12mp"}
"""The image in `engine.json` by that in `handlers.json`."""
MAIN_PATH_STEPS = ("ValidateImage", "GenerateThumbnails", "ExtractMetadata", "StoreResults")


class _Template(yaml.CSafeLoader):
    """Reads template.yml without intrinsic functions."""


_Template.add_multi_constructor("!", lambda *_: None)


@cache
def _template() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load((ROOT / "template.yml").read_text(), _Template)  # noqa: S506  a safe loader
    return template


def _resources() -> dict[str, dict[str, Any]]:
    resources: dict[str, dict[str, Any]] = _template()["Resources"]
    return resources


@cache
def definition(name: str) -> dict[str, Any]:
    """The definition of a workflow.

    Args:
        name: the file's name, without what follows the dot.
    """
    return definitions.parse((ROOT / "statemachine" / f"{name}.asl.yaml").read_text(encoding="utf-8"))


def main_path_states() -> int:
    """Count the states of the workflow for a valid image."""
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


def gigabyte_seconds(steps: dict[str, Any]) -> float:
    """Return the billed time of the steps, times their memory."""
    memory = memory_megabytes()
    return sum(lambda_seconds(steps[_folder(state)], memory[state]) * memory[state] / 1024 for state in MAIN_PATH_STEPS)


def execution_seconds(steps: dict[str, Any]) -> float:
    """Return the time of an execution, with the way to each function and service."""
    memory = memory_megabytes()
    seconds = [lambda_seconds(steps[_folder(state)], memory[state]) + NETWORK_SECONDS for state in MAIN_PATH_STEPS]
    return sum(seconds) + DIRECT_INTEGRATIONS * NETWORK_SECONDS


def cost(steps: dict[str, Any], prices: dict[str, float]) -> dict[str, float]:
    """Return US dollars for a million images of this kind, by service."""
    memory = memory_megabytes()
    functions = gigabyte_seconds(steps)
    seconds = execution_seconds(steps)
    counts = listing(seconds)
    operations = [call["operation"] for step in steps.values() for call in step.get("calls", [])]
    gets = operations.count("GetObject") + 1  # Rekognition reads the rendition, too
    per_image = {
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
    per_image["Listing and outcome events"] = (
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
    rest = sum(per_image.values())
    per_image |= {f"Step Functions, {name}": dollars for name, dollars in workflow.items()}
    per_image |= {f"**together, {name}**": rest + dollars for name, dollars in workflow.items()}
    per_image["Rekognition, apart"] = prices["rekognition_image"]
    return {name: value * 1e6 for name, value in per_image.items()}


def on_arm64(steps: dict[str, Any], *, rendering_ratio: float, core_ratio: float) -> dict[str, Any]:
    """Return the measurements of an image as they would be on arm64.

    Args:
        steps: The measurements on x86_64, by step.
        rendering_ratio: CPU time of the engine without the SIMD resizer, which arm64 lacks, over that with it.
        core_ratio: Time of a core of arm64 over that of a core of x86_64 for the same work.
    """
    ratios = {"generate_thumbnails": core_ratio * rendering_ratio}
    return {
        name: step | {"milliseconds": step["milliseconds"] * ratios.get(name, core_ratio)}
        if "milliseconds" in step
        else step
        for name, step in steps.items()
    }


def architectures(prices: dict[str, float]) -> dict[str, tuple[float, float, float]]:
    """Compare the architectures for each image, with Express executions and without Rekognition.

    Returns:
        For each image US dollars a million on x86_64; on arm64 with cores that are as fast; and how many times as long
        a core of arm64 may take until both cost the same. The listing takes equal time, because its share is small.
    """
    images = json.loads((RESULTS_FOLDER / "handlers.json").read_text())["pictures"]
    rows = json.loads((RESULTS_FOLDER / "engine.json").read_text())["pictures"]
    arm_prices = prices | {"lambda_gb_second": prices["lambda_gb_second_arm"]}

    def arm_dollars(name: str, core_ratio: float) -> float:
        job = rows[ENGINE_ROWS[name]]["jobs"]["recipes"]
        ratio = job["engine, arm64 path"]["cpu"] / job["engine"]["cpu"]
        steps = on_arm64(images[name], rendering_ratio=ratio, core_ratio=core_ratio)
        return cost(steps, arm_prices)["**together, Express**"]

    table = {}
    for name, steps in images.items():
        dollars = cost(steps, prices)["**together, Express**"]
        ratios = [step / 100 for step in range(50, 300)]
        break_even = max(ratio for ratio in ratios if arm_dollars(name, ratio) <= dollars)
        table[name] = (dollars, arm_dollars(name, 1), break_even)
    return table


def events_without_image(prices: dict[str, float]) -> dict[str, float]:
    """Return US dollars for a million S3 events without an image; their workflows are Standard with either setting.

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


def other(results: dict[str, Any], steps: dict[str, Any], prices: dict[str, float], images: int) -> dict[str, float]:
    """Return US dollars for a million images beside their processing.

    Args:
        results: The measurements of `bench.handlers`.
        steps: The measurements of one image, by step.
        prices: US dollars by name.
        images: Images in a month.
    """
    parameters = _template()["Parameters"]
    image = _image(results, steps)
    rows = other_costs.per_image(
        image,
        prices,
        trace_rate=parameters["TraceRate"]["Default"],
        noncurrent_days=parameters["NoncurrentVersionDays"]["Default"],
        log_days=parameters["LogRetentionDays"]["Default"],
    )
    counts = other_costs.monitoring((ROOT / "monitoring" / "template.yml").read_text())
    watch_gigabytes = memory_megabytes()["WatchRecords"] / 1024
    monthly = other_costs.per_month(counts, prices, watch_gigabytes=watch_gigabytes)
    return {name: dollars * 1e6 for name, dollars in rows.items()} | {
        name: dollars * 1e6 / images for name, dollars in monthly.items()
    }


def of_parameters(results: dict[str, Any], steps: dict[str, Any], prices: dict[str, float]) -> dict[str, float]:
    """Return US dollars that a million images cost in addition if a parameter has another value than its default."""
    rate = _template()["Parameters"]["TraceRate"]["Default"]
    rows = other_costs.of_parameters(_image(results, steps), prices, trace_rate=rate)
    return {name: dollars * 1e6 for name, dollars in rows.items()}


def _image(results: dict[str, Any], steps: dict[str, Any]) -> other_costs.Image:
    memory = memory_megabytes()
    sent = [call["sent"] for call in steps["generate_thumbnails"]["calls"] if call["operation"] == "PutObject"]
    starts = results["starts"]["now"]

    def init_gigabyte_seconds(function: str) -> float:
        milliseconds = other_costs.RUNTIME_START_MILLISECONDS + sum(starts[_folder(function)].values())
        return lambda_seconds({"milliseconds": milliseconds, "calls": []}, memory[function]) * memory[function] / 1024

    return other_costs.Image(
        upload_bytes=steps["upload"]["bytes"],
        rendition_bytes=sum(sent),
        renditions=len(sent),
        record_bytes=RECORD_KILOBYTES * 1000,
        log_kilobytes=LOG_KILOBYTES,
        poll_seconds=lambda_seconds(steps["get_status"], memory["GetStatus"]) * memory["GetStatus"] / 1024,
        init_gigabyte_seconds=sum(map(init_gigabyte_seconds, (*MAIN_PATH_STEPS, *STREAM_FUNCTIONS))),
        poll_init_gigabyte_seconds=init_gigabyte_seconds("GetStatus"),
        stream_invocations=listing(execution_seconds(steps))["invocations"],
    )


def dated_prices() -> dict[str, float]:
    """Return prices in US dollars by name, from `prices.toml`."""
    return {name: price["usd"] for name, price in tomllib.loads((HERE / "prices.toml").read_text()).items()}


def costs() -> dict[str, dict[str, float]]:
    """Return US dollars for a million images, by kind of image and service."""
    measured = json.loads((RESULTS_FOLDER / "handlers.json").read_text())
    prices = dated_prices()
    return {name: cost(steps, prices) for name, steps in measured["pictures"].items()}


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

    Everything is the same for all recipes, as measured with the first image, but the time and the files of
    `GenerateThumbnails`.
    """
    steps = next(iter(json.loads((RESULTS_FOLDER / "handlers.json").read_text())["pictures"].values()))
    step, memory = steps["generate_thumbnails"], memory_megabytes()["GenerateThumbnails"]
    puts = [call for call in step["calls"] if call["operation"] == "PutObject"]
    second = memory / 1024 * prices["lambda_gb_second"] * 1e6
    without_files = {"milliseconds": 0, "calls": [call for call in step["calls"] if call not in puts]}
    seconds = lambda_seconds(step, memory) - lambda_seconds(without_files, memory)
    dollars = cost(steps, prices)["**together, Standard**"] - seconds * second - len(puts) * prices["s3_put"] * 1e6
    return {
        "dollars": round(dollars, 2),
        "dollarsAFile": round(prices["s3_put"] * 1e6, 2),
        "dollarsASecond": round(second, 2),
        "writeSeconds": NETWORK_SECONDS,
        "writtenAtOnce": WRITTEN_AT_ONCE,
        "dollarsAGigabyteMonth": prices["s3_stored_gigabyte"],
    }


def for_commands() -> dict[str, Any]:
    """Return what `image-pipeline` uses: a million images of the most expensive kind, Standard, labels; deletions;
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
    """Return Markdown tables: processing by kind of image, everything else, and events without an image.

    Args:
        images: Images in a month.
    """
    figures = costs()
    lines = ["| US dollars a million images | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
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
    additions = {name: other(results, steps, prices, images) for name, steps in results["pictures"].items()}
    lines += ["", f"| beside processing, at {images:,} images a month | " + " | ".join(additions) + " |"]
    lines.append("|---" * (len(additions) + 1) + "|")
    for cause in next(iter(additions.values())):
        lines.append(f"| {cause} | " + " | ".join(f"{dollars[cause]:,.2f}" for dollars in additions.values()) + " |")
    sums = (f"{sum(dollars.values()):,.1f}" for dollars in additions.values())
    lines.append("| **together** | " + " | ".join(sums) + " |")
    lines += ["", "| US dollars a million events without an image | |", "|---|---|"]
    lines += [f"| {name} | {dollars:,.0f} |" for name, dollars in events_without_image(prices).items()]
    first = next(iter(results["pictures"].values()))
    lines += ["", "| US dollars more a million images, with another value of a parameter | |", "|---|---|"]
    lines += [f"| {name} | {dollars:,.0f} |" for name, dollars in of_parameters(results, first, prices).items()]
    compared = architectures(prices)
    lines += ["", "| Express, without Rekognition | " + " | ".join(compared) + " |", "|---" * (len(compared) + 1) + "|"]
    titles = ("x86_64", "arm64, if its cores are as fast", "arm64 costs the same if its cores take … times as long")
    for title, *values in zip(titles, *compared.values(), strict=True):
        digits = 2 if "…" in title else 1
        lines.append(f"| {title} | " + " | ".join(f"{value:.{digits}f}" for value in values) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print the tables, and write those of the usual volume into the document."""
    parser = argparse.ArgumentParser(prog="python -m bench.cost", description=main.__doc__)
    parser.add_argument("--per-month", type=int, default=PER_MONTH, metavar="N", help="images in a month")
    images = parser.parse_args().per_month
    if images < 1:
        parser.error("--per-month is a number of images, 1 or more.")
    print(table(images))
    if images == PER_MONTH:
        write_document("cost", table())
        (ROOT / "image_pipeline_cli" / "figures" / "costs.json").write_text(json.dumps(for_commands()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
