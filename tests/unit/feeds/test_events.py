"""image_pipeline.feeds.events"""

import pytest
from botocore.stub import Stubber

from image_pipeline import aws
from image_pipeline.feeds import events
from image_pipeline.feeds.outcomes import OutcomeEvent


@pytest.fixture
def bridge():
    """A stubbed EventBridge; an unexpected or a missing request fails the test."""
    with Stubber(aws.client("events")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def outcome(key, detail="{}", execution="e1"):
    return OutcomeEvent(f"uploads/{key}.jpg", execution, "ImageCompleted", "2026-11-21T12:00:02.500Z", detail)


def answer(*codes):
    """A response with one entry per code; None means success."""
    entries = [{"ErrorCode": code, "ErrorMessage": "…"} if code else {"EventId": "1"} for code in codes]
    return {"FailedEntryCount": sum(map(bool, codes)), "Entries": entries}


def expect(bridge, *codes):
    bridge.add_response("put_events", answer(*codes))


def test_an_entry_has_the_fields_that_consumers_match(bridge):
    """An entry contains the bus, source, type and time of the outcome."""
    calls = {}
    aws.client("events").meta.events.register(
        "provide-client-params.events.PutEvents", lambda params, **_: calls.update(params)
    )
    expect(bridge, None)
    assert events.publish(aws.client, "bus", [outcome("a", '{"version":"1"}')]) == 1
    (entry,) = calls["Entries"]
    time = entry.pop("Time")
    assert time.isoformat() == "2026-11-21T12:00:02.500000+00:00"
    assert entry == {
        "EventBusName": "bus",
        "Source": "image-pipeline",
        "DetailType": "ImageCompleted",
        "Detail": '{"version":"1"}',
    }


def test_an_empty_batch_sends_no_request(bridge):
    """A batch without outcomes makes no request."""
    assert events.publish(aws.client, "bus", []) == 0


def test_a_request_has_at_most_ten_entries(bridge):
    """EventBridge accepts at most ten entries per request."""
    expect(bridge, *[None] * 10)
    expect(bridge, None, None)
    assert events.publish(aws.client, "bus", [outcome(number) for number in range(12)]) == 12


def test_a_request_stays_below_the_size_limit(bridge):
    """The limit in bytes applies to all entries together."""
    large = '{"x":"' + "é" * 60_000 + '"}'
    expect(bridge, None, None)
    expect(bridge, None)
    assert events.publish(aws.client, "bus", [outcome(number, large) for number in range(3)]) == 3


def test_outcomes_of_one_key_are_in_separate_requests(bridge):
    """In the same request, the older could fail and the newer succeed."""
    expect(bridge, None, None)
    expect(bridge, None, None)
    assert (
        events.publish(aws.client, "bus", [outcome("a"), outcome("b"), outcome("a", execution="e2"), outcome("c")]) == 4
    )


def test_a_failure_ends_the_batch(bridge):
    """All events after the failure are published again, including those of other keys."""
    expect(bridge, None, "ThrottlingException", None)
    assert (
        events.publish(aws.client, "bus", [outcome("a"), outcome("b"), outcome("c"), outcome("b", execution="e2")]) == 1
    )


def test_a_later_failure_keeps_the_published_events(bridge):
    """Events of earlier requests are not published again."""
    expect(bridge, None)
    expect(bridge, "InternalFailure")
    assert events.publish(aws.client, "bus", [outcome("a"), outcome("a", execution="e2")]) == 1


def test_a_throttled_call_has_published_nothing(bridge):
    """The whole request is sent again."""
    bridge.add_client_error("put_events", "ThrottlingException", http_status_code=400)
    assert events.publish(aws.client, "bus", [outcome("a")]) == 0


def test_a_refused_call_is_an_error(bridge):
    """A permanent error must appear in the log and in the error metric of the function."""
    bridge.add_client_error("put_events", "AccessDeniedException", http_status_code=400)
    with pytest.raises(aws.AwsError):
        events.publish(aws.client, "bus", [outcome("a")])


def test_a_request_may_be_as_large_as_the_limit(bridge):
    """Two entries that fill the limit exactly are one request; one byte more makes two."""
    # 14 bytes for the time, then source, type and detail:
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
    half = 262_144 // 2 - 14 - len("image-pipeline" + "ImageCompleted")
    expect(bridge, None, None)
    assert events.publish(aws.client, "bus", [outcome("a", "x" * half), outcome("b", "x" * half)]) == 2
    expect(bridge, None)
    expect(bridge, None)
    assert events.publish(aws.client, "bus", [outcome("a", "x" * half), outcome("b", "x" * (half + 1))]) == 2


def test_the_log_contains_the_reason_of_a_failure(bridge, caplog):
    """The log has the code of AWS, for one entry and for a whole request."""
    expect(bridge, None, "InternalFailure")
    bridge.add_client_error("put_events", "ThrottlingException", http_status_code=400)
    events.publish(aws.client, "bus", [outcome("a"), outcome("b")])
    events.publish(aws.client, "bus", [outcome("c")])
    errors = [record.error for record in caplog.records if record.levelname == "WARNING"]
    assert errors == ["InternalFailure", "ThrottlingException"]
    assert [record.event_id for record in caplog.records if record.levelname == "INFO"] == ["1"]
