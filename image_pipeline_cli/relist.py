"""Add missing images to the list, and update those that an older version listed."""

from image_pipeline.feeds import indexing
from image_pipeline.store import records
from image_pipeline_cli.stack import Stack


def relist(stack: Stack) -> tuple[int, int]:
    """Read all records. Add those that the list lacks: records older than the list, or all after its loss. Update those
    that a version without folders and renditions listed.

    A record that changes meanwhile is listed again by that change.

    Args:
        stack: The stack whose records are read.

    Returns:
        The number of added or updated images, and the number of all images.

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
            listed += indexing.relist(
                stack.client,
                table=stack.outputs["ListingTableName"],
                image_table=stack.outputs["ImageTableName"],
                record=record,
            )
    return listed, total
