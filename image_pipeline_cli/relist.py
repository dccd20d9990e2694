"""List the images that the listing does not know yet."""

from image_pipeline.feeds import listing
from image_pipeline.store import records
from image_pipeline_cli.stack import Stack


def relist(stack: Stack) -> tuple[int, int]:
    """Read all records, and list those that no change has listed: from before there was a listing, or after its loss.

    Whatever changes meanwhile is listed by its change, which comes after.

    Args:
        stack: Whose records.

    Returns:
        How many images are listed anew, and how many there are.

    Raises:
        botocore.exceptions.ClientError: The table cannot be read.
        StorageUnavailableError: DynamoDB does not answer.
    """
    listed = total = 0
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.outputs["ImageTableName"])
    for item in (item for page in pages for item in page["Items"]):
        record = records.from_item(item)
        if "status" in record:
            total += 1
            listed += listing.apply(stack.client, stack.outputs["ListingTableName"], record["ImageKey"], record, "")
    return listed, total
