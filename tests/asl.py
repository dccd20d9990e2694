"""The definitions of the workflows, and ways to walk them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


@dataclass(frozen=True)
class Machine:
    """One definition."""

    path: Path
    definition: dict[str, Any]

    @property
    def logical_id(self) -> str:
        """Its name in the template."""
        return "".join(word.capitalize() for word in self.path.name.split(".")[0].split("_")) + "StateMachine"

    @property
    def states(self) -> dict[str, Any]:
        """Its states by name, with those inside of a Map."""
        return _states(self.definition)

    @property
    def tasks(self) -> dict[str, Any]:
        """Those that do something."""
        return {name: state for name, state in self.states.items() if state["Type"] == "Task"}


def _states(scope: dict[str, Any]) -> dict[str, Any]:
    states: dict[str, Any] = dict(scope["States"])
    for state in scope["States"].values():
        states |= _states(state["ItemProcessor"]) if "ItemProcessor" in state else {}
    return states


def service_of(state: dict[str, Any]) -> str:
    """The AWS service that a Task calls."""
    service: str = state["Resource"].rsplit(":", 2)[1]
    return service


def successors(state: dict[str, Any]) -> list[str]:
    """Every state that may come next; of a Map, the first inside as well."""
    rules = state.get("Choices", []) + state.get("Catch", [])
    first = state.get("ItemProcessor", {}).get("StartAt")
    names = [first, state.get("Next"), state.get("Default"), *(rule["Next"] for rule in rules)]
    return [name for name in names if name]


MACHINES = [Machine(path, json.loads(path.read_text())) for path in sorted((ROOT / "statemachine").glob("*.asl.json"))]
STATES: dict[str, Any] = next(machine for machine in MACHINES if machine.path.name == "process_image.asl.json").states
"""Of process_image."""
