"""Fixtures of the acceptance tests.

By default they use the local run. `ACCEPTANCE_STACK=NAME .venv/bin/pytest tests/acceptance` proves a stack on AWS with
the credentials of the caller; the tests that break something are left out then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from image_pipeline_cli import local_run
from image_pipeline_cli.stack import Stack, find_local
from image_pipeline_cli.verify import preparation, session, temporary
from local.pipeline import Pipeline
from tests.conftest import CALLER_ENVIRONMENT, ROOT

STACK = os.environ.get("ACCEPTANCE_STACK")
"""The stack on AWS to prove; None for the local run."""


@dataclass(frozen=True)
class Target:
    """What to prove."""

    options: list[str]
    """The options of commands that select it."""
    environment: dict[str, str]
    """The environment of a command that runs as a process."""


@pytest.fixture(scope="session")
def local_target(shared_pipeline: Pipeline) -> Target:
    """The shared pipeline, as a local run."""
    note = {**shared_pipeline.facts, "pid": os.getpid()}
    (shared_pipeline.run_dir / local_run.NOTE_NAME).write_text(json.dumps(note))
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"}
    return Target(["--local", "--run-dir", str(shared_pipeline.run_dir)], {**os.environ, **paths})


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The stack on AWS that the environment names, or the local run."""
    if STACK:
        return Target(["--stack", STACK], CALLER_ENVIRONMENT)
    local: Target = request.getfixturevalue("local_target")
    return local


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    """Shorten the waits of `verify`: the local run answers at once."""
    with pytest.MonkeyPatch.context() as patch:
        if not STACK:
            patch.setattr(session, "_POLL_SECONDS", 0.1)
            patch.setattr(temporary, "_RECEIVE_SECONDS", 0)
            patch.setattr(preparation, "_QUIET_SECONDS", 0.3)
        yield


@pytest.fixture(scope="session")
def local_stack(shared_pipeline: Pipeline, local_target: Target) -> Stack:
    """The shared pipeline as commands see it. It has clients of its own, which take long to create."""
    return find_local(shared_pipeline.run_dir)


@pytest.fixture
def stack(pipeline: Pipeline, local_stack: Stack) -> Stack:
    """The shared pipeline as commands see it; faults end with the test."""
    return local_stack


def inventory(stack: Stack) -> dict[str, Any]:
    """Everything in a stack that `verify` must not leave behind."""

    def keys_of(bucket: str) -> set[str]:
        answer = stack.client("s3").list_object_versions(Bucket=stack.outputs[bucket])
        return {entry["Key"] for entry in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ()))}

    def items_of(table: str, key: str) -> set[str]:
        return {item[key]["S"] for item in stack.client("dynamodb").scan(TableName=stack.outputs[table])["Items"]}

    return {
        "uploads": keys_of("UploadsBucketName"),
        "renditions": keys_of("ThumbnailsBucketName"),
        "records": items_of("ImageTableName", "ImageKey"),
        "keys": items_of("ApiKeyTableName", "KeyId"),
        "queues": set(stack.client("sqs").list_queues().get("QueueUrls", ())),
        "rules": {rule["Name"] for rule in stack.client("events").list_rules()["Rules"]},
        "subscriptions": {
            subscription["SubscriptionArn"]
            for subscription in stack.client("sns").list_subscriptions()["Subscriptions"]
        },
    }
