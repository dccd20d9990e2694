"""What the tests of the commands share."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from image_pipeline_cli.commands import main
from local.pipeline import Pipeline
from tests.conftest import API_KEY_TABLE, IMAGE_TABLE, LISTING_TABLE, ROOT, THUMBNAILS_BUCKET, UPLOADS_BUCKET
from tests.pictures import encoded, gradient

PICTURE = encoded(gradient(24, 16))
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:process"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'core'}"}
"""For a command in a process of its own."""


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


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An empty folder, called as the test, so that each test has keys of its own."""
    made = tmp_path / f"of {request.node.name}"
    made.mkdir()
    return made


@pytest.fixture
def name() -> str:
    """An upload's name that no other test has."""
    return f"{uuid.uuid4()}/beach.jpg"


@pytest.fixture
def picture(pipeline: Pipeline, name: str) -> str:
    """The name of a picture that is through."""
    pipeline.wait_for(f"uploads/{name}", pipeline.upload(f"uploads/{name}", PICTURE))
    return name


@pytest.fixture
def stack(aws: None, request: pytest.FixtureRequest) -> list[str]:
    """The options that lead to a stack on AWS; its workflow is of the type that the test gives."""
    outputs = {
        "ProcessImageStateMachineArn": MACHINE,
        "DeleteImageStateMachineArn": f"{MACHINE}-delete",
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
    boto3.client("cloudformation").create_stack(StackName="pictures", TemplateBody=json.dumps(body))
    return ["--stack", "pictures"]
