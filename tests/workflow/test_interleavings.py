"""Uploads, overwrites and deletions of a key, told in any order, more than once, all at the same time, with faults.

Hypothesis invents what happened to a few keys and how it is told; the real workflows run; and the end is compared with
what a model of a few lines says. `INTERLEAVINGS=30 pytest tests/workflow/test_interleavings.py` looks for longer.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from local.pipeline import Execution, Pipeline
from tests.pictures import photo
from tests.workflow.conftest import renditions, silent_bucket

BODIES = {"photo": photo(64, 48), "other photo": photo(48, 64), "words": b"These are words."}
FAULTS = [
    ("dynamodb", "UpdateItem", "InternalServerError"),
    ("dynamodb", "UpdateItem", "ThrottlingException"),
    ("lambda", "Invoke", "ServiceException"),
    ("s3", "PutObject", "SlowDown"),
    ("s3", "ListObjectVersions", "InternalError"),
]


EXAMPLES = int(os.environ.get("INTERLEAVINGS", "4"))
STORIES = 6  # are told at the same time, of one key each


@dataclass(frozen=True)
class Happening:
    """An upload of a body, or a deletion; the executions of an aborted one are stopped."""

    kind: str
    aborted: bool = False


@dataclass(frozen=True)
class Telling:
    """The delivery of the event of one happening, by its number; `waits` for the execution to end before the next."""

    number: int
    waits: bool


@dataclass(frozen=True)
class Story:
    """What happened to one key, in that order; how it is told, in this order; and the faults on the way."""

    happenings: list[Happening]
    tellings: list[Telling]
    faults: list[tuple[str, str, str]]


def expected(happenings: list[Happening]) -> set[str]:
    """The model: the last thing that happened counts, and nothing else does."""
    last = happenings[-1]
    if last.kind == "deletion":
        return {"DELETED"}
    outcome = {"FAILED" if last.kind == "words" else "COMPLETED"}
    return outcome | {"FAILED"} if last.aborted else outcome


@st.composite
def stories(draw: st.DrawFn) -> Story:
    kinds = st.sampled_from([*BODIES, "deletion"])
    drawn = draw(st.lists(st.tuples(kinds, st.integers(0, 9)), min_size=1, max_size=4))
    happenings = [Happening(kind, aborted=dice == 9 and kind != "deletion") for kind, dice in drawn]
    numbers = list(range(len(happenings)))
    order = draw(st.permutations(numbers + draw(st.lists(st.sampled_from(numbers), max_size=2))))
    tellings = [Telling(number, draw(st.booleans())) for number in order]
    return Story(happenings, tellings, draw(st.lists(st.sampled_from(FAULTS), max_size=3)))


class Teller:
    """Lets a story happen, tells it, and looks at the end."""

    def __init__(self, pipeline: Pipeline, story: Story) -> None:
        self.pipeline, self.story = pipeline, story
        self.key = f"uploads/interleaved/{uuid.uuid4()}.jpg"
        self.started: list[str] = []
        self.events = [self.happen(number, each) for number, each in enumerate(story.happenings)]
        for service, operation, code in story.faults:
            pipeline.fault(service, operation, code, times=2, containing=self.key.removeprefix("uploads/"))

    def happen(self, number: int, happening: Happening) -> dict[str, Any]:
        """Do it, and give the event that S3 would send."""
        where = {"Bucket": self.pipeline.uploads_bucket, "Key": self.key}
        s3, entity = self.pipeline.client("s3"), {"key": self.key, "sequencer": f"00{number:02X}"}
        if happening.kind == "deletion":
            entity |= {"version-id": s3.delete_object(**where).get("VersionId", str(uuid.uuid4()))}
        else:
            body = BODIES[happening.kind]
            answer = s3.put_object(**where, Body=body)
            entity |= {"version-id": answer["VersionId"], "etag": answer["ETag"].strip('"'), "size": len(body)}
        detail = {"bucket": {"name": where["Bucket"]}, "object": entity, "deletion-type": "Delete Marker Created"}
        return {"time": "2026-11-21T12:00:00Z", "detail": detail}

    def tell(self) -> Iterator[None]:
        """Deliver one event after the other; yields in between, so that stories of other keys mix with this one."""
        states = self.pipeline.client("stepfunctions")
        for telling in self.story.tellings:
            happening = self.story.happenings[telling.number]
            machine = "DeleteImage" if happening.kind == "deletion" else "ProcessImage"
            arn = states.start_execution(
                stateMachineArn=self.pipeline.outputs[f"{machine}StateMachineArn"],
                name=str(uuid.uuid4()),
                input=json.dumps(self.events[telling.number]),
            )["executionArn"]
            self.started.append(arn)
            yield
            if happening.aborted:
                states.stop_execution(executionArn=arn)
            if telling.waits:
                ended = lambda arn=arn: states.describe_execution(executionArn=arn)["status"] != "RUNNING"  # noqa: E731
                self.pipeline.wait_until(ended, arn)

    def executions(self) -> list[Execution]:
        """All that are about this key, those that settle included."""
        return [execution for execution in self.pipeline.executions() if self.key in json.dumps(execution.event)]

    def is_over(self) -> bool:
        executions = self.executions()
        unfinished = [e for e in executions if ":image-pipeline-Process" in e.arn and e.status != "SUCCEEDED"]
        settling = [e for e in executions if ":image-pipeline-Settle" in e.arn]
        return not any(e.running for e in executions) and len(settling) >= len(unfinished)

    def check(self) -> None:
        record, last = self.pipeline.record(self.key), len(self.events) - 1
        assert record is not None
        assert record["status"] in expected(self.story.happenings)
        assert not {"claimShard", "claimedAt"} & record.keys()
        if record["status"] != "DELETED":
            assert record["upload"]["versionId"] == self.events[last]["detail"]["object"]["version-id"]
        self.check_renditions(record)
        self.check_notifications(last)

    def check_renditions(self, record: dict[str, Any]) -> None:
        kept, every = renditions(self.pipeline, self.key)
        pointed_at = {rendition["versionId"] for rendition in record.get("renditions", [])}
        assert pointed_at <= kept, "the record points at what is gone or going"
        if not any(happening.aborted for happening in self.story.happenings):  # its last step may still be writing
            assert kept == pointed_at, "something is left that no record points at"
            assert record["status"] != "DELETED" or not every

    def check_notifications(self, last: int) -> None:
        executions = self.executions()
        told = [
            [execution for execution in executions if execution.arn in notification["Message"]]
            for notification in self.pipeline.notifications()
        ]
        versions = [execution.version_id for [execution] in filter(None, told)]
        assert len(versions) == len(set(versions)), "somebody was told twice of the same upload"
        if not self.story.happenings[last].aborted and self.story.happenings[last].kind != "deletion":
            assert self.events[last]["detail"]["object"]["version-id"] in versions, "nobody was told of the newest"


@pytest.fixture
def quiet_pipeline(pipeline: Pipeline) -> Iterator[Pipeline]:
    with silent_bucket(pipeline):
        yield pipeline


@settings(
    max_examples=EXAMPLES,
    derandomize="INTERLEAVINGS" not in os.environ,
    deadline=None,
    phases=[Phase.generate],  # how executions interleave differs from run to run, so there is nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(told=st.lists(stories(), min_size=STORIES, max_size=STORIES))
def test_whatever_the_interleaving_the_newest_counts(quiet_pipeline: Pipeline, told: list[Story]) -> None:
    """Record, renditions and notifications end as those of the last thing that happened."""
    quiet_pipeline.clear()
    tellers = [Teller(quiet_pipeline, story) for story in told]
    telling = [teller.tell() for teller in tellers]
    while telling:
        telling = [each for each in telling if next(each, telling) is not telling]
    for teller in tellers:
        quiet_pipeline.wait_until(teller.is_over, f"{teller.key} to end", 60)
    quiet_pipeline.clear()
    for teller in tellers:
        try:
            teller.check()
        except AssertionError as error:
            seen = [(e.arn.split(":")[-2], e.status, quiet_pipeline.states_entered(e)) for e in teller.executions()]
            raise AssertionError(f"{error}\n{teller.story}\n{seen}") from error
