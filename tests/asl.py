"""The workflow's definition, and ways to walk it."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import ROOT

PATH = ROOT / "statemachine" / "process_image.asl.json"
MACHINE: dict[str, Any] = json.loads(PATH.read_text())


def successors(state: dict[str, Any]) -> list[str]:
    """Every state that may come next."""
    rules = state.get("Choices", []) + state.get("Catch", [])
    return [name for name in [state.get("Next"), state.get("Default"), *(rule["Next"] for rule in rules)] if name]


STATES: dict[str, Any] = MACHINE["States"]
