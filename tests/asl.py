"""The definitions of the workflows, and ways to walk them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator import definitions
from tests.conftest import ROOT


@dataclass(frozen=True)
class Machine:
    """One definition."""

    path: Path
    definition: dict[str, Any]

    @property
    def name(self) -> str:
        """The file's name without its suffixes."""
        return self.path.name.partition(".")[0]

    @property
    def logical_id(self) -> str:
        """The logical id of the workflow in the template."""
        return "".join(word.capitalize() for word in self.name.split("_")) + "StateMachine"

    @property
    def states(self) -> dict[str, Any]:
        """The states by name, including those inside a Map."""
        return _states(self.definition)

    @property
    def tasks(self) -> dict[str, Any]:
        """The states that do work."""
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
    """Every state that may come next; for a Map, also the first state inside."""
    rules = state.get("Choices", []) + state.get("Catch", [])
    first = state.get("ItemProcessor", {}).get("StartAt")
    names = [first, state.get("Next"), state.get("Default"), *(rule["Next"] for rule in rules)]
    return [name for name in names if name]


MACHINES = [
    Machine(path, definitions.parse(path.read_text(encoding="utf-8")))
    for path in sorted((ROOT / "statemachine").iterdir())
]


def machine(name: str) -> Machine:
    """The workflow whose file name has this first part."""
    return next(machine for machine in MACHINES if machine.name == name)


STATES: dict[str, Any] = machine("process_image").states
"""The states of process_image."""
