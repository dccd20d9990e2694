"""A stack passes every check of `image-pipeline verify` and `doctor`: the local run, or one on AWS."""

from __future__ import annotations

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import yaml
from botocore.client import BaseClient

from image_pipeline_cli.checks import CheckFailedError
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INTERRUPTED, OK
from image_pipeline_cli.verify import command, estimate, http, leftovers, preparation, temporary
from image_pipeline_cli.verify.samples import FIRST, SAMPLES
from image_pipeline_cli.verify.session import Session
from tests.acceptance.conftest import STACK, Target, inventory
from tests.conftest import HEAVY, ROOT, _CloudFormation
from tests.interruptions import interrupted

NAMES = [
    *(check.name for check in command.PRECONDITIONS),
    leftovers.LEFTOVERS.name,
    FIRST.name,
    *(check.name for check in (*command.CHECKS, preparation.CLEAN_UP)),
]


def start(target: Target, *arguments: str) -> subprocess.Popen[str]:
    """Start a command on the target."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "image_pipeline_cli", *arguments, *target.options],
        env=target.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def document(target: Target, *arguments: str) -> tuple[int, Any]:
    """Run a command with `--json`; its exit code and its document."""
    process = start(target, *arguments, "--json")
    out, errors = process.communicate()
    assert out, errors
    return process.returncode, json.loads(out)


@dataclass(frozen=True)
class Proof:
    """The result of `verify`."""

    code: int
    document: Any
    calls: list[tuple[str, str]]
    """The calls to AWS, as service and operation; those on a stack on AWS are not recorded."""
    requests: int = 0
    """The number of requests to the API and to signed URLs."""


@pytest.fixture(scope="module")
def proof(target: Target) -> Proof:
    """One run of `verify`; on the local run in this process, to record its calls."""
    arguments = ["verify", "--yes"]
    if STACK:
        return Proof(*document(target, *arguments), [])
    calls: list[tuple[str, str]] = []
    call, send, requests = BaseClient._make_api_call, http.send, count()

    def record(client: BaseClient, operation: str, parameters: Any) -> Any:
        calls.append((client.meta.service_model.signing_name, operation))
        return call(client, operation, parameters)

    def send_and_count(*request: Any) -> http.Answer:
        next(requests)
        return send(*request)

    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(BaseClient, "_make_api_call", record)
        patch.setattr(http, "send", send_and_count)
        code = main([*arguments, *target.options, "--json"])
    return Proof(code, json.loads(out.getvalue()), calls, next(requests))


@pytest.mark.parametrize("name", NAMES)
def test_the_stack_passes(proof, name):
    """Each check of `verify` is OK."""
    (result,) = [check for check in proof.document["checks"] if check["name"] == name]
    assert (result["state"], result["advice"]) == ("OK", ""), result["detail"]


def test_verify_succeeds(proof):
    """The exit code is 0, every check is reported, and the times are measured."""
    assert (proof.code, [check["name"] for check in proof.document["checks"]]) == (OK, NAMES)
    times = proof.document["times"]
    assert times.keys() == {"p50", "p95", "cold", "warm"}
    assert 0 < times["p50"] <= times["p95"] < proof.document["seconds"]


@pytest.mark.skipif(STACK is not None, reason="the calls of the other process are not recorded")
def test_the_time_model_counts_all_requests(proof):
    """The model counts the requests of polling separately."""
    polls = {"BatchGetItem", "GetItem", "ReceiveMessage", "DescribeExecution"}
    steady = [operation for _, operation in proof.calls if operation not in polls]
    assert proof.requests + len(steady) < estimate.REQUESTS


# Where an action has another name than the operation that needs it: the Service Authorization Reference.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html
ACTIONS = {
    "DeleteMessageBatch": "DeleteMessage",
    "DeleteObjects": "DeleteObjectVersion",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "HeadObject": "GetObject",
    "ListObjectVersions": "ListBucketVersions",
}
SERVICES = {
    "S3": "s3",
    "DynamoDB": "dynamodb",
    "SQS": "sqs",
    "EventBridge": "events",
    "SNS": "sns",
    "Step Functions": "states",
}
WITHOUT_CALL = {("s3", "ListBucket")}  # without it, S3 answers 403 instead of 404


def needed(proof: Proof) -> set[tuple[str, str]]:
    """Return the actions that a run needs."""
    return {(service, ACTIONS.get(operation, operation)) for service, operation in proof.calls}


@pytest.mark.skipif(STACK is not None, reason="the calls of the other process are not recorded")
def test_the_document_lists_the_permissions(proof):
    """The table has every action that a run needs, and no other."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("### Verify a stack")[2].partition("\n### ")[0]
    documented = {
        (SERVICES[service], action)
        for service, cell in re.findall(r"^\| ([\w ]+?)(?:,[^|]*)? \| (`.*) \|$", section, re.MULTILINE)
        if service in SERVICES
        for action in re.findall(r"`([A-Z][A-Za-z]+)`", cell)
        if not action.endswith("Table")
    }
    assert documented - WITHOUT_CALL == needed(proof)


