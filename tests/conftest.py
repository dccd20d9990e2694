"""Fixtures and helpers for all tests."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
import hypothesis
import moto.core.models
import psutil
import pytest
import yaml
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.sqs.models import sqs_backends

from local.emulator.moto_seams import dynamodb as dynamodb_seam
from local.pipeline import Pipeline
from tools import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "layers" / "core"))

REGION = "eu-west-1"

CALLER_ENVIRONMENT = dict(os.environ)
"""The environment with the credentials of the caller, for the acceptance tests of a stack on AWS only."""

# This must run before any client is created, so that no test uses the credentials or the region of the user.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "POWERTOOLS_SERVICE_NAME": "stack",  # read when the core is imported
}


# moto makes a new boto3 session for every test, and each session would parse the models of the services anew.
botocore.session.create_loader = lru_cache(botocore.session.create_loader)

dynamodb_seam.install()


@lru_cache
def aws_client(service: str) -> Any:
    """Return the shared client of a service, for the preparation and the checks of a test."""
    return boto3.client(service)  # type: ignore[call-overload]


def examples(most: int) -> int:
    """Return how many examples Hypothesis tries: `most` of them if HEAVY, and the first third in `make test`."""
    return most if "HEAVY" in os.environ else most // 3


# A slow machine is no failure. `make test` tries the same examples each time, so that it fails for a change alone.
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize="HEAVY" not in os.environ, max_examples=examples(150)
)
hypothesis.settings.load_profile("repeatable")


HEAVY = (
    pytest.mark.skipif("HEAVY" not in os.environ, reason="takes long; `make test-all` runs it"),
    pytest.mark.timeout(3600),
)
"""Marks of a test that takes too long to run at every change."""


def heavy(test: Any) -> Any:
    """Mark a test that takes too long to run at every change."""
    for mark in HEAVY:
        test = mark(test)
    return test


def crossed(*columns: list[Any]) -> list[Any]:
    """Combine columns of parameters; a tuple in a column fills several parameters.

    `make test` combines each value only with the first values of the other columns. All other combinations are HEAVY.
    """
    parameters = []
    for combination in product(*columns):
        changed = sum(value is not column[0] for value, column in zip(combination, columns, strict=True))
        values = [part for value in combination for part in (value if isinstance(value, tuple) else (value,))]
        parameters.append(pytest.param(*values, marks=HEAVY if changed > 1 else ()))
    return parameters


def chromium_path() -> str:
    """Return the path of the browser; without one, skip the test, or fail it where BROWSER_REQUIRED is set."""
    path = chromium.find()
    if path is None:
        reason = "no Chromium is on the path, and BROWSER names none: nothing was tested in a browser"
        (pytest.fail if "BROWSER_REQUIRED" in os.environ else pytest.skip)(reason)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, one for all tests of a process; it ends with all its processes."""
    older = set(_descendants())
    # All tabs of a context share a process: to start one takes longer than to load the page.
    options = ["--process-per-site"]
    if "HEAVY" not in os.environ:
        options.append("--js-flags=--no-maglev --no-turbofan")  # no script runs for so long that it pays to optimise it
    with chromium.started(chromium_path(), *options) as running:
        started = set(_descendants()) - older
        yield running
        processes = started.union(*(_descendants(process) for process in started))
    _, alive = psutil.wait_procs(filter(_is_running, processes), timeout=10)
    assert not alive


def _is_running(process: psutil.Process) -> bool:
    """Return whether a process runs. One that has ended is a zombie until its parent, maybe a slow one, takes note."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _descendants(process: psutil.Process | None = None) -> list[psutil.Process]:
    """Return the processes that a process has started, or this one; none if it has ended."""
    with suppress(psutil.NoSuchProcess):
        return (process or psutil.Process()).children(recursive=True)
    return []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the unit tests last. Their files are short, so parallel processes end at about the same time."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/unit/"))


gc.disable()  # the collection of tests makes a million objects that stay


def pytest_collection_finish() -> None:
    """Exclude all existing objects from garbage collections, and collect rarely: fixtures keep many more objects."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """Escape captured output that is not UTF-8: reports travel to another process, and tests print hostile names."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode("utf-8")) for title, text in report.sections
    ]
    return report


