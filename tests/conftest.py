"""What every layer of the tests shares."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import hypothesis
import pytest
import yaml
from moto import mock_aws

from local.pipeline import Pipeline

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "layers" / "core"))

# Before anything makes a client: no test may find the credentials or the region of whoever runs it.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "POWERTOOLS_SERVICE_NAME": "stack",  # read when the core is imported
}


hypothesis.settings.register_profile("any speed", deadline=None)  # a slow machine is no failure
hypothesis.settings.load_profile("any speed")


HEAVY = (
    pytest.mark.skipif("HEAVY" not in os.environ, reason="takes long; `make test-all` runs it"),
    pytest.mark.timeout(3600),
)
"""Marks of a test that takes too long for every change."""


def heavy(test: Any) -> Any:
    """Mark a test that takes too long for every change."""
    for mark in HEAVY:
        test = mark(test)
    return test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """What a test has printed travels to another process as UTF-8, and names that are none are tried, too."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode("utf-8")) for title, text in report.sections
    ]
    return report


UPLOADS_BUCKET = "uploads-bucket"
THUMBNAILS_BUCKET = "thumbnails-bucket"
IMAGE_TABLE = "image-table"
API_KEY_TABLE = "api-key-table"
LISTING_TABLE = "listing-table"

ENVIRONMENT = {
    "THUMBNAILS_BUCKET": THUMBNAILS_BUCKET,
    "IMAGE_TABLE": IMAGE_TABLE,
    "IMAGE_FORMATS": "JPEG,PNG,WEBP,GIF,AVIF,HEIF,TIFF,BMP",
    "MAX_UPLOAD_MEGABYTES": "100",
    "MAX_MEGAPIXELS": "100",
    "RENDER_MEMORY_MEGABYTES": "1769",
    "LABELS_MAX": "10",
    "LABELS_MIN_CONFIDENCE": "75",
    "RENDITION_URL_SECONDS": "900",
    "WORKFLOW_TYPE": "STANDARD",
}


MACHINES = {
    "PROCESS_IMAGE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:process",
    "SETTLE_IMAGE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:settle",
}


BACKFILL_TABLE = "backfill-table"
BATCH_QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/batch-queue"
OF_SOME_FUNCTIONS = {
    "BACKFILL_TABLE": BACKFILL_TABLE,
    "BATCH_QUEUE_URL": BATCH_QUEUE_URL,
    "API_KEY_TABLE": API_KEY_TABLE,
    "LISTING_TABLE": LISTING_TABLE,
    "UPLOADS_BUCKET": UPLOADS_BUCKET,
    "EVENT_BUS": "default",
    "STATUS_API_URL": "https://api.example",
    "PRESIGNED_UPLOAD_SECONDS": "900",
    "REPROCESS_COOLDOWN_SECONDS": "10",
}


