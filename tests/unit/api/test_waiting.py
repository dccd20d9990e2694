"""image_pipeline.api.waiting"""

import itertools
import time
from datetime import UTC, datetime, timedelta

import pytest

from image_pipeline import aws as clients
from image_pipeline import keys, settings
from image_pipeline.api import waiting
from image_pipeline.api.waiting import WaitRequest, WaitResult
from image_pipeline.errors import InvalidRequestError
from image_pipeline.store import records
from tests.conftest import ENVIRONMENT, UPLOADS_BUCKET, aws_client, put_record, watched

SETTINGS = settings.load_for_status(ENVIRONMENT)
KEY, PATH = "uploads/a.jpg", "/images/uploads/a.jpg/status"


def find(path=PATH, seconds=0, version_id=None):
    return waiting.find(
        clients.client,
        bucket=UPLOADS_BUCKET,
        image_keys=keys.image_keys(path),
        settings=SETTINGS,
        request=WaitRequest(seconds, version_id),
    )


def upload(key=KEY):
    """Store a new version of an upload that the pipeline does not know yet, and return its id."""
    return aws_client("s3").put_object(Bucket=UPLOADS_BUCKET, Key=key, Body=b"x")["VersionId"]


def claim(version_id, status="PROCESSING", **fields):
    """Make the record describe a version."""
    put_record(KEY, status=status, upload={"versionId": version_id}, **fields)


def started(seconds_ago):
    at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return {"execution": {"id": "e", "startedAt": at.isoformat()}}


@pytest.fixture
def clock(aws, monkeypatch):
    """A clock that only pauses advance; returns the pauses."""
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000 + sum(pauses))
    return pauses


@pytest.fixture
def later(clock, monkeypatch):
    """Make a change before the third read."""

    def arrange(change):
        read_record = records.read

        def read_later(client, **of):
            if len(clock) == 2:
                change()
            return read_record(client, **of)

        monkeypatch.setattr(records, "read", read_later)

    return arrange


# ---- What a request asks for


@pytest.mark.parametrize("wait", ["", "-1", "11", "1.5", "ten", "1,2", "٣", "1" * 5000])
def test_an_invalid_wait_is_refused(wait):
    """An invalid wait is an error."""
    with pytest.raises(InvalidRequestError):
        waiting.parse({"wait": wait})


def test_a_wait_is_a_number_of_seconds():
    """The default is 0, and other parameters are ignored."""
    queries = ({"wait": "0"}, {"wait": "10"}, {}, {"x": "1"})
    assert [waiting.parse(query).seconds for query in queries] == [0, 10, 0, 0]


@pytest.mark.parametrize(
    "version_id", ["", "a b", "a\n", "a\0b", "\x7f", "ü", "\ud800", "x" * 1025, "null", "undefined"]
)
def test_an_impossible_version_is_refused(version_id):
    """The message contains no control characters."""
    with pytest.raises(InvalidRequestError, match="x-amz-version-id") as caught:
        waiting.parse({"versionId": version_id})
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("version_id", ["3/L4kqtJlcpXro+Df_.-~!=", "nullable", "x" * 1024])
def test_a_version_is_any_text_that_s3_may_give(version_id):
    """AWS documents version ids as opaque."""
    assert waiting.parse({"versionId": version_id}) == WaitRequest(0, version_id)


# ---- For how long


def test_a_waiting_caller_is_answered_after_settlement(clock, later):
    """The response contains the record as written during the wait."""
    put_record(KEY)
    later(lambda: put_record(KEY, status="FAILED"))
    assert find(seconds=10).record["status"] == "FAILED"
    assert clock == [0.25, 0.5]


def test_no_wait_is_longer_than_requested(clock):
    """A wait is never longer than requested and makes only a few reads."""
    put_record(KEY, **started(0))
    for seconds in (0, 1, 10):
        clock.clear()
        result = find(seconds=seconds)
        assert (result.record["status"], result.retry_after) == ("PROCESSING", "1")
        assert sum(clock) == seconds
        assert len(clock) <= 8