class _CloudFormation(yaml.CSafeLoader):
    """Read `!Ref x` as {"Ref": "x"} and `!Sub x` as {"Fn::Sub": "x"}."""


def _intrinsic(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_CloudFormation.add_multi_constructor("!", _intrinsic)


TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yml").read_text(), _CloudFormation)


@pytest.fixture(scope="session")
def template() -> Any:
    """template.yml as it is written."""
    return TEMPLATE


@pytest.fixture(scope="session")
def monitoring() -> Any:
    """monitoring/template.yml as it is written."""
    return yaml.load((ROOT / "monitoring" / "template.yml").read_text(), _CloudFormation)


UPLOADS_BUCKET = "uploads-bucket"
THUMBNAILS_BUCKET = "thumbnails-bucket"
IMAGE_TABLE = "image-table"
API_KEY_TABLE = "api-key-table"
LISTING_TABLE = "listing-table"
BACKFILL_TABLE = "backfill-table"

_BUCKETS = {"UploadsBucket": UPLOADS_BUCKET, "ThumbnailsBucket": THUMBNAILS_BUCKET}
_TABLES = {
    "ImageTable": IMAGE_TABLE,
    "ApiKeyTable": API_KEY_TABLE,
    "ListingTable": LISTING_TABLE,
    "BackfillTable": BACKFILL_TABLE,
}
_REFS = {
    **_BUCKETS,
    **_TABLES,
    "AWS::StackName": "image-pipeline",
    "BatchQueue": "https://sqs.eu-west-1.amazonaws.com/123456789012/batch-queue",
    "ProcessImageStateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:process",
    "SettleImageStateMachine": "arn:aws:states:eu-west-1:123456789012:stateMachine:settle",
    **{name: str(parameter["Default"]) for name, parameter in TEMPLATE["Parameters"].items()},
}
"""The values of `Ref` for the resources of the fixture `aws` and for the template's parameters."""

_COMPOSED = {
    "STATUS_API_URL": "https://api.example",  # an address that leads nowhere, unlike the one that the template composes
    "STACK_NAME": "image-pipeline",
    "AUTHORIZATION": "key",
    "UPLOADS_URL": f"https://{UPLOADS_BUCKET}.s3.eu-west-1.amazonaws.com",
    "RENDITIONS_URL": f"https://{THUMBNAILS_BUCKET}.s3.eu-west-1.amazonaws.com",
}
"""Variables that the template composes of several values."""


def _variables(body: Any) -> dict[str, str]:
    """The variables that the template sets for a function of the application, or in `Globals`."""
    variables = body.get("Environment", {}).get("Variables", {})
    return {
        name: _COMPOSED[name] if name in _COMPOSED else _value(value)
        for name, value in variables.items()
        if not name.startswith("POWERTOOLS_")
    }


def _value(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "Fn::FindInMap" in value:
        table, row, column = value["Fn::FindInMap"]
        return str(TEMPLATE["Mappings"][table][row][column])
    return _REFS[value["Ref"]]


_FUNCTIONS = {
    logical_id: _variables(body["Properties"])
    for logical_id, body in TEMPLATE["Resources"].items()
    if body["Type"] == "AWS::Serverless::Function"
}
ENVIRONMENT = _variables(TEMPLATE["Globals"]["Function"])
"""The variables of every function."""
MACHINES = _FUNCTIONS["WatchRecordsFunction"]
"""The variables that name the state machines."""


def cfn_lint(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the cfn-lint beside this Python."""
    return subprocess.run([Path(sys.executable).with_name("cfn-lint"), *arguments], capture_output=True, text=True)


def resource_schema(kind: str) -> dict[str, Any]:
    """Return CloudFormation's schema of a type of resources."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # slow, and few tests need it

    schema: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return schema


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of all functions; a variable has the value that all functions share."""
    for variables in (ENVIRONMENT, *_FUNCTIONS.values()):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    return dict(ENVIRONMENT)


@pytest.fixture
def empty_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The AWS APIs of moto, for clients of boto3."""
    # moto would register thousands of addresses with the library requests, too.
    monkeypatch.setattr(moto.core.models, "RESPONSES_METHODS", ())
    with mock_aws(config={"core": {"reset_boto3_session": False}}):  # a new session reads all models again
        yield


@pytest.fixture
def aws(empty_aws: None) -> None:
    """The AWS APIs of moto, for clients of boto3, with the buckets, tables and the queue of the stack."""
    # Hundreds of tests start here, and requests for all of this would take thirty milliseconds.
    s3 = s3_backends[ACCOUNT_ID]["aws"]
    for bucket in _BUCKETS.values():
        s3.create_bucket(bucket, REGION)
        s3.put_bucket_versioning(bucket, "Enabled")
    dynamodb_backends[ACCOUNT_ID][REGION].tables |= deepcopy(_empty_tables())
    sqs_backends[ACCOUNT_ID][REGION].create_queue("batch-queue")


@lru_cache
def _empty_tables() -> dict[str, Any]:
    """Create the tables of the stack, and return a copy of them."""
    for logical_id, table in _TABLES.items():
        properties = TEMPLATE["Resources"][logical_id]["Properties"]
        schema: Any = {name: properties[name] for name in _TABLE_SCHEMA if name in properties}
        aws_client("dynamodb").create_table(TableName=table, **schema)
    return deepcopy(dynamodb_backends[ACCOUNT_ID][REGION].tables)


_TABLE_SCHEMA = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


@pytest.fixture(scope="session")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """One local pipeline for all tests that need one, without waits between retries."""
    run_dir = tmp_path_factory.mktemp("pipeline")
    with Pipeline(run_dir, wait_scale=0.0, parameters={"EmptyUploadSeconds": "0"}, controls=True) as pipeline:
        yield pipeline


@pytest.fixture
def pipeline(shared_pipeline: Pipeline) -> Iterator[Pipeline]:
    """The shared pipeline; faults, replacements and queued messages are removed after each test."""
    yield shared_pipeline
    shared_pipeline.clear()
    filled = shared_pipeline.filled_queues()
    for name, url in shared_pipeline.outputs.items():
        if name.endswith("QueueUrl") and url.rpartition("/")[2] in filled:
            shared_pipeline.take_messages(url)


@pytest.fixture
def reconfigure(pipeline: Pipeline) -> Iterator[Callable[..., None]]:
    """A function that updates the shared pipeline, for one test, to other parameters or another template.

    An update takes a tenth of the CPU of a start.
    """
    original = pipeline.parameters

    def update(template: Path = ROOT / "template.yml", **parameters: str) -> None:
        pipeline.update(template, parameters)

    yield update
    pipeline.update(parameters=original)


def put_upload(key: str, data: bytes, metadata: dict[str, str] | None = None) -> dict[str, Any]:
    """Upload an object and return the `upload` that the workflow passes to its first step."""
    answer = aws_client("s3").put_object(Bucket=UPLOADS_BUCKET, Key=key, Body=data, Metadata=metadata or {})
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
"""The fields of a record that has an outcome. Readers of the stream require them."""


def put_record(image_key: str, **fields: Any) -> None:
    """Store a record as ClaimUpload writes it, with further fields."""
    from image_pipeline.store.attributes import to_attribute

    item = {
        "ImageKey": image_key,
        "status": "PROCESSING",
        "uploadOrder": "0055AED6DCD90281E5".ljust(64, "0"),
        "execution": {"id": "execution-1", "startedAt": datetime.now(UTC).isoformat()},
        **fields,
    }
    aws_client("dynamodb").put_item(
        TableName=IMAGE_TABLE, Item={name: to_attribute(value) for name, value in item.items()}
    )


def emf(text: str) -> list[dict[str, Any]]:
    """Return the lines of a log that are metrics in CloudWatch's embedded metric format."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


def metrics(capsys: pytest.CaptureFixture[str]) -> list[dict[str, float]]:
    """Return the metrics that were logged since the last call: for each line, the sum of each metric."""
    return [
        {metric["Name"]: sum(line[metric["Name"]]) for metric in directive["Metrics"]}
        for line in emf(capsys.readouterr().out)
        for directive in line["_aws"]["CloudWatchMetrics"]
    ]


@contextmanager
def watched(client: Any, operation: str) -> Iterator[list[dict[str, Any]]]:
    """Record the parameters of every call of an operation, such as `s3.GetObject`, that the client makes."""
    calls: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        calls.append(dict(params))

    event = f"provide-client-params.{operation}"
    client.meta.events.register_first(event, note, unique_id="watched")
    try:
        yield calls
    finally:
        client.meta.events.unregister(event, unique_id="watched")
