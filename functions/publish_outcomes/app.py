"""Publish the outcomes that a batch of changes of records has brought."""

import os
from typing import Any

from image_pipeline import settings
from image_pipeline.feeds import events, outcomes
from image_pipeline.store import records


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    bus, api_url = settings.required(os.environ, "EVENT_BUS", "STATUS_API_URL")
    reached = {}
    for change in event["Records"]:
        outcome = outcomes.reached(*records.changed(change), api_url)
        if outcome:
            reached[change["dynamodb"]["SequenceNumber"]] = outcome
    published = events.publish(bus, list(reached.values()))
    # Lambda comes again with everything from the first of these on.
    return {"batchItemFailures": [{"itemIdentifier": position} for position in list(reached)[published:]]}
