"""The ImageTable item. The workflow claims and fails it directly; here it is completed and read."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from image_pipeline import aws
from image_pipeline.errors import SupersededError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Record = dict[str, Any]

_PREVIOUS = {"status": "previousStatus", "upload": "previousUpload", "execution": "previousExecution"}
"""What a claim replaces, and where it is kept until the outcome."""
INTERNAL_ATTRIBUTES = frozenset(  # not for readers
    {"uploadOrder", "claimShard", "claimedAt", "expiresAt", "recipeId", "reprocessRequestedAt", *_PREVIOUS.values()}
)

_CLAIM_SHARDS = "0123456789abcdef"  # a hexadecimal digit of the key's hash spreads the index over partitions
_CLAIMS_OF_A_SHARD = 100
_HINT = "Look at the health of DynamoDB; once it answers, upload the picture again."


@cache
def _dynamodb() -> "DynamoDBClient":
    return boto3.client("dynamodb", config=aws.CLIENT_CONFIG)


def now() -> str:
    """The time in ISO 8601, UTC, milliseconds, as Step Functions writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def complete(table: str, image_key: str, execution_id: str, fields: Record) -> None:
    """Write the outcome in one step, so that a reader sees all of it or none.

    Doing it again changes nothing, so a retry after a lost answer is safe.

    Args:
        table: the table's name.
        image_key: the record's key.
        execution_id: must still hold the claim.
        fields: top-level attributes; `execution` holds the claim's id as well.

    Raises:
        SupersededError: a newer upload has claimed the record, or it has been settled without this execution.
        StorageUnavailableError: DynamoDB did not answer.
    """
    names = {f"#{index}": name for index, name in enumerate(fields)}
    values = {f":{index}": _attribute(value) for index, value in enumerate(fields.values())}
    assignments = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    try:
        with aws.named_errors("DynamoDB", _HINT):
            _dynamodb().update_item(
                TableName=table,
                Key={"ImageKey": {"S": image_key}},
                UpdateExpression=f"SET {assignments} REMOVE claimShard, claimedAt, {', '.join(_PREVIOUS.values())}",
                # An execution that was aborted is FAILED, although its last step may still be at work.
                ConditionExpression="#claim.id = :claim AND #status <> :failed",
                ExpressionAttributeNames={**names, "#claim": "execution", "#status": "status"},
                ExpressionAttributeValues={**values, ":claim": {"S": execution_id}, ":failed": {"S": "FAILED"}},
            )
    except aws.AwsError as error:
        if aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        raise SupersededError(
            f"The record is no longer claimed by execution {execution_id}.",
            "Nothing to do: the newer upload writes its own outcome.",
        ) from error


def read(table: str, image_key: str) -> Record | None:
    """The record as it is now, as plain JSON; None when the key was never uploaded.

    Raises:
        StorageUnavailableError: DynamoDB did not answer.
    """
    item = _get(table, image_key)
    return item and from_item(item)


def before_claim(table: str, image_key: str) -> Record | None:
    """The record with the outcome that the current claim replaces; None when there is no record.

    The picture stays in the record while another one is made, so this is what a reader saw before.

    Raises:
        StorageUnavailableError: DynamoDB did not answer.
    """
    item = _get(table, image_key)
    if item is None:
        return None
    record = _deserialized(item)
    return record | {name: record[kept] for name, kept in _PREVIOUS.items() if kept in record}


def last_attempt(record: Mapping[str, Any]) -> str | None:
    """The execution that a record tells of last: that of its claim or outcome, or a newer one that failed.

    Args:
        record: `execution` and `lastFailure` of it, as plain JSON.
    """
    failed: str | None = record.get("lastFailure", {}).get("executionId")
    holder: str | None = record.get("execution", {}).get("id")
    return failed or holder


def oldest_claims(table: str) -> list[Record]:
    """The records that have been in PROCESSING for longest, some of each part of the index.

    Returns:
        `ImageKey`, `upload`, `execution` and `claimedAt` of each.

    Raises:
        StorageUnavailableError: DynamoDB did not answer.
    """
    claims: list[Record] = []
    for shard in _CLAIM_SHARDS:
        with aws.named_errors("DynamoDB", _HINT):
            answer = _dynamodb().query(
                TableName=table,
                IndexName="ProcessingIndex",
                KeyConditionExpression="claimShard = :shard",
                ExpressionAttributeValues={":shard": {"S": shard}},
                Limit=_CLAIMS_OF_A_SHARD,
            )
        claims += [_deserialized(item) for item in answer["Items"]]
    return claims


def changed(event: Mapping[str, Any]) -> tuple[Record | None, Record | None]:
    """A record before and after a change, as plain JSON; None where there was or is none.

    Args:
        event: of the table's stream.
    """
    old, new = (event["dynamodb"].get(image) for image in ("OldImage", "NewImage"))
    return old and from_item(old), new and from_item(new)


def age_seconds(since: str, at: datetime) -> int:
    """Seconds from a time in ISO 8601 to another time."""
    return int((at - datetime.fromisoformat(since)).total_seconds())


def _get(table: str, image_key: str) -> Record | None:
    with aws.named_errors("DynamoDB", _HINT):
        answer = _dynamodb().get_item(TableName=table, Key={"ImageKey": {"S": image_key}}, ConsistentRead=True)
    item: Record | None = answer.get("Item")
    return item


def from_item(item: Mapping[str, Any]) -> Record:
    """DynamoDB's typed form → plain JSON, without the attributes that are nobody's business."""
    return {name: value for name, value in _deserialized(item).items() if name not in INTERNAL_ATTRIBUTES}


def _deserialized(item: Mapping[str, Any]) -> Record:
    deserialize = TypeDeserializer().deserialize
    return {name: _plain(deserialize(value)) for name, value in item.items()}


def _attribute(value: Any) -> Any:
    # DynamoDB takes no binary floats; the shortest decimal spelling says the same.
    return TypeSerializer().serialize(json.loads(json.dumps(value), parse_float=Decimal))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
