"""Uploads, overwrites, copies and deletions of a key, whose events arrive in any order, more than once and at the same
time, with faults, crashes, and reprocesses, some of which fail or are stopped.

Hypothesis generates the story of each key and the order of its events. The real workflows run, and a small model
defines the expected end. `INTERLEAVINGS=30 pytest tests/workflow/test_interleavings.py` runs more examples.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from image_pipeline.errors import UploadNotFoundError
from image_pipeline.imaging import engine, recipes
from image_pipeline.keys import rendition_key
from image_pipeline.store import uploads
from local.pipeline import Execution, Pipeline
from tests.pictures import photo
from tests.workflow.conftest import renditions, repair

BODIES = {"photo": photo(64, 48), "other photo": photo(48, 64), "words": b"These are words.", "nothing": b""}
FAULTS = [
    ("dynamodb", "UpdateItem", "InternalServerError"),
    ("dynamodb", "UpdateItem", "ThrottlingException"),
    ("lambda", "Invoke", "ServiceException"),
    ("s3", "PutObject", "SlowDown"),
    ("s3", "ListObjectVersions", "InternalError"),
    ("stepfunctions", "StartExecution", "ThrottlingException"),
]
CRASHES = ("ValidateImage", "GenerateThumbnails", "ExtractMetadata", "StoreResults", "CleanRenditions")
"""Functions whose process ends before or after their work; once each, because two crashes in a row fail the image."""

ENDS = {"": 3, "ValidateImage": 1, "StoreResults": 2, "aborted": 1}
"""How a reprocess ends, and its weight: with success, in a step that fails before or after renditions are written, or
stopped by a user."""

EXAMPLES = int(os.environ.get("INTERLEAVINGS", "2"))
STORIES = 6 if "HEAVY" in os.environ else 4  # run at the same time, each with its own key


@dataclass(frozen=True)
class Happening:
    """An upload or a deletion; executions of an aborted one are stopped."""

    kind: str
    aborted: bool = False


@dataclass(frozen=True)
class Delivery:
    """The delivery of the event of one happening, by its number, or a reprocess of the current upload.

    It `waits` for the execution to end before the next. A reprocess `ends` in one of `ENDS`.
    """

    number: int | None
    waits: bool
    ends: str = ""


@dataclass(frozen=True)
class Story:
    """What happens to one key, how it is delivered, and the faults and crashes during it."""

    happenings: list[Happening]
    deliveries: list[Delivery]
    faults: list[tuple[str, str, str]]
    crashes: list[tuple[str, bool]]
    """Functions, and whether each has done its work before."""


def expected(last: Happening, *, may_fail: bool) -> set[str]:
    """Return the statuses that the model allows: only the last happening counts."""
    if last.kind == "deletion":
        return {"DELETED"}
    outcome = {"FAILED" if last.kind in ("words", "nothing") else "COMPLETED"}
    return outcome | {"FAILED"} if may_fail else outcome


@st.composite
def stories(draw: st.DrawFn) -> Story:
    kinds = st.sampled_from([*BODIES, "deletion"])
    drawn = draw(st.lists(st.tuples(kinds, st.integers(0, 9)), min_size=1, max_size=4))
    happenings = [Happening(kind, aborted=dice == 9 and kind != "deletion") for kind, dice in drawn]
    numbers = list(range(len(happenings)))
    more = draw(st.lists(st.sampled_from([*numbers, None, None]), max_size=4))
    ends = st.sampled_from([end for end, weight in ENDS.items() for _ in range(weight)])
    deliveries = [
        Delivery(number, draw(st.booleans()), "" if number is not None else draw(ends))
        for number in draw(st.permutations([*numbers, *more]))
    ]
    crashes = st.lists(st.tuples(st.sampled_from(CRASHES), st.booleans()), max_size=3, unique_by=lambda crash: crash[0])
    return Story(happenings, deliveries, draw(st.lists(st.sampled_from(FAULTS), max_size=3)), draw(crashes))


class StoryRun:
    """Runs a story and checks its end."""

    def __init__(self, pipeline: Pipeline, story: Story) -> None:
        self.pipeline, self.story = pipeline, story
        self.key = f"uploads/interleaved/{uuid.uuid4()}.jpg"
        self.good = False
        """Whether the newest upload has had its image once; from then on it must have one."""
        self.broken: set[str] = set()
        """Executions that fail or are stopped by the story."""
        self.kept: str | None = None
        """The last execution, if it failed while no other one was running."""
        self.events = [self.happen(number, happening) for number, happening in enumerate(story.happenings)]
        name = self.key.removeprefix("uploads/")
        for service, operation, code in story.faults:
            of_workflow = ["waited_"] if service == "stepfunctions" else []  # not of the story itself
            pipeline.fault(service, operation, code, times=2, containing=[name, *of_workflow])
        for function, effective in story.crashes:
            selection: Any = {"containing": [name, f"{function}Function"], "effective": effective}
            pipeline.fault("lambda", "Invoke", "Runtime.ExitError", status=200, **selection)

    def happen(self, number: int, happening: Happening) -> dict[str, Any]:
        """Perform a happening and return the event that S3 would send."""
        location = {"Bucket": self.pipeline.uploads_bucket, "Key": self.key}
        s3, entity = self.pipeline.client("s3"), {"key": self.key, "sequencer": f"00{number + 1:02X}"}
        if happening.kind == "deletion":
            entity |= {"version-id": s3.delete_object(**location).get("VersionId", str(uuid.uuid4()))}
        else:
            body = BODIES[happening.kind]
            answer = s3.put_object(**location, Body=body)
            entity |= {"version-id": answer["VersionId"], "etag": answer["ETag"].strip('"'), "size": len(body)}
        detail = {"bucket": {"name": location["Bucket"]}, "object": entity, "deletion-type": "Delete Marker Created"}
        return {"time": "2026-11-21T12:00:00Z", "detail": detail}

    def deliver_all(self) -> Iterator[None]:
        """Deliver the events one after the other; yield between them, so that stories of other keys interleave."""
        states = self.pipeline.client("stepfunctions")
        for delivery in self.story.deliveries:
            alone = self.look() and self.good
            try:
                arn = self.reprocess(delivery.ends) if delivery.number is None else self.deliver(delivery.number)
            except UploadNotFoundError:
                continue  # the key is deleted, so there is nothing to reprocess
            yield
            if delivery.ends == "aborted" or (delivery.number is not None and self.aborted(delivery.number)):
                states.stop_execution(executionArn=arn)
            if delivery.waits:
                self.pipeline.wait_for_end(arn)
            surely = alone and delivery.waits and delivery.ends in CRASHES
            self.kept = arn.rpartition(":")[2] if surely else None

    def look(self) -> bool:
        """Note whether the newest upload has its image; return whether no execution is running."""
        record, last = self.pipeline.record(self.key) or {}, self.events[-1]["detail"]["object"]
        newest = record.get("uploadOrder") == uploads.pad(last["sequencer"])
        self.good |= newest and record["status"] == "COMPLETED"
        return not any(execution.running for execution in self.executions())

    def aborted(self, number: int) -> bool:
        return self.story.happenings[number].aborted

    def deliver(self, number: int) -> str:
        """Start the execution of an event."""
        machines = {"deletion": "DeleteImage", "nothing": "WaitForContent"}
        machine = machines.get(self.story.happenings[number].kind, "ProcessImage")
        arn: str = self.pipeline.client("stepfunctions").start_execution(
            stateMachineArn=self.pipeline.outputs[f"{machine}StateMachineArn"],
            name=str(uuid.uuid4()),
            input=json.dumps(self.events[number]),
        )["executionArn"]
        return arn

    def reprocess(self, ends: str) -> str:
        """Process the current upload again, as the API and the commands do."""
        outputs, name = self.pipeline.outputs, f"reprocess_{uuid.uuid4()}"
        state = uploads.UploadState.read(
            self.pipeline.client,
            bucket=outputs["UploadsBucketName"],
            table=outputs["ImageTableName"],
            key=self.key,
        )
        event = state.event(reprocess=True)
        if ends:
            self.broken.add(name)
        if ends in CRASHES:
            selection: Any = {"status": 200, "containing": [name, f"{ends}Function"]}
            self.pipeline.fault("lambda", "Invoke", "BrokenError", -1, **selection)
        machine = outputs["ProcessImageStateMachineArn"]
        arn: str = self.pipeline.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=name, input=json.dumps(event)
        )["executionArn"]
        return arn

    def executions(self) -> list[Execution]:
        """Return all executions for this key, including those that settle."""
        return [execution for execution in self.pipeline.executions() if self.key in json.dumps(execution.event)]

    def is_over(self) -> bool:
        waiting = [e for e in self.pipeline.executions("WaitForContentStateMachine") if e.key == self.key]
        executions = self.executions()  # read later: a waiting execution starts the other one before it ends
        settled = (":image-pipeline-Process", ":image-pipeline-Wait")
        unfinished = [e for e in executions if any(machine in e.arn for machine in settled) and e.status != "SUCCEEDED"]
        settling = [e for e in executions if ":image-pipeline-Settle" in e.arn]
        return not any(e.running for e in (*waiting, *executions)) and len(settling) >= len(unfinished)

    def check(self) -> None:
        record, last = self.pipeline.record(self.key), len(self.events) - 1
        assert record is not None
        happened = self.story.happenings[last]
        may_fail = not self.good and (happened.aborted or self.is_overtaken())
        assert record["status"] in expected(happened, may_fail=may_fail)
        assert not {"claimShard", "claimedAt", "previousStatus", "previousUpload", "previousExecution"} & record.keys()
        if record["status"] != "DELETED":
            assert record["upload"]["versionId"] == self.events[last]["detail"]["object"]["version-id"]
        self.check_failure(record)
        self.check_renditions(record)
        self.check_notifications(record, last)

    def is_overtaken(self) -> bool:
        """Return whether a failed attempt took the place of the newest event and so may have taken over its claim."""
        newest = uploads.pad(self.events[-1]["detail"]["object"]["sequencer"])
        broken = [execution for execution in self.executions() if execution.name in self.broken]
        return any(uploads.pad(execution.event["detail"]["object"]["sequencer"]) == newest for execution in broken)

    def check_failure(self, record: dict[str, Any]) -> None:
        """`lastFailure` must belong to an attempt at this upload that failed after the image was rendered."""
        failure, executions = record.get("lastFailure"), {execution.name: execution for execution in self.executions()}
        if self.kept and record["status"] == "COMPLETED":
            assert failure is not None, "the failure of the last attempt is not reported"
            assert failure["executionId"] == self.kept
        if failure is None:
            return
        assert record["status"] == "COMPLETED", "no image was kept"
        attempt, success = executions[failure["executionId"]], executions[record["execution"]["id"]]
        assert attempt.status in ("FAILED", "ABORTED")
        assert attempt.version_id == record["upload"]["versionId"], "the failure is of another upload"
        assert attempt.started > success.started, "a success has come after it"

    def check_renditions(self, record: dict[str, Any]) -> None:
        kept, every = renditions(self.pipeline, self.key)
        pointed_at = {rendition["versionId"] for rendition in record.get("renditions", [])}
        assert pointed_at <= kept.keys(), "the record refers to renditions that are deleted or expire"
        shown = kept if record["status"] != "DELETED" else every
        left = {key for version, key in shown.items() if version not in pointed_at}
        # The last step of an aborted execution may still be writing: its own files, and nothing else.
        aborted = [BODIES[happening.kind] for happening in self.story.happenings if happening.aborted]
        # So may that of a reprocess; and an unchanged copy keeps the files of an execution that it superseded.
        last = self.story.happenings[-1].kind
        stopped = any(delivery.ends == "aborted" for delivery in self.story.deliveries)
        if last in BODIES and (stopped or record["execution"].get("unchanged")):
            aborted.append(BODIES[last])
        folders = tuple(rendition_key(self.key, content_id(self.key, body), "") for body in aborted)
        assert all(key.startswith(folders) for key in left), "renditions remain that no record refers to"

    def check_notifications(self, record: dict[str, Any], last: int) -> None:
        executions = self.executions()
        mails = [notification["Message"] for notification in self.pipeline.notifications()]
        notified = [execution for mail in mails for execution in executions if execution.arn in mail]
        assert len(notified) == len({execution.arn for execution in notified}), "an execution sent two notifications"
        versions = [execution.version_id for execution in notified]
        of_events = [execution.version_id for execution in notified if not execution.name.startswith("reprocess_")]
        assert len(of_events) == len(set(of_events)), "an upload has two notifications"
        silent = self.story.happenings[last].kind == "deletion" or record["execution"].get("unchanged")
        if not self.story.happenings[last].aborted and not silent:
            newest = self.events[last]["detail"]["object"]["version-id"]
            assert newest in versions, "the newest upload has no notification"


def content_id(key: str, body: bytes) -> str:
    """Return the name of the folder of renditions of this content."""
    return engine._content_id(hashlib.sha256(body).hexdigest(), recipes.load().for_key(key), None)


@pytest.mark.timeout(60 * (EXAMPLES + 1))  # a minute for each example and one for the start, far more than it takes
@settings(
    max_examples=EXAMPLES,
    derandomize="INTERLEAVINGS" not in os.environ,
    deadline=None,
    phases=[Phase.generate],  # how executions interleave differs from run to run, so there is nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(cases=st.lists(stories(), min_size=STORIES, max_size=STORIES))
def test_the_newest_event_decides_the_outcome_in_every_order(quiet_pipeline: Pipeline, cases: list[Story]) -> None:
    """Record, renditions and notifications are those of the last happening."""
    repair(quiet_pipeline)
    runs = [StoryRun(quiet_pipeline, story) for story in cases]
    running = [run.deliver_all() for run in runs]
    while running:
        running = [delivery for delivery in running if next(delivery, running) is not running]
    for run in runs:
        quiet_pipeline.wait_until(run.is_over, f"{run.key} to end", 60)
    repair(quiet_pipeline)
    for run in runs:
        try:
            run.check()
        except AssertionError as error:
            executions = [
                (execution.arn.split(":")[-2], execution.status, quiet_pipeline.states_entered(execution))
                for execution in run.executions()
            ]
            raise AssertionError(f"{error}\n{run.story}\n{executions}") from error