class _CloudFormation(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": "x"} and `!Sub x` as {"Fn::Sub": "x"}."""


def _intrinsic(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_CloudFormation.add_multi_constructor("!", _intrinsic)


@pytest.fixture(scope="session")
def template() -> Any:
    """template.yml as it is written."""
    return yaml.load((ROOT / "template.yml").read_text(), _CloudFormation)


@pytest.fixture(scope="session")
def monitoring() -> Any:
    """monitoring/template.yml as it is written."""
    return yaml.load((ROOT / "monitoring" / "template.yml").read_text(), _CloudFormation)


def cfn_lint(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the cfn-lint beside this Python."""
    return subprocess.run([Path(sys.executable).with_name("cfn-lint"), *arguments], capture_output=True, text=True)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that template.yml gives every function."""
    for variable, value in (ENVIRONMENT | MACHINES | OF_SOME_FUNCTIONS).items():
        monkeypatch.setenv(variable, value)
    return dict(ENVIRONMENT)


@pytest.fixture
def aws() -> Iterator[None]:
    """The AWS APIs of moto with the stack's buckets and table in them."""
    with mock_aws():
        s3 = boto3.client("s3")
        location: Any = {"LocationConstraint": "eu-west-1"}
        for bucket in (UPLOADS_BUCKET, THUMBNAILS_BUCKET):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        boto3.client("dynamodb").create_table(
            TableName=IMAGE_TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("ImageKey", "claimShard", "claimedAt")
            ],
            KeySchema=[{"AttributeName": "ImageKey", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "ProcessingIndex",
                    "KeySchema": [
                        {"AttributeName": "claimShard", "KeyType": "HASH"},
                        {"AttributeName": "claimedAt", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["upload", "execution"]},
                }
            ],
        )
        boto3.client("dynamodb").create_table(
            TableName=API_KEY_TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "KeyId", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "KeyId", "KeyType": "HASH"}],
        )
        boto3.client("dynamodb").create_table(
            TableName=BACKFILL_TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "BackfillId", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "BackfillId", "KeyType": "HASH"}],
        )
        boto3.client("dynamodb").create_table(
            TableName=LISTING_TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("ViewShard", "ListPosition")
            ],
            KeySchema=[
                {"AttributeName": "ViewShard", "KeyType": "HASH"},
                {"AttributeName": "ListPosition", "KeyType": "RANGE"},
            ],
        )
        boto3.client("sqs").create_queue(QueueName="batch-queue")
        yield


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One local pipeline for all tests that need one; only waits are cut."""
    where, no_wait = tmp_path_factory.mktemp("pipeline"), {"EmptyUploadSeconds": "0"}
    with Pipeline(where, wait_scale=0.0, parameters=no_wait, controls=True) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared_pipeline: Pipeline) -> Iterator[Pipeline]:
    """Without the faults, replacements and dead letters of the test before; each test has keys of its own."""
    yield shared_pipeline
    shared_pipeline.clear()
    for name, url in shared_pipeline.outputs.items():
        if name.endswith("QueueUrl"):
            shared_pipeline.take_messages(url)


def put_upload(key: str, data: bytes) -> dict[str, Any]:
    """Upload, and give the `upload` that the workflow would hand to the first step."""
    answer = boto3.client("s3").put_object(Bucket=UPLOADS_BUCKET, Key=key, Body=data)
    return {
        "bucket": UPLOADS_BUCKET,
        "key": key,
        "versionId": answer["VersionId"],
        "etag": answer["ETag"].strip('"'),
        "sequencer": "0055AED6DCD90281E5",
        "sizeBytes": len(data),
        "uploadedAt": "2026-11-21T12:00:00Z",
    }


WITH_OUTCOME: dict[str, Any] = {
    "execution": {"id": "older", "startedAt": "2020-01-01T12:00:00Z", "finishedAt": "2020-01-01T12:00:01Z"},
    "image": {},
    "renditions": [],
    "labels": [],
    "error": {"code": "CorruptImageError", "message": "m", "hint": "h", "step": "ValidateImage"},
}
"""What whoever follows the stream looks for in a record that has an outcome: one without holds up all behind it."""


def put_record(image_key: str, **fields: Any) -> None:
    """A record as ClaimUpload leaves it, with more on top."""
    from image_pipeline.store.records import to_attribute

    item = {
        "ImageKey": image_key,
        "status": "PROCESSING",
        "uploadOrder": "0055AED6DCD90281E5".ljust(64, "0"),
        "execution": {"id": "execution-1", "startedAt": datetime.now(UTC).isoformat()},
        **fields,
    }
    boto3.client("dynamodb").put_item(
        TableName=IMAGE_TABLE, Item={name: to_attribute(value) for name, value in item.items()}
    )


def emf(text: str) -> list[dict[str, Any]]:
    """Every line of a log that is a metric in CloudWatch's embedded metric format, whole."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, float]]:
    """What was counted since the last look: each line's metrics with their sums."""
    return [
        {metric["Name"]: sum(line[metric["Name"]]) for metric in directive["Metrics"]}
        for line in emf(capsys.readouterr().out)
        for directive in line["_aws"]["CloudWatchMetrics"]
    ]


@contextmanager
def watched(client: Any, operation: str) -> Iterator[list[dict[str, Any]]]:
    """The parameters of every call of `operation` that the client makes meanwhile, such as `s3.GetObject`."""
    calls: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(dict(params))

    event = f"provide-client-params.{operation}"
    client.meta.events.register_first(event, note, unique_id="watched")
    try:
        yield calls
    finally:
        client.meta.events.unregister(event, unique_id="watched")
