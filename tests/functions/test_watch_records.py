"""functions/watch_records"""

from datetime import UTC, datetime, timedelta

import pytest

from image_pipeline.settings import WorkflowType
from image_pipeline.workflow import executions
from tests.conftest import metrics, put_record, put_upload

LOST_SECONDS = WorkflowType.STANDARD.lost_seconds
EVENT = {"id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa"}


@pytest.fixture
def settled(monkeypatch):
    """The keys of the records that were settled."""
    keys = []
    monkeypatch.setattr(executions, "settle", lambda _client, _machines, claim: keys.append(claim["ImageKey"]))
    return keys


def claimed(key, seconds, shard="0"):
    at = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    execution = {"id": "execution-1", "startedAt": at}
    put_record(key, upload=put_upload(key, b"x"), execution=execution, claimShard=shard, claimedAt=at)


def test_the_oldest_claim_is_measured(handler, settled, capsys):
    """The oldest claim of all shards is the metric."""
    claimed("uploads/a.jpg", 10, "0")
    claimed("uploads/b.jpg", 700, "f")
    summary = handler(EVENT)
    assert 700 <= summary["oldestProcessingSeconds"] < 760
    assert metrics(capsys) == [{"OldestProcessingSeconds": summary["oldestProcessingSeconds"]}]
    assert settled == []


def test_only_records_without_a_running_execution_are_settled(handler, settled):
    """A record is settled one hour after its execution must have ended."""
    claimed("uploads/slow.jpg", LOST_SECONDS - 60)
    claimed("uploads/lost.jpg", LOST_SECONDS + 60)
    assert handler(EVENT)["settled"] == 1
    assert settled == ["uploads/lost.jpg"]


@pytest.mark.parametrize("workflow", list(WorkflowType))
def test_a_record_is_not_settled_as_soon_as_its_execution_times_out(handler, settled, monkeypatch, workflow):
    """Its own workflow still has time to end it."""
    monkeypatch.setenv("WORKFLOW_TYPE", workflow)
    claimed("uploads/late.jpg", workflow.seconds + 10)
    assert (handler(EVENT)["settled"], handler(EVENT)["restarted"], settled) == (0, 0, [])


def test_express_executions_are_restarted_for_an_hour(handler, settled, monkeypatch):
    """Express executions are restarted for an hour, because an outage may be longer than five minutes."""
    started = []
    monkeypatch.setenv("WORKFLOW_TYPE", "EXPRESS")
    monkeypatch.setattr(executions, "_restart", lambda _client, _machines, claim: started.append(claim["ImageKey"]))
    claimed("uploads/running.jpg", 299)
    claimed("uploads/lost.jpg", 400)
    claimed("uploads/hopeless.jpg", 3700)
    summary = handler(EVENT)
    assert (summary["settled"], summary["restarted"]) == (1, 1)
    assert (started, settled) == (["uploads/lost.jpg"], ["uploads/hopeless.jpg"])


def test_finished_records_are_ignored(handler, settled, capsys):
    """The metric is written even if no record is in PROCESSING."""
    put_record("uploads/old.jpg", status="COMPLETED")
    assert handler(EVENT) == {"oldestProcessingSeconds": 0, "settled": 0, "restarted": 0}
    assert metrics(capsys) == [{"OldestProcessingSeconds": 0}]


def test_the_age_is_reported_even_if_settling_fails(handler, monkeypatch, capsys):
    """The metric is written before records are settled."""
    claimed("uploads/lost.jpg", LOST_SECONDS + 60)
    monkeypatch.setattr(executions, "settle", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        handler(EVENT)
    assert metrics(capsys)[0]["OldestProcessingSeconds"] > LOST_SECONDS
