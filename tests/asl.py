"""The workflow's definition, and ways to walk it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.conftest import ROOT

PATH = ROOT / "statemachine" / "process_image.asl.json"
MACHINE: dict[str, Any] = json.loads(PATH.read_text())


def all_states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, state) of every state, those of branches included."""
    for each in machines(machine):
        yield from each["States"].items()


def machines(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The machine and every branch in it."""
    yield machine
    for state in machine["States"].values():
        for branch in state.get("Branches", []):
            yield from machines(branch)


def successors(state: dict[str, Any]) -> list[str]:
    """Every state that may come next."""
    rules = state.get("Choices", []) + state.get("Catch", [])
    return [name for name in [state.get("Next"), state.get("Default"), *(rule["Next"] for rule in rules)] if name]


STATES: dict[str, Any] = dict(all_states(MACHINE))
