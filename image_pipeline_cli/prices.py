"""What images cost and how fast batches are, as `bench/` has computed it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FIGURES = Path(__file__).with_name("figures")


def dollars_per_image() -> float:
    """Return the cost of one image in US dollars, with labels."""
    return float(_costs()["dollarsAMillion"]) / 1e6


def dollars_per_deletion() -> float:
    """Return the cost of one deleted upload in US dollars."""
    return float(_costs()["dollarsAMillionDeletions"]) / 1e6


def states_per_image() -> int:
    """Return the number of state transitions of one image."""
    return int(_costs()["statesAnImage"])


def dollars_a_million(files: int, seconds: float) -> float:
    """Return the cost of processing a million images in US dollars: Standard workflow, without labels.

    Args:
        files: Renditions of an image.
        seconds: CPU time that makes them on a processor as fast as Lambda's.
    """
    costs = _costs()["rendering"]
    waits = math.ceil(files / costs["writtenAtOnce"]) * costs["writeSeconds"]
    return float(costs["dollars"] + files * costs["dollarsAFile"] + (seconds + waits) * costs["dollarsASecond"])


def storage_dollars_a_million(size: float) -> float:
    """Return the cost of storing the renditions of a million images for a month, in US dollars.

    Args:
        size: Bytes of the renditions of an image.
    """
    return float(size / 1e9 * _costs()["rendering"]["dollarsAGigabyteMonth"] * 1e6)


def images_per_second(concurrency: int) -> float:
    """Return the simulated throughput of the next lower `BatchConcurrency`."""
    return max(float(run["picturesPerSecond"]) for run in _runs() if run["batchConcurrency"] <= concurrency)


def peak(concurrency: int) -> Mapping[str, Any]:
    """Return the simulated batch of the next higher `BatchConcurrency`, or of the highest one."""
    runs = _runs()
    return next((run for run in runs if run["batchConcurrency"] >= concurrency), runs[-1])


def _costs() -> dict[str, Any]:
    costs: dict[str, Any] = json.loads((_FIGURES / "costs.json").read_text())
    return costs


def _runs() -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads((_FIGURES / "batch.json").read_text())["runs"]
    return runs
