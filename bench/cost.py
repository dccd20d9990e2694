"""`python -m bench.cost`: compute the cost of a million pictures from measured times, the template and dated prices.

Lambda bills waiting time, and `bench.handlers` measures without a network, so each AWS call adds the latency of its
service. A function with less memory than that of one vCPU gets a share of a processor, so its time increases.
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

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
LOG_KILOBYTES = 7
"""Log lines of Lambda for seven invocations, of the application, and metrics: an assumption."""
LISTING = {"calls": 18, "waits": 8, "writes": 17, "reads": 2}
"""Listing a claim and then a picture with ten labels and four renditions, in no folder: calls, sequential waits, write
units and read units. `tests/contracts/test_performance.py` counts them."""
LISTING_CALL_SECONDS = 0.001
"""CPU time of botocore for one of these calls on one vCPU, measured without a network."""
STREAM_INVOCATIONS = 3
"""Both changes of a record are listed and one is published. This counts one invocation for each; in a burst, changes
share invocations, and only the last change of a picture is listed."""

WRITTEN_AT_ONCE = 4
"""The value in `image_pipeline.store.storage`; a test compares them."""

WAIT_SECONDS = {
    "DetectLabels": REKOGNITION_SECONDS,
    "GetItem": DYNAMODB_SECONDS,
    "UpdateItem": DYNAMODB_SECONDS,
}
MAIN_PATH_STEPS = ("ValidateImage", "GenerateThumbnails", "ExtractMetadata", "StoreResults")


class _Template(yaml.SafeLoader):
    """Reads template.yml without intrinsic functions."""


_Template.add_multi_constructor("!", lambda *_: None)


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
    template = yaml.load((ROOT / "template.yml").read_text(), _Template)  # noqa: S506  a SafeLoader
    return {
        name.removesuffix("Function"): body["Properties"]["MemorySize"]
        for name, body in template["Resources"].items()
        if body["Type"] == "AWS::Serverless::Function"
    }


def lambda_seconds(step: dict[str, Any], memory: int) -> float:
    """Return the billed seconds of one warm invocation."""
    share = min(1.0, memory / MEGABYTES_OF_ONE_CPU)
    operations = [call["operation"] for call in step["calls"]]
    puts = operations.count("PutObject")
    waits = sum(WAIT_SECONDS.get(name, NETWORK_SECONDS) for name in operations if name != "PutObject")
    waits += math.ceil(puts / WRITTEN_AT_ONCE) * NETWORK_SECONDS
    return float(step["milliseconds"]) / 1000 / share + waits


def cost(picture: dict[str, Any], prices: dict[str, float]) -> dict[str, float]:
    """Return US dollars for a million pictures of this kind, by service."""
    memory = memory_megabytes()
    functions = 0.0
    seconds = DIRECT_INTEGRATIONS * NETWORK_SECONDS
    operations = [call["operation"] for step in picture.values() for call in step.get("calls", [])]
    for name in MAIN_PATH_STEPS:
        step = picture["".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")]
        billed = lambda_seconds(step, memory[name])
        functions += prices["lambda_request"] + billed * memory[name] / 1024 * prices["lambda_gb_second"]
        seconds += billed + NETWORK_SECONDS
    gets = operations.count("GetObject") + 1  # Rekognition reads the rendition, too
    per_picture = {
        "Lambda": functions,
        "S3": (operations.count("PutObject") + 1) * prices["s3_put"] + gets * prices["s3_get"],
        "DynamoDB": (1 + math.ceil(RECORD_KILOBYTES) + INDEX_WRITES) * prices["dynamodb_write"],
        "EventBridge and SNS": prices["eventbridge_event"] + prices["sns_publish"],
        "Logs": LOG_KILOBYTES * prices["logs_kilobyte"],
    }
    share = min(1.0, memory["IndexImages"] / MEGABYTES_OF_ONE_CPU)
    listing_seconds = LISTING["calls"] * LISTING_CALL_SECONDS / share + LISTING["waits"] * DYNAMODB_SECONDS
    publishing_seconds = lambda_seconds(
        {"milliseconds": 5, "calls": [{"operation": "PutEvents"}]}, memory["PublishOutcomes"]
    )
    megabyte_seconds = listing_seconds * memory["IndexImages"] + publishing_seconds * memory["PublishOutcomes"]
    per_picture["Listing and outcome events"] = (
        LISTING["writes"] * prices["dynamodb_write"]
        + LISTING["reads"] * prices["dynamodb_read"]
        + STREAM_INVOCATIONS * prices["lambda_request"]
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


def for_commands() -> dict[str, float]:
    """Return what `image-pipeline` uses: a million pictures of the most expensive kind, Standard, labels; deletions."""
    return {
        "dollarsAMillion": round(
            max(dollars["**together, Standard**"] + dollars["Rekognition, apart"] for dollars in costs().values()), 2
        ),
        "dollarsAMillionDeletions": round(deletion(dated_prices()), 2),
        "statesAnImage": main_path_states(),
    }


def table() -> str:
    """Return Markdown tables: costs by service and kind of picture, then costs of events without a picture."""
    figures = costs()
    lines = ["| US dollars a million pictures | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for service in next(iter(figures.values())):
        lines.append(f"| {service} | " + " | ".join(f"{dollars[service]:,.0f}" for dollars in figures.values()) + " |")
    lines += ["", "| US dollars a million events without a picture | |", "|---|---|"]
    lines += [f"| {name} | {dollars:,.0f} |" for name, dollars in events_without_picture(dated_prices()).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    write_document("cost", table())
    (ROOT / "image_pipeline_cli" / "figures" / "costs.json").write_text(json.dumps(for_commands()) + "\n")
    sys.exit(0)
