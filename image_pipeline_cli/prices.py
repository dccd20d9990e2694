"""What images cost and how fast batches are, as `bench/` has computed it."""

import json
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