def test_a_final_status_ends_the_wait_at_once(clock):
    """Finished and stale uploads are returned immediately."""
    put_record("uploads/done.jpg", status="COMPLETED")
    put_record("uploads/stale.jpg", execution={"id": "e", "startedAt": "2020-01-01T00:00:00Z"})
    for name in ("done", "stale"):
        find(f"/images/uploads/{name}.jpg/status", 10)
    assert clock == []


def test_an_early_request_is_answered_when_the_upload_is_known(clock, later):
    """S3's event may arrive after the request, and both spellings of a name are read."""
    later(lambda: put_record("uploads/a b.jpg", status="COMPLETED"))
    assert find("/images/uploads/a%20b.jpg/status", 10).record["status"] == "COMPLETED"
    assert find("/images/uploads/never.jpg/status", 0) == WaitResult(None, None)
    assert clock == [0.25, 0.5]


@pytest.mark.parametrize(
    ("status", "age", "seconds"),
    [
        (None, 0, 2),  # a name that anyone may have made up
        ("PROCESSING", 0, 10),
        ("PROCESSING", 25, 10),
        ("PROCESSING", -3600, 10),  # clocks differ
        ("PROCESSING", 31, 2),  # throttled, or stuck
        ("PROCESSING", 23 * 3600, 2),
        ("PROCESSING", 25 * 3600, 0),  # stale
        ("COMPLETED", 0, 0),
        ("DELETED", 0, 0),
    ],
)
def test_the_wait_for_an_unknown_upload_is_short(clock, status, age, seconds):
    """Waits for uploads that may not exist are short, because anyone may request any name."""
    if status:
        put_record(KEY, status=status, **started(age))
    find(seconds=10)
    assert sum(clock) == seconds
    clock.clear()
    find(seconds=1)
    assert sum(clock) == min(seconds, 1)


# ---- Of which upload


def test_the_outcome_of_the_version_is_waited_for(clock, later):
    """The record may still describe the previous image."""
    previous, version_id = upload(), upload()
    claim(previous, "COMPLETED")
    later(lambda: claim(version_id, "FAILED"))
    result = find(seconds=10, version_id=version_id)
    assert (result.record["upload"]["versionId"], result.record["status"]) == (version_id, "FAILED")
    assert result.retry_after is None
    assert clock == [0.25, 0.5]


def test_a_version_that_is_claimed_meanwhile_is_waited_for_until_it_has_an_outcome(clock, later):
    """A claim is not an outcome."""
    previous, version_id = upload(), upload()
    claim(previous, "COMPLETED")
    later(lambda: claim(version_id, **started(0)))
    result = find(seconds=10, version_id=version_id)
    assert (result.record["status"], result.retry_after, sum(clock)) == ("PROCESSING", "1", 10)


@pytest.mark.parametrize("seconds", [0, 10])
def test_at_the_deadline_the_answer_is_the_current_status(clock, seconds):
    """At the deadline, the response has the previous image or none, and Retry-After."""
    previous, version_id = upload(), upload()
    assert find(seconds=seconds, version_id=version_id) == WaitResult(None, "1")
    claim(previous, "COMPLETED")
    result = find(seconds=seconds, version_id=version_id)
    assert (result.record["upload"]["versionId"], result.retry_after) == (previous, "1")
    assert sum(clock) == 2 * seconds


def test_a_version_that_was_replaced_first_is_not_waited_for(clock):
    """Such a version gets no outcome; the response describes the upload that replaced it."""
    versions = [upload() for _ in range(3)]
    claim(versions[2], "COMPLETED")
    for version_id in versions[:2]:
        result = find(seconds=10, version_id=version_id)
        assert (result.record["upload"]["versionId"], result.retry_after) == (versions[2], None)
    assert clock == []


