"""Times as text: ISO 8601 in UTC with a `Z`, which sorts by time and which Step Functions writes as well."""

from datetime import UTC, datetime


def iso(moment: datetime, timespec: str = "milliseconds") -> str:
    """Format a time in UTC.

    Args:
        moment: a time with an offset, or a time in UTC without one.
        timespec: the last unit, as in `datetime.isoformat`.
    """
    in_utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return in_utc.isoformat(timespec=timespec).replace("+00:00", "Z")


def now() -> str:
    """Return the current time with milliseconds."""
    return iso(datetime.now(UTC))


def age_seconds(start: str, end: datetime) -> int:
    """Return the whole seconds between a time in ISO 8601 and another time."""
    return int((end - datetime.fromisoformat(start)).total_seconds())
