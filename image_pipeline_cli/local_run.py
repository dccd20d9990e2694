"""Find the local run that `make run` started, by the note that it writes into its run folder."""

import json
import os
from pathlib import Path
from typing import Any

RUN_DIR_NAME = ".run"
NOTE_NAME = "running.json"


def default_run_dir() -> Path:
    """Return the nearest `.run` in the current folder or its parents, or the path of one in the current folder."""
    here = Path.cwd()
    candidates = (folder / RUN_DIR_NAME for folder in (here, *here.parents))
    return next((candidate for candidate in candidates if candidate.is_dir()), here / RUN_DIR_NAME)


def read(run_dir: Path) -> dict[str, Any] | None:
    """Read the note of the running copy; None if no copy runs."""
    try:
        facts: dict[str, Any] = json.loads((run_dir / NOTE_NAME).read_text(encoding="utf-8"))
        os.kill(facts["pid"], 0)
    except (OSError, ValueError):
        return None
    return facts