def test_the_outcome_of_the_replacement_is_waited_for(clock, later):
    """The caller receives the outcome of the newest upload."""
    version_id, newest = upload(), upload()
    claim(newest, **started(0))
    later(lambda: claim(newest, "COMPLETED"))
    result = find(seconds=10, version_id=version_id)
    assert (result.record["status"], result.retry_after, clock) == ("COMPLETED", None, [0.25, 0.5])


def test_the_replacement_of_a_version_ends_the_wait(clock, later):
    """The wait ends as soon as the record describes a newer version."""
    previous, version_id = upload(), upload()
    claim(previous, "COMPLETED")
    later(lambda: claim(upload(), "COMPLETED"))
    result = find(seconds=10, version_id=version_id)
    assert (result.record["upload"]["versionId"] in (previous, version_id), result.retry_after) == (False, None)
    assert clock == [0.25, 0.5]


@pytest.mark.parametrize("version_id", ["made-up", "x" * 1024])
def test_a_version_that_s3_does_not_have_is_not_waited_for(clock, version_id):
    """Unknown versions must not occupy executions."""
    assert find(seconds=10, version_id=version_id) == WaitResult(None, None)
    assert find(seconds=10, version_id=upload("uploads/a.jpg.bak")) == WaitResult(None, None)  # of another upload
    claim(upload(), "COMPLETED")
    assert find(seconds=10, version_id=version_id).retry_after is None
    assert find(seconds=10, version_id=upload("uploads/a.jpg2")).retry_after is None
    assert clock == []


def test_a_deletion_ends_a_version(clock):
    """A version that was deleted before it was processed has no pending outcome."""
    previous, version_id = upload(), upload()
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key=KEY)
    claim(previous, "DELETED")
    assert find(seconds=10, version_id=version_id).retry_after is None
    assert clock == []


def test_a_deletion_is_waited_for(clock, later):
    """Until the record says DELETED, the version may still get an outcome."""
    previous, version_id = upload(), upload()
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key=KEY)
    claim(previous, "COMPLETED")
    later(lambda: claim(previous, "DELETED"))
    result = find(seconds=10, version_id=version_id)
    assert (result.record["status"], result.retry_after, clock) == ("DELETED", None, [0.25, 0.5])


@pytest.mark.parametrize("claimed", [{"upload": {"versionId": "v0"}}, {}])
def test_an_upload_after_a_deletion_is_waited_for(clock, later, claimed):
    """The record of a deletion may describe an older upload or none."""
    upload()
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key=KEY)
    version_id = upload()
    put_record(KEY, status="DELETED", **claimed)
    later(lambda: claim(version_id, "COMPLETED"))
    assert find(seconds=10, version_id=version_id).record["status"] == "COMPLETED"
    assert clock == [0.25, 0.5]


def test_s3_is_called_once_per_recorded_version(clock, later):
    """S3 is never called for the requested version."""
    versions = [upload() for _ in range(3)]
    claim(versions[0], "COMPLETED")
    later(lambda: claim(versions[1], "COMPLETED"))
    with watched(clients.client("s3"), "s3.ListObjectVersions") as calls:
        find(seconds=10, version_id=versions[2])
        assert (sum(clock), len(calls)) == (10, 2)
        find(seconds=10, version_id=versions[1])
        find(seconds=10)
    assert len(calls) == 2
    assert {call["MaxKeys"] for call in calls} == {100}


def test_every_order_of_uploads_and_events_gives_the_outcome_of_the_version_or_of_a_newer_one(clock):
    """A response about an older version always has Retry-After."""
    versions = [upload() for _ in range(4)]
    for (index, version_id), (held, about) in itertools.product(enumerate(versions), enumerate(versions)):
        claim(about, "COMPLETED")
        result = find(seconds=10, version_id=version_id)
        assert (result.retry_after is None) == (held >= index), (index, held)
