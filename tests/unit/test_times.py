"""image_pipeline.times"""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from image_pipeline import times


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 21, 12, tzinfo=UTC), "2026-11-21T12:00:00.000Z"),
        (datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=UTC), "2026-11-21T12:00:00.999Z"),
        (datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-20T23:00:00.000Z"),
        (datetime(2026, 11, 21, 12), "2026-11-21T12:00:00.000Z"),  # noqa: DTZ001 (a time without an offset)
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(moment, text):
    """Texts sort by time, and equal the texts that Step Functions writes."""
    assert times.iso(moment) == text


def test_a_time_may_have_whole_seconds():
    """Some documented fields have no fraction."""
    assert times.iso(datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC), "seconds") == "2026-11-21T12:00:00Z"


def test_the_current_time_is_in_utc():
    """The time zone of the machine does not matter."""
    assert abs(datetime.fromisoformat(times.now()) - datetime.now(UTC)) < timedelta(minutes=1)
    assert times.now().endswith("Z")


def test_an_age_has_whole_seconds():
    """A fraction of a second is cut off."""
    end = datetime(2026, 11, 21, 12, 1, tzinfo=UTC)
    assert times.age_seconds("2026-11-21T12:00:00.500Z", end) == 59
