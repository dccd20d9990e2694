"""What the tests of the commands share."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from local.pipeline import Pipeline


@pytest.fixture
def running(pipeline: Pipeline, tmp_path: Path) -> list[str]:
    """The options that lead to the local pipeline: what `make run` notes for other commands."""
    facts = {"awsUrl": pipeline.aws_url, "region": pipeline.region, "outputs": pipeline.outputs, "pid": os.getpid()}
    (tmp_path / "running.json").write_text(json.dumps(facts))
    return ["--local", "--run-dir", str(tmp_path)]
