"""Complete and read the items of ImageTable. The workflow claims records and marks them FAILED without Lambda."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from image_pipeline import aws
from image_pipeline.errors import StorageUnavailableError, SupersededError
from image_pipeline.store.attributes import from_attributes, to_attribute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Record = dict[str, Any]
Key = dict[str, Any]
"""The primary key of an item, in DynamoDB's typed form."""

_PREVIOUS = {"status": "previousStatus", "upload": "previousUpload", "execution": "previousExecution"}
"""The attributes that a claim replaces, and the names under which it keeps their old values until the outcome."""
CHOSEN_FOCUS = "chosenFocus"
"""The attribute with the point that somebody chose for an upload; `focus` is the point of the renditions."""
INTERNAL_ATTRIBUTES = frozenset(  # never returned to readers
    {
        "uploadOrder",
        "claimShard",
        "claimedAt",
        "expiresAt",
        "recipeId",
        "reprocessRequestedAt",
        CHOSEN_FOCUS,
        *_PREVIOUS.values(),
    }
)

_CLAIM = ("upload", "uploadOrder", "execution", "status", "lastFailure")
_CLAIM_SHARDS = "0123456789abcdef"  # a hexadecimal digit of the key's hash spreads the index over partitions
_MAX_CLAIMS_PER_SHARD = 100
_MAX_BATCH = 100  # keys in a BatchGetItem request
_BATCH_ATTEMPTS = 5
_HINT = "Check the health of DynamoDB; when it has recovered, upload the image again."


def item_key(image_key: str) -> Key:
    """Return the primary key of an upload's record."""
    return {"ImageKey": {"S": image_key}}


def complete(client: aws.Client, *, table: str, image_key: str, execution_id: str, fields: Record) -> None:
    """Write the outcome in one request, so that a reader never sees a part of it.

    The write is idempotent, so a retry after a lost response is safe.

    Args:
        client: returns the client of a service.
        table: the table of the records.
        image_key: the key of the record.
        execution_id: the execution that must still hold the claim.
        fields: top-level attributes; `execution` contains the id of the claim as well.

    Raises:
        SupersededError: a newer upload has claimed the record, or it was settled without this execution.
        StorageUnavailableError: DynamoDB was not available.
    """
    dynamodb: DynamoDBClient = client("dynamodb")
    names = {f"#{index}": name for index, name in enumerate(fields)}
    values = {f":{index}": to_attribute(value) for index, value in enumerate(fields.values())}
    assignments = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    try:
        with aws.translate_errors("DynamoDB", _HINT):
            dynamodb.update_item(
                TableName=table,
                Key=item_key(image_key),
                UpdateExpression=f"SET {assignments} REMOVE claimShard, claimedAt, {', '.join(_PREVIOUS.values())}",
                # An aborted execution has been marked FAILED, although its last step may still be running.
                ConditionExpression="#claim.id = :claim AND #status <> :failed",
                ExpressionAttributeNames={**names, "#claim": "execution", "#status": "status"},
                ExpressionAttributeValues={**values, ":claim": {"S": execution_id}, ":failed": {"S": "FAILED"}},
            )
    except aws.AwsError as error:
        if aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        raise SupersededError(
            f"Execution {execution_id} no longer holds the claim of the record.",
            "Nothing to do: the newer upload writes its own outcome.",
        ) from error


def read(client: aws.Client, *, table: str, image_key: str) -> Record | None:
    """Return the current record as plain JSON; None when the key was never uploaded.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    item = _get(client, table=table, image_key=image_key)
    return item and from_item(item)


def read_before_claim(client: aws.Client, *, table: str, image_key: str) -> Record | None:
    """Return the record with the outcome that the current claim replaces; None when there is no record.

    The image stays in the record while the new upload is processing, so this is the record that readers saw before.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    item = _get(client, table=table, image_key=image_key)
    if item is None:
        return None
    record = from_attributes(item)
    return record | {name: record[attribute] for name, attribute in _PREVIOUS.items() if attribute in record}


