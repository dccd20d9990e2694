"""What the tests of the commands share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.commands import main
from local.pipeline import Pipeline


@pytest.fixture
def running(pipeline: Pipeline, tmp_path: Path) -> list[str]:
    """The options that lead to the local pipeline: what `make run` notes for other commands."""
    facts = {"awsUrl": pipeline.aws_url, "region": pipeline.region, "outputs": pipeline.outputs, "pid": os.getpid()}
    (tmp_path / "running.json").write_text(json.dumps(facts))
    return ["--local", "--run-dir", str(tmp_path)]


@pytest.fixture
def lines(running: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command with `--json`, and give its exit code and the JSON of each line that it printed."""

    def run(*arguments: str) -> tuple[int, list[Any]]:
        code = main([*arguments, *running, "--json"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run
