"""Real S3 clients work with the local run; clients that are not installed are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.emulator.clients import variables
from local.pipeline import Pipeline
from tests.pictures import encoded, gradient

PICTURE = encoded(gradient(24, 16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "of pictures").mkdir()
    (tmp_path / "of pictures" / "a é.jpg").write_bytes(PICTURE)
    (tmp_path / "of pictures" / "big").write_bytes(b"x" * 9_000_000)  # in parts
    return tmp_path / "of pictures"


def run(pipeline: Pipeline, home: Path, *command: str, endpoint: str = "", **more: str) -> str:
    """Run a program that gets only the address of the local run, and return its output."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        **variables(pipeline.aws_url, pipeline.region),
        **more,
    }
    if endpoint:
        environment["AWS_ENDPOINT_URL"] = endpoint
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def addresses(pipeline: Pipeline) -> list[str]:
    return [pipeline.aws_url, f"http://localhost:{urlsplit(pipeline.aws_url).port}"]


def test_the_aws_cli(open_to_pages, folder, tmp_path):
    """The AWS CLI copies, synchronizes, lists, presigns and calls other services."""
    bucket = open_to_pages.uploads_bucket
    target = f"s3://{bucket}/elsewhere/cli/"
    run(open_to_pages, tmp_path, "aws", "s3", "sync", str(folder), target)
    run(open_to_pages, tmp_path, "aws", "s3", "cp", f"{target}big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (folder / "big").read_bytes()
    assert "a é.jpg" in run(open_to_pages, tmp_path, "aws", "s3", "ls", target)
    for endpoint in addresses(open_to_pages):
        url = run(open_to_pages, tmp_path, "aws", "s3", "presign", f"{target}a é.jpg", endpoint=endpoint).strip()
        run(open_to_pages, tmp_path, "curl", "--fail", "--silent", "-o", str(tmp_path / "curl"), url)
        assert (tmp_path / "curl").read_bytes() == PICTURE
    assert "image-pipeline" in run(open_to_pages, tmp_path, "aws", "dynamodb", "list-tables")
    assert "123456789012" in run(open_to_pages, tmp_path, "aws", "sts", "get-caller-identity")


def test_rclone(open_to_pages, folder, tmp_path):
    """rclone copies in both directions and compares checksums."""
    bucket, target = open_to_pages.uploads_bucket, "elsewhere/rclone"
    own = {
        "RCLONE_CONFIG_LOCAL_TYPE": "s3",
        "RCLONE_CONFIG_LOCAL_PROVIDER": "Other",
        "RCLONE_CONFIG_LOCAL_ENV_AUTH": "true",
        "RCLONE_CONFIG_LOCAL_ENDPOINT": open_to_pages.aws_url,
    }
    run(open_to_pages, tmp_path, "rclone", "copy", str(folder), f"local:{bucket}/{target}", **own)
    assert "a é.jpg" in run(open_to_pages, tmp_path, "rclone", "lsf", f"local:{bucket}/{target}", **own)
    run(open_to_pages, tmp_path, "rclone", "check", str(folder), f"local:{bucket}/{target}", **own)
    run(open_to_pages, tmp_path, "rclone", "copy", f"local:{bucket}/{target}", str(tmp_path / "back"), **own)
    assert (tmp_path / "back" / "a é.jpg").read_bytes() == PICTURE
