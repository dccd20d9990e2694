"""Process an upload again that has not changed: after a new recipe, a mended deployment, or an outage."""

import json
import uuid
from typing import Any

from botocore.exceptions import ClientError

from cli.stack import Stack


class ReprocessError(Exception):
    """There is nothing to process; the message says why."""


def reprocess(stack: Stack, image_key: str) -> str:
    """Start the workflow for what is under a key now.

    Its event takes the place of the newest that is known of the key, so an upload that comes meanwhile still wins.

    Args:
        stack: Whose upload.
        image_key: Its key, such as `uploads/beach.jpg`.

    Returns:
        The execution's ARN.

    Raises:
        ReprocessError: There is no such object.
        botocore.exceptions.ClientError: AWS refuses.
    """
    bucket = stack.outputs["UploadsBucketName"]
    try:
        head = stack.client("s3").head_object(Bucket=bucket, Key=image_key)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        raise ReprocessError(f"There is no {image_key!a} in the bucket {bucket}: upload it first.") from None
    item = stack.client("dynamodb").get_item(
        TableName=stack.outputs["ImageTableName"], Key={"ImageKey": {"S": image_key}}, ConsistentRead=True
    )
    order = item["Item"]["uploadOrder"]["S"] if "Item" in item else "0"
    answer = stack.client("stepfunctions").start_execution(
        stateMachineArn=stack.outputs["ProcessImageStateMachineArn"],
        name=f"reprocess_{uuid.uuid4()}",
        input=json.dumps(_event(bucket, image_key, head, order)),
    )
    arn: str = answer["executionArn"]
    return arn


def _event(bucket: str, image_key: str, head: dict[str, Any], order: str) -> dict[str, Any]:
    """S3's own event for this object, had it been uploaded when the newest known event happened."""
    version = {"version-id": head["VersionId"]} if "VersionId" in head else {}
    return {
        "detail-type": "Object Created",
        "time": head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {
            "bucket": {"name": bucket},
            "object": {
                "key": image_key,
                "size": head["ContentLength"],
                "etag": head["ETag"].strip('"'),
                "sequencer": order,
                **version,
            },
            "reprocess": True,
        },
    }
