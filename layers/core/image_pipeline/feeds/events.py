"""EventBridge: publish outcomes, those of one key in order."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from image_pipeline import aws
from image_pipeline.feeds.outcomes import OutcomeEvent
from image_pipeline.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "image-pipeline"

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
MAX_ENTRIES = 10
MAX_BYTES = 262_144  # per request
_TIME_BYTES = 14


def publish(client: aws.Client, bus: str, outcomes: Sequence[OutcomeEvent]) -> int:
    """Publish events up to the first failure, so that no outcome of a key overtakes an older one.

    Args:
        client: returns the client of a service.
        bus: the name of the event bus.
        outcomes: the events, oldest first.

    Returns:
        The number of published events before the first failure. Later ones may have been published too; publish them
        again.
    """
    published = 0
    for request in _requests(outcomes):
        count = _put(client, bus, request)
        published += count
        if count < len(request):
            break
    return published


def _requests(outcomes: Sequence[OutcomeEvent]) -> Iterator[list[OutcomeEvent]]:
    """Group events into requests within EventBridge's limits.

    No request contains a key twice, because one entry may fail and a later one succeed.
    """
    request: list[OutcomeEvent] = []
    for outcome in outcomes:
        is_full = len(request) == MAX_ENTRIES or sum(map(_bytes, [*request, outcome])) > MAX_BYTES
        if is_full or outcome.image_key in {included.image_key for included in request}:
            yield request
            request = []
        request.append(outcome)
    if request:
        yield request


def _put(client: aws.Client, bus: str, request: list[OutcomeEvent]) -> int:
    """Send one request, and return the number of events before the first failure."""
    event_bridge: EventBridgeClient = client("events")
    try:
        response = event_bridge.put_events(
            Entries=[
                {
                    "EventBusName": bus,
                    "Source": SOURCE,
                    "DetailType": outcome.detail_type,
                    "Time": datetime.fromisoformat(outcome.time),
                    "Detail": outcome.detail,
                }
                for outcome in request
            ]
        )
    except aws.AwsError as error:
        if not aws.is_transient(error):
            raise
        logger.warning("outcomes not published", error=aws.code_of(error))
        return 0
    for outcome, entry in zip(request, response["Entries"], strict=True):
        logger.set_correlation_id(outcome.execution_id)
        if "ErrorCode" in entry:
            logger.warning("outcome not published", error=entry["ErrorCode"])
        else:
            logger.info("outcome published", event_id=entry["EventId"])
    return next((index for index, entry in enumerate(response["Entries"]) if "ErrorCode" in entry), len(request))


def _bytes(outcome: OutcomeEvent) -> int:
    return _TIME_BYTES + len((SOURCE + outcome.detail_type + outcome.detail).encode())
