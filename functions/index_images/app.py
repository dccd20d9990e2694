"""Keep the listing as a batch of changes of records has left them."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.feeds import listing
from image_pipeline.observability import logger


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    (table,) = settings.required(os.environ, "LISTING_TABLE")
    for change in listing.newest(event["Records"]):
        try:
            listing.follow(aws.client, table, change)
        except StorageUnavailableError as error:
            logger.warning("changes not listed", error=error.message)
            # Lambda comes again with everything from here on. What was passed over before has its newest change there.
            return {"batchItemFailures": [{"itemIdentifier": change["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
