"""Publish the outcomes in a batch of changes of the records."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.feeds import events, outcomes
from image_pipeline.store import records

client = aws.clients("events")


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    bus, api_url = settings.required(os.environ, "EVENT_BUS", "STATUS_API_URL")
    release = settings.release(os.environ)
    outcome_events = {}
    for change in event["Records"]:
        old, new = records.before_and_after(change)
        if outcome_event := outcomes.event_of_change(old, new, api_url, release):
            outcome_events[change["dynamodb"]["SequenceNumber"]] = outcome_event
    published = events.publish(client, bus, list(outcome_events.values()))
    # Lambda delivers the changes from the first of these again.
    return {"batchItemFailures": [{"itemIdentifier": number} for number in list(outcome_events)[published:]]}
