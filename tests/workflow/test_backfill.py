"""The backfill workflow: which uploads it puts on BatchQueue, and what it reports."""

from __future__ import annotations

import json
import uuid
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HEAVY, ROOT, WITH_OUTCOME
from tests.pictures import photo
from tests.workflow.conftest import drain, put_item, repair
from tests.workflow.rules import ANSWERS, BACKFILL_TASKS, FAULTS, SERVICES

PHOTO = photo(64, 48)


class Folder:
    """Uploads of one test. Their messages reach this object instead of the function that processes them."""

    def __init__(self, pipeline: Any, prefix: str = "") -> None:
        self.pipeline = pipeline
        self.prefix = prefix or f"uploads/backfill/{uuid.uuid4()}/"
        self.manifest: dict[str, Any] = {}
        self.sent: list[str] = []
        self._received: list[Any] = []
        pipeline.replace("StartBatchFunction", lambda event: self._received.extend(event["Records"]))

    def upload(self, *names: str, **record: Any) -> None:
        """Store objects, and records for some of them."""
        for name in names:
            self.pipeline.upload(self.prefix + name, PHOTO)
            if record:
                item = {**WITH_OUTCOME, "ImageKey": self.prefix + name, **record}
                if "error" in record:
                    item["error"] = {**WITH_OUTCOME["error"], "code": record["error"]}
                put_item(self.pipeline, item)

    def start(self, **request: Any) -> Any:
        """Run a backfill to its end and return the execution."""
        states = self.pipeline.client("stepfunctions")
        arn = states.start_execution(
            stateMachineArn=self.pipeline.outputs["BackfillStateMachineArn"],
            name=str(uuid.uuid4()),
            input=json.dumps({"prefix": self.prefix, **request}),
        )["executionArn"]

        self.pipeline.wait_for_end(arn, 60)
        return states.describe_execution(executionArn=arn)

    def backfill(self, **request: Any) -> dict[str, int]:
        """Run a backfill and return the totals of its results."""
        execution = self.start(**request)
        assert execution["status"] == "SUCCEEDED", execution
        details = json.loads(execution["output"])["ResultWriterDetails"]
        self.manifest = self._read(details["Key"])
        results = [result for file in self.manifest["ResultFiles"]["SUCCEEDED"] for result in self._read(file["Key"])]
        self.sent = [message["key"].removeprefix(self.prefix) for message in self.messages()]
        names = "listed", "selected", "selectedBytes", "overLimit"
        return {name: sum(result[name] for result in results) for name in names}

    def broken_recipes(self) -> Path:
        """A recipe file with a typing error."""
        path = self.pipeline.run_dir / f"{uuid.uuid4()}.toml"
        path.write_text("[recipes.web]\nwidht = 100\nheight = 100\n")
        return path

    def messages(self) -> list[Any]:
        """Return the messages that the queue has received since the last call."""
        drain(self.pipeline)
        received, self._received = self._received, []
        return [json.loads(record["body"]) for record in received]

    def _read(self, key: str) -> Any:
        bucket = self.pipeline.outputs["ThumbnailsBucketName"]
        return json.loads(self.pipeline.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.fixture
def folder(quiet_pipeline):
    """A folder without processing: only the test receives messages, and events of S3 start nothing."""
    return Folder(quiet_pipeline)


MANY = [f"{number:03}.jpg" for number in range(120)]
"""Several batches; a batch has at most a hundred uploads."""


@pytest.fixture(scope="module")
def prefix_of_many(shared_pipeline, silent):
    """A prefix with many uploads, which no backfill changes."""
    prefix = f"uploads/backfill/{uuid.uuid4()}/"
    for name in MANY:
        shared_pipeline.upload(prefix + name, b"1")
    return prefix


@pytest.fixture
def large_folder(quiet_pipeline, prefix_of_many):
    """A folder with many uploads."""
    return Folder(quiet_pipeline, prefix_of_many)


def test_every_upload_below_a_prefix_is_queued(large_folder):
    """Each upload gets one message, over several pages and batches, and the manifest lists the results."""
    counts = large_folder.backfill()
    assert counts == {"listed": 120, "selected": 120, "selectedBytes": 120, "overLimit": 0}
    assert sorted(large_folder.sent) == MANY
    (file,) = large_folder.manifest["ResultFiles"]["SUCCEEDED"]
    assert file["Key"].startswith("backfills/")
    assert large_folder.manifest["ResultFiles"]["FAILED"] == []


def test_a_message_requests_a_reprocess(folder):
    """The message has the key of the object without a version."""
    folder.upload("é b.jpg")
    assert folder.start()["status"] == "SUCCEEDED"
    (message,) = folder.messages()
    bucket = folder.pipeline.uploads_bucket
    assert message == {"bucket": bucket, "key": folder.prefix + "é b.jpg", "reprocess": True}


def test_an_empty_prefix_succeeds(folder):
    """A backfill without uploads is not a failure."""
    assert folder.backfill() == {"listed": 0, "selected": 0, "selectedBytes": 0, "overLimit": 0}


def test_a_dry_run_counts_and_sends_no_message(folder):
    """A dry run does not use up a limit."""
    folder.upload("a.jpg", "b.jpg")
    counted = folder.pipeline.client("dynamodb").scan(TableName="image-pipeline-BackfillTable")["Items"]
    counts = folder.backfill(dryRun=True, maxImages=1)
    assert (counts["selected"], counts["selectedBytes"], folder.sent) == (2, 2 * len(PHOTO), [])
    assert folder.pipeline.client("dynamodb").scan(TableName="image-pipeline-BackfillTable")["Items"] == counted


def test_filters_select_by_the_record(folder):
    """Filters select failed, outdated, missing and restored uploads, never those in progress."""
    folder.upload("failed.jpg", status="FAILED", error="Runtime.ExitError")
    folder.upload("words.jpg", status="FAILED", error="UnsupportedFormatError")
    folder.upload("old.jpg", status="COMPLETED", recipeId="0")
    folder.upload("older.jpg", status="PARTIAL")
    folder.upload("busy.jpg", status="PROCESSING")
    folder.upload("restored.jpg", status="DELETED")
    folder.upload("new.jpg")
    folder.backfill()
    assert sorted(folder.sent) == ["failed.jpg", "new.jpg", "old.jpg", "older.jpg", "restored.jpg", "words.jpg"]
    folder.backfill(failedOnly=True)
    assert folder.sent == ["failed.jpg"]
    folder.backfill(rejectedOnly=True)
    assert folder.sent == ["words.jpg"]
    folder.backfill(recipeChanged=True)
    assert sorted(folder.sent) == ["new.jpg", "old.jpg", "older.jpg", "restored.jpg"]
    folder.backfill(changedSince=4_000_000_000)
    assert folder.sent == []
    folder.backfill(changedSince=1_000_000_000, failedOnly=True)
    assert folder.sent == ["failed.jpg"]


def test_uploads_with_current_renditions_are_not_selected(folder, pipeline):
    """Running the same backfill again continues it."""
    folder.upload("a.jpg")
    assert folder.backfill(recipeChanged=True)["selected"] == 1
    repair(pipeline)  # the test has received the message of before; the function receives another one
    key = folder.prefix + "a.jpg"
    body = json.dumps({"bucket": pipeline.uploads_bucket, "key": key, "reprocess": True})
    pipeline.client("sqs").send_message(QueueUrl=pipeline.outputs["BatchQueueUrl"], MessageBody=body)
    pipeline.wait_until(lambda: (pipeline.record(key) or {}).get("status") == "COMPLETED", "the batch")
    assert folder.backfill(recipeChanged=True)["selected"] == 0
    assert folder.backfill(recipeChanged=False, dryRun=True)["selected"] == 1


@pytest.mark.parametrize("most", [1, 111])
def test_a_backfill_stays_within_its_limit(large_folder, most):
    """The limit is exact with parallel batches."""
    counts = large_folder.backfill(maxImages=most, concurrency=3)
    assert (counts["selected"], counts["overLimit"]) == (most, 120 - most)
    assert len(set(large_folder.sent)) == len(large_folder.sent) == most


@pytest.mark.parametrize(
    ("tolerated", "status"), [pytest.param(0, "FAILED", marks=HEAVY), (49, "FAILED"), (50, "SUCCEEDED")]
)
def test_a_backfill_fails_beyond_the_tolerated_failures(large_folder, tolerated, status):
    """The other parts are processed, and a redrive repeats the failed ones."""
    large_folder.pipeline.fault("dynamodb", "BatchGetItem", "AccessDeniedException", times=-1, containing="110.jpg")
    execution = large_folder.start(toleratedFailurePercentage=tolerated)
    assert execution["status"] == status
    assert execution.get("error") == (None if status == "SUCCEEDED" else "States.ExceedToleratedFailureThreshold")
    assert len(large_folder.messages()) == 100


@pytest.mark.parametrize("tolerated", [pytest.param(0, marks=HEAVY), 100])
def test_invalid_recipes_end_a_backfill_before_the_selection(folder, tolerated):
    """The error has its own name and the line, even if failures are tolerated."""
    folder.upload("a.jpg", "b.jpg")
    source = (ROOT / "functions" / "select_backfill" / "app.py").read_text()
    broken = f"""
from pathlib import Path
from image_pipeline.imaging import recipes
load, path = recipes.load, Path({str(folder.broken_recipes())!r})
recipes.load = lambda: load(path)
"""
    folder.pipeline.alter("SelectBackfillFunction", source=broken + source)
    execution = folder.start(toleratedFailurePercentage=tolerated)
    assert (execution["status"], execution["error"]) == ("FAILED", "SettingsError")
    assert "line 2" in execution["cause"]
    assert folder.messages() == []


def test_throttled_calls_are_retried(folder):
    """A backfill loses no upload when a service throttles it."""
    folder.upload(*(f"{number}.jpg" for number in range(20)))
    for service, operation in (
        ("dynamodb", "BatchGetItem"),
        ("dynamodb", "UpdateItem"),
        ("sqs", "SendMessageBatch"),
    ):
        folder.pipeline.fault(service, operation, "ThrottlingException", times=1)
    assert folder.backfill(maxImages=1000)["selected"] == 20
    assert len(set(folder.sent)) == 20


def test_a_backfill_can_list_only_uploads(folder):
    """The role cannot list other prefixes."""
    execution = folder.start(prefix="other/")
    assert execution["status"] == "FAILED"
    assert folder.messages() == []


# ---- Every fault of its Task


def fail(folder, call, fault, errors):
    """Make calls with these texts fail, one for each error; an empty error means no response."""
    for error in errors:
        which = {"containing": call, "effective": fault.effective}
        if error:
            of_lambda = error.startswith("Lambda.")
            code = error.removeprefix("Lambda.")
            folder.pipeline.fault(
                "lambda", "Invoke", code if of_lambda else error, status=200 * (not of_lambda), **which
            )
        else:
            folder.pipeline.hang("lambda", "Invoke", **which)


def test_every_task_of_a_backfill_calls_a_function():
    """The tests below cover the faults of functions only."""
    assert [task for _, task in BACKFILL_TASKS] == ["CheckRecipes", "SelectBackfill"]
    assert {SERVICES[backfill_task] for backfill_task in BACKFILL_TASKS} == {"lambda"}


each_fault = pytest.mark.parametrize(
    "fault",
    # test_faults.py tries the others at another Task with the same retries
    [pytest.param(fault, id=fault.name, marks=() if fault.typical else HEAVY) for fault in FAULTS["lambda"]],
)


@each_fault
def test_faults_of_the_recipe_check(folder, fault):
    """Transient errors are retried; permanent ones end the backfill before anything is selected."""
    folder.upload("a.jpg")
    errors = [error for error, _ in zip(cycle(fault.errors or ("",)), range(fault.tries), strict=False)]
    check = ['"items": []', "SelectBackfillFunction"]
    if passing := errors[1:]:
        fail(folder, check, fault, passing)
        assert folder.backfill()["selected"] == 1
    fail(folder, check, fault, errors)
    execution = folder.start(toleratedFailurePercentage=100)
    assert (execution["status"], execution["error"]) == ("FAILED", errors[-1] or "States.Timeout")
    assert folder.messages() == []


@each_fault
def test_faults_of_a_part(folder, fault):
    """Transient errors are retried without loss; permanent ones fail the backfill, and nothing is selected.

    But what is done before its answer is lost is done again: twice in the queue, and never more than a budget allows.
    """
    folder.upload("a.jpg", "b.jpg")
    errors = [error for error, _ in zip(cycle(fault.errors or ("",)), range(fault.tries), strict=False)]
    times = fault.tries if fault.effective else 1
    part = [folder.prefix, "SelectBackfillFunction"]
    if passing := errors[1:]:
        fail(folder, part, fault, passing)
        assert folder.backfill()["selected"] == 2
        assert sorted(folder.sent) == sorted(["a.jpg", "b.jpg"] * times)
    fail(folder, part, fault, errors)
    execution = folder.start()
    assert (execution["status"], execution["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert len(folder.messages()) == (2 * times if fault.effective else 0)
    fail(folder, part, fault, errors)
    folder.start(maxImages=3, toleratedFailurePercentage=100)
    assert len(folder.messages()) == (3 if fault.effective else 0)


@pytest.mark.parametrize(
    "answer",
    # test_faults.py tries the others at another Task
    [
        pytest.param(answer, id=name, marks=() if name in ("nothing", "too large") else HEAVY)
        for name, answer in ANSWERS.items()
    ],
)
def test_an_invalid_answer_fails_the_backfill(folder, answer):
    """A part with an invalid result is never counted as processed."""
    folder.upload("a.jpg")
    folder.pipeline.replace("SelectBackfillFunction", lambda event: answer if event["items"] else {})
    execution = folder.start()
    assert (execution["status"], execution["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
