"""EventBridge: tell outcomes to whoever listens, those of one key in their order."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import boto3

from image_pipeline import aws
from image_pipeline.feeds.outcomes import Outcome
from image_pipeline.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "image-pipeline"

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
MOST_ENTRIES = 10
MOST_BYTES = 262_144  # of a request
_TIME_BYTES = 14


@cache
def _event_bridge() -> "EventBridgeClient":
    return boto3.client("events", config=aws.CLIENT_CONFIG)


def publish(bus: str, outcomes: Sequence[Outcome]) -> int:
    """Publish until one cannot be, so that no outcome of a key overtakes an older one.

    Args:
        bus: the event bus's name.
        outcomes: oldest first.

    Returns:
        How many are published, counted from the first. A few after those may be published, too: publish them again.
    """
    published = 0
    for request in _requests(outcomes):
        through = _put(bus, request)
        published += through
        if through < len(request):
            break
    return published


def _requests(outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
    """Requests within EventBridge's limits; none has a key twice, as one entry may fail and a later one succeed."""
    request: list[Outcome] = []
    for outcome in outcomes:
        full = len(request) == MOST_ENTRIES or sum(map(_bytes, [*request, outcome])) > MOST_BYTES
        if full or outcome.image_key in {each.image_key for each in request}:
            yield request
            request = []
        request.append(outcome)
    if request:
        yield request


def _put(bus: str, request: list[Outcome]) -> int:
    """Publish some; how many, up to the first that failed."""
    try:
        answer = _event_bridge().put_events(
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
    for outcome, entry in zip(request, answer["Entries"], strict=True):
        logger.set_correlation_id(outcome.execution_id)
        if "ErrorCode" in entry:
            logger.warning("outcome not published", error=entry["ErrorCode"])
        else:
            logger.info("outcome published", event_id=entry["EventId"])
    return next((index for index, entry in enumerate(answer["Entries"]) if "ErrorCode" in entry), len(request))


def _bytes(outcome: Outcome) -> int:
    return _TIME_BYTES + len((SOURCE + outcome.detail_type + outcome.detail).encode())