def read_claim(client: aws.Client, *, table: str, image_key: str) -> Record:
    """Return `upload`, `uploadOrder`, `execution`, `status` and `lastFailure` of a record; empty when there is no
    record.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    record = from_attributes(_get(client, table=table, image_key=image_key) or {})
    return {name: record[name] for name in _CLAIM if name in record}


def read_many(
    client: aws.Client,
    table: str,
    item_keys: Sequence[Key],
    *,
    attributes: Sequence[str] = (),
    consistent: bool = False,
    pause: Callable[[float], None] | None = None,
) -> list[Record]:
    """Read items by their keys, as plain JSON with all attributes. Keys without an item are left out.

    DynamoDB may leave keys unprocessed. They are requested again with exponential backoff, as AWS advises.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html

    Args:
        client: returns the client of a service.
        table: any table.
        item_keys: different keys of items.
        attributes: top-level attributes to read; all when empty.
        consistent: whether to see every earlier write, at twice the price.
        pause: waits for some seconds; None for `time.sleep`.

    Raises:
        StorageUnavailableError: DynamoDB was not available, or left keys unprocessed in every attempt.
    """
    names = {f"#{index}": name for index, name in enumerate(attributes)}
    projection: dict[str, Any] = (
        {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names} if names else {}
    )
    items: list[Any] = []
    for start in range(0, len(item_keys), _MAX_BATCH):
        pending: Any = {
            table: {"Keys": item_keys[start : start + _MAX_BATCH], "ConsistentRead": consistent, **projection}
        }
        for attempt in range(_BATCH_ATTEMPTS):
            if attempt:
                (pause or time.sleep)(0.1 * 2**attempt)
            with aws.translate_errors("DynamoDB", _HINT):
                response = client("dynamodb").batch_get_item(RequestItems=pending)
            items += response["Responses"].get(table, ())
            pending = response.get("UnprocessedKeys")
            if not pending:
                break
        else:
            raise StorageUnavailableError("DynamoDB is busy and did not return all items.", "Try again.")
    return [from_attributes(item) for item in items]


def last_attempt(record: Mapping[str, Any]) -> str | None:
    """Return the newest execution that a record names: the one of its claim or outcome, or a newer one that failed.

    Args:
        record: `execution` and `lastFailure` of the record, as plain JSON.
    """
    failed: str | None = record.get("lastFailure", {}).get("executionId")
    holder: str | None = record.get("execution", {}).get("id")
    return failed or holder


def oldest_claims(client: aws.Client, table: str) -> list[Record]:
    """Return the records that have been in PROCESSING for the longest time, some from each shard of the index.

    Returns:
        `ImageKey`, `upload`, `execution` and `claimedAt` of each record.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    dynamodb: DynamoDBClient = client("dynamodb")
    claims: list[Record] = []
    for shard in _CLAIM_SHARDS:
        with aws.translate_errors("DynamoDB", _HINT):
            response = dynamodb.query(
                TableName=table,
                IndexName="ProcessingIndex",
                KeyConditionExpression="claimShard = :shard",
                ExpressionAttributeValues={":shard": {"S": shard}},
                Limit=_MAX_CLAIMS_PER_SHARD,
            )
        claims += [from_attributes(item) for item in response["Items"]]
    return claims


def before_and_after(change: Mapping[str, Any]) -> tuple[Record | None, Record | None]:
    """Return a record before and after a change, as plain JSON; None where there was or is no record.

    Args:
        change: an event of the table's stream.
    """
    old, new = (change["dynamodb"].get(image) for image in ("OldImage", "NewImage"))
    return old and from_item(old), new and from_item(new)


def from_item(item: Mapping[str, Any]) -> Record:
    """Convert DynamoDB's typed form to plain JSON, without internal attributes."""
    return public_attributes(from_attributes(item))


def public_attributes(record: Mapping[str, Any]) -> Record:
    """Return a record without internal attributes."""
    return {name: value for name, value in record.items() if name not in INTERNAL_ATTRIBUTES}


def _get(client: aws.Client, *, table: str, image_key: str) -> Record | None:
    dynamodb: DynamoDBClient = client("dynamodb")
    with aws.translate_errors("DynamoDB", _HINT):
        response = dynamodb.get_item(TableName=table, Key=item_key(image_key), ConsistentRead=True)
    item: Record | None = response.get("Item")
    return item
