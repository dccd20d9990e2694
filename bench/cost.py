"""`python -m bench.cost`: a million pictures, from measured times, the template, the workflow and dated prices.

Lambda is billed for waiting, too, and `bench.handlers` measures without a network, so every AWS call is counted with
what its service takes. A function with less memory than one vCPU's gets its share of the processor, so its time grows.
"""

from __future__ import annotations

import json
import math
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bench.report import write_document
from local import definitions

HERE = Path(__file__).parent
ROOT = HERE.parent

NETWORK_SECONDS = 0.03
"""One call inside a region, beyond our own work: an assumption, and a generous one. Files that are written at the same
time are waited for at the same time."""
DYNAMODB_SECONDS = 0.01
"""One call to DynamoDB, which promises less: "single-digit millisecond performance at any scale"
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html)."""
REKOGNITION_SECONDS = 0.5
"""DetectLabels: an assumption."""
MEGABYTES_OF_ONE_CPU = 1769
"""Memory at which Lambda gives one vCPU (AWS Lambda developer guide, "Configure Lambda function memory")."""
EXPRESS_GIGABYTES = 64 / 1024
"""Billed memory of an Express execution: 50 MB, the definition and the data, rounded up to 64 MB."""
DIRECT_INTEGRATIONS = 2
"""Calls that the workflow makes itself: the claim and the notification."""
RECORD_KILOBYTES = 3
"""A completed record with ten labels, rounded up; the claim writes it when it is smaller than one."""
INDEX_WRITES = 2
"""The claim is put into ProcessingIndex, and taken out with the outcome."""
LOG_KILOBYTES = 7
"""Lambda's own lines of seven invocations, ours, and the metrics: an assumption."""
LISTING = {"calls": 18, "waits": 8, "writes": 16, "reads": 2}
"""What it takes to list a claim and then a picture with ten labels: calls, how often one waits for some of them, write
units and read units. `tests/test_performance.py` counts them."""
LISTING_CALL_SECONDS = 0.001
"""What botocore computes for one of these calls, on one vCPU: measured, without a network."""
STREAM_INVOCATIONS = 3
"""Both changes of a record are listed and one is published, each alone. Mostly they share invocations, with each other
or, in a burst, with many; of changes of one picture that do, only the last is listed."""

WRITTEN_AT_ONCE = 4
"""As in `image_pipeline.store.storage`; a test holds it to that."""

WAIT_SECONDS = {
    "DetectLabels": REKOGNITION_SECONDS,
    "GetItem": DYNAMODB_SECONDS,
    "UpdateItem": DYNAMODB_SECONDS,
}
MAIN_PATH_STEPS = ("ValidateImage", "GenerateThumbnails", "ExtractMetadata", "StoreResults")


class _Template(yaml.SafeLoader):
    """Reads template.yml; what an intrinsic function would give is not needed here."""


_Template.add_multi_constructor("!", lambda *_: None)


def definition(name: str) -> dict[str, Any]:
    """The definition of a workflow.

    Args:
        name: the file's name, without what follows the dot.
    """
    return definitions.parse((ROOT / "statemachine" / f"{name}.asl.yaml").read_text(encoding="utf-8"))


def main_path_states() -> int:
    """States that a good picture passes, counted in the workflow itself."""
    return states_passed("process_image")


def states_passed(name: str, *chosen: str) -> int:
    """States from the start of a workflow to its end, which are paid for as transitions.

    Args:
        name: the file's name, without what follows the dot.
        chosen: states that a Choice leads to where the way is not the default one.
    """
    machine = definition(name)
    state_name, count = machine["StartAt"], 0
    while state_name:
        state, count = machine["States"][state_name], count + 1
        choices = [choice["Next"] for choice in state.get("Choices", []) if choice["Next"] in chosen]
        state_name = next(iter(choices), None) or state.get("Next") or state.get("Default")
    return count


def memory_megabytes() -> dict[str, int]:
    """Memory of each function, by state."""
    template = yaml.load((ROOT / "template.yml").read_text(), _Template)  # noqa: S506  a SafeLoader
    return {
        name.removesuffix("Function"): body["Properties"]["MemorySize"]
        for name, body in template["Resources"].items()
        if body["Type"] == "AWS::Serverless::Function"
    }


