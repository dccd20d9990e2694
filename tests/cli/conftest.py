"""Fixtures of the command-line tests."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from image_pipeline.store.attributes import to_attribute
from image_pipeline_cli import backfill, commands, follow, reprocess
from image_pipeline_cli import stack as stacks
from image_pipeline_cli.commands import main
from local.pipeline import Pipeline
from tests.conftest import (
    API_KEY_TABLE,
    IMAGE_TABLE,
    LISTING_TABLE,
    ROOT,
    THUMBNAILS_BUCKET,
    UPLOADS_BUCKET,
    WITH_OUTCOME,
    aws_client,
)
from tests.pictures import encoded, gradient
from tests.workflow.conftest import silent_bucket

PICTURE = encoded(gradient(24, 16))
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:process"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"}
"""The environment of a command that runs as a process."""


_shared_session, _shared_parser = lru_cache(boto3.Session), lru_cache(commands._parser)
_shared_clients, _shared_clients_on_aws = lru_cache(stacks._clients), lru_cache(stacks.clients_on_aws)
"""Commands in the process of the tests share these. A command creates its own, which takes longer than its work."""


@pytest.fixture
def running(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that select the local pipeline; they name a run folder with the note that `make run` writes."""
    monkeypatch.setattr(stacks, "boto3", SimpleNamespace(Session=_shared_session))
    monkeypatch.setattr(stacks, "_clients", _shared_clients)
    monkeypatch.setattr(commands, "_parser", _shared_parser)
    monkeypatch.setattr(backfill, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(follow, "_FIRST_PAUSE_SECONDS", 0.1)
    (tmp_path / "running.json").write_text(json.dumps({**pipeline.facts, "pid": os.getpid()}))
    return ["--local", "--run-dir", str(tmp_path)]


@pytest.fixture
def without_cooldown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands process an upload again at once; test_commands.py waits for the cooldown."""
    monkeypatch.setattr(reprocess, "_cooldown", lambda _: 0)


@pytest.fixture
def lines(running: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that runs a command with `--json` and returns its exit code and its lines as JSON."""

    def run(*arguments: str) -> tuple[int, list[Any]]:
        code = main([*arguments, *running, "--json"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An empty folder with the name of the test, so that each test has its own keys."""
    path = tmp_path / f"of {request.node.name}"
    path.mkdir()
    return path


@pytest.fixture
def name() -> str:
    """The name of an upload that no other test uses."""
    return f"{uuid.uuid4()}/beach.jpg"


@pytest.fixture
def image_name(pipeline: Pipeline, name: str) -> str:
    """The name of an image that is processed."""
    pipeline.wait_for(f"uploads/{name}", pipeline.upload(f"uploads/{name}", PICTURE))
    return name


@pytest.fixture(scope="module")
def shared_image_name(shared_pipeline: Pipeline) -> str:
    """The name of an image that is processed, for all tests of a file that leave it as it is or process it again."""
    name = f"{uuid.uuid4()}/beach.jpg"
    shared_pipeline.wait_for(f"uploads/{name}", shared_pipeline.upload(f"uploads/{name}", PICTURE))
    return name


@pytest.fixture
def unprocessed(pipeline: Pipeline) -> Iterator[None]:
    """Do not process the uploads of a test that only looks at what is stored."""
    with silent_bucket(pipeline):
        yield


@pytest.fixture
def store_record(pipeline: Pipeline) -> Callable[[str], None]:
    """A function that stores the record of an upload that failed, without an upload."""

    def store(key: str) -> None:
        record = {
            "ImageKey": key,
            "status": "FAILED",
            "upload": {"bucket": pipeline.uploads_bucket, "key": key},
            **WITH_OUTCOME,
        }
        item = {name: to_attribute(value) for name, value in record.items()}
        pipeline.client("dynamodb").put_item(TableName=pipeline.outputs["ImageTableName"], Item=item)

    return store


@pytest.fixture
def stack(aws: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that select a stack on AWS; a test may choose the type of its workflow."""
    monkeypatch.setattr(stacks, "clients_on_aws", _shared_clients_on_aws)
    monkeypatch.setattr(commands, "_parser", _shared_parser)
    outputs = {
        "ProcessImageStateMachineArn": MACHINE,
        "DeleteImageStateMachineArn": f"{MACHINE}-delete",
        "WaitForContentStateMachineArn": f"{MACHINE}-wait",
        "UploadsBucketName": UPLOADS_BUCKET,
        "ThumbnailsBucketName": THUMBNAILS_BUCKET,
        "ImageTableName": IMAGE_TABLE,
        "ApiKeyTableName": API_KEY_TABLE,
        "ListingTableName": LISTING_TABLE,
        "WorkflowType": getattr(request, "param", "STANDARD"),
    }
    body = {
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    aws_client("cloudformation").create_stack(StackName="pictures", TemplateBody=json.dumps(body))
    return ["--stack", "pictures"]
