"""Select the uploads of a backfill, and send them to BatchQueue, never more than its limit."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline import aws
from image_pipeline.errors import REJECTIONS, StorageUnavailableError
from image_pipeline.store import records

COUNT_SECONDS = 30 * 86_400
"""How long the count of a backfill is kept after its last change."""
_MAX_SEND_BATCH = 10  # SQS's limit
_ATTEMPTS = 5
_HAS_RENDITIONS = frozenset({"COMPLETED", "PARTIAL"})


@dataclass(frozen=True)
class ListedObject:
    """One object, as S3 lists it."""

    key: str
    size: int
    """In bytes."""
    changed: float
    """Unix time in seconds."""

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "ListedObject":
        """Create it from an item of a Distributed Map over `listObjectsV2`."""
        return cls(key=item["Key"], size=int(item["Size"]), changed=float(item["LastModified"]))


@dataclass(frozen=True)
class BackfillFilter:
    """The conditions of a backfill; it selects the uploads that meet all of them."""

    changed_since: float = 0
    """Unix time in seconds."""
    recipe_changed: bool = False
    """Only uploads without renditions by the current recipes; this excludes failed uploads."""
    failed_only: bool = False
    """Only uploads that failed for a reason other than the file, including images that were kept when their last
    attempt failed. It excludes rejected files, because they would be rejected again and their owners notified again."""
    rejected_only: bool = False
    """Only rejected files; use after limits or accepted formats changed, or after archived uploads were restored."""

    @classmethod
    def from_json(cls, request: Mapping[str, Any]) -> "BackfillFilter":
        """Create it from the input of the workflow."""
        return cls(
            changed_since=request["changedSince"],
            recipe_changed=request["recipeChanged"],
            failed_only=request["failedOnly"],
            # A backfill that started before a deployment continues with its input, which may lack newer fields.
            rejected_only=request.get("rejectedOnly", False),
        )

    def selects(self, upload: ListedObject, record: Mapping[str, Any], recipe_id: str) -> bool:
        """Return whether to process an upload.

        Args:
            upload: the object.
            record: `status`, `recipeId`, `error` and `lastFailure` of its record; empty when it has none.
            recipe_id: the id of the current recipes for its folder.
        """
        status = record.get("status")
        if upload.changed < self.changed_since or upload.key.endswith("/") or status == "PROCESSING":
            return False
        failure = record.get("error" if status == "FAILED" else "lastFailure", {})
        has_failed = status == "FAILED" or bool(failure)
        is_rejected = failure.get("code") in REJECTIONS
        if (self.failed_only or self.rejected_only) and (not has_failed or is_rejected != self.rejected_only):
            return False
        # An object that S3 lists although its record is DELETED was restored.
        is_outdated = status in (None, "DELETED") or (status in _HAS_RENDITIONS and record.get("recipeId") != recipe_id)
        return is_outdated or not self.recipe_changed


@dataclass(frozen=True)
class BackfillResources:
    """The resources of a stack that a backfill uses."""

    bucket: str
    """The bucket of the uploads."""
    backfill_table: str
    queue_url: str


def select(
    client: aws.Client,
    table: str,
    uploads: Sequence[ListedObject],
    conditions: BackfillFilter,
    recipe_id: Callable[[str], str],
) -> list[ListedObject]:
    """Return the uploads that meet the conditions.

    Args:
        client: returns the client of a service.
        table: the table of the records.
        uploads: the uploads to select from.
        conditions: the conditions of the backfill.
        recipe_id: returns the id of the current recipes for a key.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    items = records.read_many(
        client,
        table,
        [records.item_key(upload.key) for upload in uploads],
        attributes=("ImageKey", "status", "recipeId", "error", "lastFailure"),
    )
    by_key = {item["ImageKey"]: item for item in items}
    return [
        upload for upload in uploads if conditions.selects(upload, by_key.get(upload.key, {}), recipe_id(upload.key))
    ]


def enqueue(
    client: aws.Client,
    resources: BackfillResources,
    backfill_id: str,
    selected: Sequence[ListedObject],
    max_images: int,
) -> Sequence[ListedObject]:
    """Send uploads to BatchQueue for reprocessing, up to the limit of the backfill.

    Args:
        client: returns the client of a service.
        resources: the table of the limit, and the queue.
        backfill_id: the id of the backfill.
        selected: the uploads.
        max_images: the limit of the whole backfill; 0 for no limit.

    Returns:
        The uploads that were sent.

    Raises:
        StorageUnavailableError: AWS did not accept all messages; those that it accepted are processed.
    """
    count = _reserve(
        client, table=resources.backfill_table, backfill_id=backfill_id, count=len(selected), max_images=max_images
    )
    granted = selected[:count]
    bodies = [json.dumps({"bucket": resources.bucket, "key": upload.key, "reprocess": True}) for upload in granted]
    for start in range(0, len(bodies), _MAX_SEND_BATCH):
        _send(client, resources.queue_url, bodies[start : start + _MAX_SEND_BATCH])
    return granted


def _reserve(client: aws.Client, *, table: str, backfill_id: str, count: int, max_images: int) -> int:
    """Reserve up to `count` uploads of the limit, and return how many were reserved.

    The count is one item, and the condition of each update keeps it within the limit. A retry after a lost response
    counts twice, so a backfill may end below its limit, but never exceeds it.
    """
    if not max_images:
        return count
    count = min(count, max_images)
    while count > 0:
        expires = int(time.time()) + COUNT_SECONDS
        try:
            with aws.translate_errors("DynamoDB"):
                client("dynamodb").update_item(
                    TableName=table,
                    Key={"BackfillId": {"S": backfill_id}},
                    UpdateExpression="SET expiresAt = :expires ADD selected :count",
                    ConditionExpression="attribute_not_exists(selected) OR selected <= :room",
                    ExpressionAttributeValues={
                        ":expires": {"N": str(expires)},
                        ":count": {"N": str(count)},
                        ":room": {"N": str(max_images - count)},
                    },
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            return count
        except ClientError as error:
            if aws.code_of(error) != "ConditionalCheckFailedException":
                raise
            count = min(count, max_images - int(error.response["Item"]["selected"]["N"]))  # type: ignore[typeddict-item]
    return 0


def _send(client: aws.Client, queue_url: str, bodies: Sequence[str]) -> None:
    pending = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(0.1 * 2**attempt)
        with aws.translate_errors("SQS"):
            response = client("sqs").send_message_batch(QueueUrl=queue_url, Entries=pending)
        failed_ids = {entry["Id"] for entry in response.get("Failed", ())}
        pending = [entry for entry in pending if entry["Id"] in failed_ids]
        if not pending:
            return
    raise StorageUnavailableError(f"SQS did not accept {len(pending)} messages.", "The workflow tries again.")
