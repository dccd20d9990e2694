"""Choose the uploads of a backfill, and put them on BatchQueue; never more than its limit."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from image_pipeline import aws
from image_pipeline.errors import REJECTIONS, StorageUnavailableError

KEPT_SECONDS = 30 * 86_400
"""How long the count of a backfill stays, from its last change."""
MOST_AT_ONCE = 100
"""Uploads that are looked at together: DynamoDB's limit."""
_SEND_AT_ONCE = 10  # SQS's limit
_ATTEMPTS = 5
_SHOWN = frozenset({"COMPLETED", "PARTIAL"})


@dataclass(frozen=True)
class Listed:
    """One object, as S3 lists it."""

    key: str
    size: int
    """Bytes."""
    changed: float
    """Seconds since 1970."""

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> "Listed":
        """From an item of a Distributed Map over `listObjectsV2`."""
        return cls(item["Key"], int(item["Size"]), float(item["LastModified"]))


@dataclass(frozen=True)
class Filter:
    """Which uploads are chosen: those that pass every part."""

    changed_since: float = 0
    """Seconds since 1970."""
    recipe_changed: bool = False
    """Only what has no renditions by today's recipes; what failed is not among them."""
    failed_only: bool = False
    """Only what failed through no fault of the file: a rejected file is rejected again, and its owner told again. A
    picture that was kept when its last attempt failed is among them."""
    rejected_only: bool = False
    """Only what failed through the file's own fault, for when that is none any more: limits or formats have changed, or
    an archived upload was restored."""

    @classmethod
    def from_json(cls, asked: Mapping[str, Any]) -> "Filter":
        """From the input of the workflow."""
        # A backfill that was under way before a deployment goes on as it began, and may know less than this.
        return cls(asked["changedSince"], asked["recipeChanged"], asked["failedOnly"], asked.get("rejectedOnly", False))

    def chooses(self, listed: Listed, record: Mapping[str, Any], recipe_id: str) -> bool:
        """Whether an upload is to be processed.

        Args:
            listed: the object.
            record: `status`, `recipeId` and the codes of `error` and `lastFailure` of its record; empty without one.
            recipe_id: of today's recipes for its folder.
        """
        status = record.get("status")
        if listed.changed < self.changed_since or listed.key.endswith("/") or status == "PROCESSING":
            return False
        code = record.get("error") if status == "FAILED" else record.get("lastFailure")
        failed, rejected = status == "FAILED" or code is not None, code in REJECTIONS
        if (self.failed_only or self.rejected_only) and (not failed or rejected != self.rejected_only):
            return False
        # What a deletion has recorded and S3 lists has been restored.
        fresh = status in (None, "DELETED") or (status in _SHOWN and record.get("recipeId") != recipe_id)
        return fresh or not self.recipe_changed


@dataclass(frozen=True)
class Stack:
    """Where everything is."""

    bucket: str
    """Of the uploads."""
    image_table: str
    backfill_table: str
    queue_url: str


def select(
    client: aws.Client, table: str, listed: Sequence[Listed], wanted: Filter, recipe_id: Callable[[str], str]
) -> list[Listed]:
    """Choose among at most a hundred uploads by what their records say; among none, ask nobody.

    Args:
        client: gives clients.
        table: of the records.
        listed: the uploads.
        wanted: the choice.
        recipe_id: tells the id of today's recipes for a key.

    Raises:
        StorageUnavailableError: DynamoDB did not answer, or not to all.
    """
    found = _records(client, table, [each.key for each in listed]) if listed else {}
    return [each for each in listed if wanted.chooses(each, found.get(each.key, {}), recipe_id(each.key))]


def enqueue(
    client: aws.Client, stack: Stack, backfill_id: str, chosen: Sequence[Listed], most: int
) -> Sequence[Listed]:
    """Put uploads on BatchQueue, to be processed although they have been, as far as the limit allows.

    Args:
        client: gives clients.
        stack: where everything is.
        backfill_id: whose limit.
        chosen: the uploads.
        most: uploads of this backfill in all; 0 for no limit.

    Returns:
        Those that were put there.

    Raises:
        StorageUnavailableError: AWS did not take all; what it has taken is processed all the same.
    """
    granted = chosen[: _reserve(client, stack.backfill_table, backfill_id, len(chosen), most)]
    bodies = [json.dumps({"bucket": stack.bucket, "key": each.key, "reprocess": True}) for each in granted]
    for start in range(0, len(bodies), _SEND_AT_ONCE):
        _send(client, stack.queue_url, bodies[start : start + _SEND_AT_ONCE])
    return granted


def _records(client: aws.Client, table: str, keys: Sequence[str]) -> dict[str, dict[str, str]]:
    wanted: dict[str, Any] = {
        table: {
            "Keys": [{"ImageKey": {"S": key}} for key in keys],
            "ProjectionExpression": "ImageKey, #status, recipeId, #error.#code, lastFailure.#code",
            "ExpressionAttributeNames": {"#status": "status", "#error": "error", "#code": "code"},
        }
    }
    found: list[Any] = []
    for seconds in _pauses():
        with aws.named_errors("DynamoDB"):
            answer = client("dynamodb").batch_get_item(RequestItems=wanted)
        found += answer["Responses"][table]
        wanted = answer.get("UnprocessedKeys", {})
        if not wanted:
            return {item["ImageKey"]["S"]: _texts(item) for item in found}
        time.sleep(seconds)
    raise StorageUnavailableError("DynamoDB did not give all records.", "It is tried again.")


def _reserve(client: aws.Client, table: str, backfill_id: str, count: int, most: int) -> int:
    """Take as many as there is still room for.

    The count is one item, changed on the condition that it stays within the limit. What is done twice after a lost
    answer counts twice, so the limit may be reached too early and never too late.
    """
    if not most:
        return count
    count = min(count, most)
    while count > 0:
        expires = int(time.time()) + KEPT_SECONDS
        try:
            with aws.named_errors("DynamoDB"):
                client("dynamodb").update_item(
                    TableName=table,
                    Key={"BackfillId": {"S": backfill_id}},
                    UpdateExpression="SET expiresAt = :expires ADD selected :count",
                    ConditionExpression="attribute_not_exists(selected) OR selected <= :room",
                    ExpressionAttributeValues={
                        ":expires": {"N": str(expires)},
                        ":count": {"N": str(count)},
                        ":room": {"N": str(most - count)},
                    },
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            return count
        except ClientError as error:
            if aws.code_of(error) != "ConditionalCheckFailedException":
                raise
            count = min(count, most - int(error.response["Item"]["selected"]["N"]))  # type: ignore[typeddict-item]
    return 0


def _send(client: aws.Client, queue_url: str, bodies: Sequence[str]) -> None:
    left = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    for seconds in _pauses():
        with aws.named_errors("SQS"):
            answer = client("sqs").send_message_batch(QueueUrl=queue_url, Entries=left)
        failed = {each["Id"] for each in answer.get("Failed", ())}
        left = [entry for entry in left if entry["Id"] in failed]
        if not left:
            return
        time.sleep(seconds)
    raise StorageUnavailableError(f"SQS did not take {len(left)} messages.", "It is tried again.")


def _pauses() -> Iterable[float]:
    """Seconds after each attempt."""
    return (0.2 * 2**number for number in range(_ATTEMPTS))


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    codes = {name: item.get(name, {}).get("M", {}).get("code", {}) for name in ("error", "lastFailure")}
    found = {**item, **codes}
    names = "status", "recipeId", "error", "lastFailure"
    return {name: found[name]["S"] for name in names if "S" in found.get(name, {})}
