"""List the images that the listing does not know yet."""

from cli.stack import Stack
from image_pipeline.feeds import indexing
from image_pipeline.store import records


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
            listed += indexing.apply(
                stack.client,
                table=stack.outputs["ListingTableName"],
                image_key=record["ImageKey"],
                record=record,
                order="",
            )
    return listed, total
