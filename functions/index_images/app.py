"""Update the listing from a batch of changes of the records."""

import os
from typing import Any

from image_pipeline import aws, settings
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.feeds import indexing
from image_pipeline.observability import logger

client = aws.clients("dynamodb")


def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    (table,) = settings.required(os.environ, "LISTING_TABLE")
    for change in indexing.newest_changes(event["Records"]):
        try:
            indexing.apply_stream_change(client, table, change)
        except StorageUnavailableError as error:
            logger.warning("changes not listed", error=error.message)
            # Lambda delivers this change and all later ones again. They include the newest change of every skipped
            # image.
            return {"batchItemFailures": [{"itemIdentifier": change["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}