@pytest.mark.skipif(STACK is not None, reason="the calls of the other process are not recorded")
def test_the_deployment_role_may_verify(proof):
    """The role has exactly the actions of a run; without one, every deployment would be rolled back."""
    roles = yaml.load((ROOT / "cicd" / "roles.yml").read_text(), _CloudFormation)
    (policy,) = roles["Resources"]["VerifyRole"]["Properties"]["Policies"]
    lists = [statement["Action"] for statement in policy["PolicyDocument"]["Statement"]]
    granted = {tuple(action.split(":")) for some in lists for action in ([some] if isinstance(some, str) else some)}
    assert {(service, action) for service, action in granted if service in SERVICES.values()} - WITHOUT_CALL == needed(
        proof
    )


@pytest.mark.skipif(STACK is not None, reason="lists everything in the account")
@pytest.mark.parametrize(
    ("event", "text"),
    [
        pytest.param("urllib.Request", "/status", id="after the first upload"),
        pytest.param(
            *("http.client.send", f"/{SAMPLES[0].file_name} HTTP/1.1"), marks=HEAVY, id="while threads are uploading"
        ),
    ],
)
def test_ctrl_c_leaves_nothing_behind(stack, local_target, event, text):
    """Ctrl-C removes every created resource, and the exit code reports the interruption."""
    before = inventory(stack)
    process = interrupted("image_pipeline_cli", event, text, 1, "verify", "--yes", *local_target.options)
    assert (process.returncode, "Traceback" in process.stderr) == (INTERRUPTED, False), process.stderr
    assert "Everything that this run created was removed." in process.stdout
    assert "The same command starts anew." in process.stderr
    assert inventory(stack) == before


@pytest.mark.skipif(STACK is not None, reason="lists everything in the account")
def test_a_later_run_removes_the_leftovers_of_a_killed_run(stack, local_target, monkeypatch):
    """A recent run may still be running and keeps its resources; records and keys expire."""

    def remaining():
        return {name: resources for name, resources in inventory(stack).items() if name not in ("records", "keys")}

    def is_removed():
        leftovers.remove(stack)  # again, because executions may still write renditions
        return remaining() == before

    before = remaining()
    process = start(local_target, "verify", "--yes")
    assert process.stdout is not None
    assert any("first upload" in line for line in process.stdout)
    process.kill()
    process.communicate()
    left = remaining()
    assert all(left[name] != before[name] for name in before)
    assert leftovers.remove(stack) == "Nothing is left of earlier runs."
    monkeypatch.setattr(leftovers, "LONGEST_SECONDS", -1)
    assert leftovers.remove(stack).startswith(f"Removed what was left of {temporary.PREFIX}")
    assert Session(stack, "", seconds=30.0).wait_until(is_removed)


@pytest.mark.skipif(STACK is not None, reason="needs the shared pipeline")
@pytest.mark.parametrize("is_empty", [True, False])
def test_an_upload_without_a_record_may_still_be_processed(stack, is_empty):
    """The clean-up reports it, unless the upload is empty: a deleted empty upload never gets a record."""
    session = Session(stack, f"{temporary.PREFIX}{uuid.uuid4()}", seconds=1.0)
    session.remember("a.jpg", "v", "etag", 0.0, is_empty=is_empty)
    with contextlib.nullcontext() if is_empty else pytest.raises(CheckFailedError, match="not ended"):
        preparation.remove_uploads(session)
