"""The parameter LogLevel sets the log level of functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.emulator import template
from local.emulator.deploy import plan
from local.emulator.workers import Workers
from local.pipeline import ROOT
from tests.conftest import HEAVY

FUNCTION = "AuthorizeFunction"
LEVELS = ["DEBUG", "INFO", "WARN", "ERROR"]
SOURCE = """
import logging, os
# Lambda's runtime does this before it imports a function whose log is JSON.
library = '{"level": "%(levelname)s", "message": "%(message)s"}'
logging.basicConfig(level=os.environ["AWS_LAMBDA_LOG_LEVEL"], format=library)
from image_pipeline import observability

def lambda_handler(event, context):
    for level in ("debug", "info", "warning", "error"):
        getattr(observability.logger, level)("ours")
        getattr(logging.getLogger("botocore.credentials"), level)("of a library")
    observability.record_oldest_age(1)
    return {name: os.environ[name] for name in ("AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_LOG_FORMAT")}
"""


@pytest.fixture(
    scope="module",
    params=["DEBUG", "WARN", *(pytest.param(level, marks=HEAVY) for level in ("INFO", "ERROR"))],  # passed as they are
)
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def answer_and_lines(level: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Run a function that logs at every level, and return its result and its log lines."""
    run_dir = tmp_path_factory.mktemp("levels")
    loaded = template.load(ROOT / "template.yml", "stack", "eu-west-1", {"LogLevel": level})
    functions = [
        function for function in plan(loaded, "http://aws", "http://api").functions if function.logical_id == FUNCTION
    ]
    workers = Workers(functions, {"AWS_REGION": "eu-west-1"}, run_dir, 1, 1)
    workers.alter(FUNCTION, SOURCE, None, None)

    result = workers.invoke(functions[0], {})
    assert not result.failed, result.payload
    log = (run_dir / "logs" / f"{FUNCTION}.log").read_text()
    yield json.loads(result.payload), [json.loads(line) for line in log.splitlines()]
    workers.stop()


def at_least(level: str) -> list[str]:
    return [name.replace("WARN", "WARNING") for name in LEVELS[LEVELS.index(level) :]]


def test_only_lines_of_the_level_and_above_are_logged(answer_and_lines, level):
    """The filter of Lambda stays at INFO, which Powertools would take for the level."""
    answer, lines = answer_and_lines
    assert answer == {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG" if level == "DEBUG" else "INFO"}
    assert [line["level"] for line in lines if line.get("message") == "ours"] == at_least(level)


def test_metrics_are_logged_at_every_level(answer_and_lines):
    """Alarms need the metrics at every level."""
    _, lines = answer_and_lines
    assert [line["OldestProcessingSeconds"] for line in lines if "_aws" in line] == [[1.0]]


def test_libraries_follow_the_level_and_never_log_debug(answer_and_lines, level):
    """botocore logs object keys and signatures at DEBUG."""
    _, lines = answer_and_lines
    expected = [name for name in at_least(level) if name != "DEBUG"]
    assert [line["level"] for line in lines if line.get("message") == "of a library"] == expected