def lambda_seconds(step: dict[str, Any], memory: int) -> float:
    """Billed seconds of one warm invocation."""
    share = min(1.0, memory / MEGABYTES_OF_ONE_CPU)
    operations = [call["operation"] for call in step["calls"]]
    puts = operations.count("PutObject")
    waits = sum(WAIT_SECONDS.get(each, NETWORK_SECONDS) for each in operations if each != "PutObject")
    waits += math.ceil(puts / WRITTEN_AT_ONCE) * NETWORK_SECONDS
    return float(step["milliseconds"]) / 1000 / share + waits


def cost(picture: dict[str, Any], prices: dict[str, float]) -> dict[str, float]:
    """US dollars for a million pictures of this kind, by service."""
    memory, functions, seconds = memory_megabytes(), 0.0, DIRECT_INTEGRATIONS * NETWORK_SECONDS
    operations = [call["operation"] for step in picture.values() for call in step.get("calls", [])]
    for name in MAIN_PATH_STEPS:
        step = picture["".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")]
        billed = lambda_seconds(step, memory[name])
        functions += prices["lambda_request"] + billed * memory[name] / 1024 * prices["lambda_gb_second"]
        seconds += billed + NETWORK_SECONDS
    gets = operations.count("GetObject") + 1  # Rekognition's own read of the rendition
    per_picture = {
        "Lambda": functions,
        "S3": (operations.count("PutObject") + 1) * prices["s3_put"] + gets * prices["s3_get"],
        "DynamoDB": (1 + math.ceil(RECORD_KILOBYTES) + INDEX_WRITES) * prices["dynamodb_write"],
        "EventBridge and SNS": prices["eventbridge_event"] + prices["sns_publish"],
        "Logs": LOG_KILOBYTES * prices["logs_kilobyte"],
    }
    share = min(1.0, memory["IndexImages"] / MEGABYTES_OF_ONE_CPU)
    listed = LISTING["calls"] * LISTING_CALL_SECONDS / share + LISTING["waits"] * DYNAMODB_SECONDS
    told = lambda_seconds({"milliseconds": 5, "calls": [{"operation": "PutEvents"}]}, memory["PublishOutcomes"])
    megabyte_seconds = listed * memory["IndexImages"] + told * memory["PublishOutcomes"]
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
    per_picture |= {f"Step Functions, {name}": each for name, each in workflow.items()}
    per_picture |= {f"**together, {name}**": rest + each for name, each in workflow.items()}
    per_picture["Rekognition, apart"] = prices["rekognition_image"]
    return {name: value * 1e6 for name, value in per_picture.items()}


def events_without_picture(prices: dict[str, float]) -> dict[str, float]:
    """US dollars for a million events of S3 that lead to no picture; their workflows are Standard with either setting.

    EventBridge is paid for each event of S3, whether a rule matches it or not.
    """
    told, transition = prices["eventbridge_event"], prices["states_transition"]
    content = states_passed("wait_for_content", "UploadReplaced")
    folder = states_passed("wait_for_content", "FolderMarkerIgnored")
    per_event = {
        "an old version expires": told,
        "a folder marker is created": told + folder * transition,
        "an empty object is created, and its content comes": told + content * transition + prices["s3_get"],
    }
    return {name: value * 1e6 for name, value in per_event.items()}


def dated_prices() -> dict[str, float]:
    """US dollars by name, from `prices.toml`."""
    return {name: each["usd"] for name, each in tomllib.loads((HERE / "prices.toml").read_text()).items()}


def costs() -> dict[str, dict[str, float]]:
    """US dollars for a million pictures, by kind of picture and service."""
    measured = json.loads((HERE / "handlers.json").read_text())
    prices = dated_prices()
    return {name: cost(picture, prices) for name, picture in measured["pictures"].items()}


def for_commands() -> dict[str, float]:
    """What `python -m cli` tells: a million of the dearest kind, Standard, with labels."""
    return {
        "dollarsAMillion": round(
            max(each["**together, Standard**"] + each["Rekognition, apart"] for each in costs().values()), 2
        )
    }


def table() -> str:
    """Markdown: one row a service, one column a kind of picture; then what events cost that lead to no picture."""
    figures = costs()
    lines = ["| US dollars a million pictures | " + " | ".join(figures) + " |", "|---" * (len(figures) + 1) + "|"]
    for service in next(iter(figures.values())):
        lines.append(f"| {service} | " + " | ".join(f"{each[service]:,.0f}" for each in figures.values()) + " |")
    lines += ["", "| US dollars a million events without a picture | |", "|---|---|"]
    lines += [f"| {name} | {each:,.0f} |" for name, each in events_without_picture(dated_prices()).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    write_document("cost", table())
    (HERE / "costs.json").write_text(json.dumps(for_commands()) + "\n")
    sys.exit(0)
