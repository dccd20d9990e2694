"""The list of images, newest first: an index of the records, kept from the changes of their table.

Each image has an entry in every view that shows it (`all`, `status=FAILED`, `label=dog`), and a ledger: which change
was the last that counted, and where the entries are. A change is one transaction, on the condition that the ledger is
still the one it was worked out from. So an image is listed as it was after some change of it, never between two; and a
change that comes twice, late, or beside another one undoes nothing that is newer.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from image_pipeline import aws, keys, records
from image_pipeline.errors import InvalidRequestError, StorageUnavailableError

STATUSES = ("PROCESSING", "COMPLETED", "PARTIAL", "FAILED", "DELETED")
MOST_IMAGES = 100  # of a page
USUAL_IMAGES = 50
# A change removes as many entries as it writes, at worst, and a transaction has at most a hundred items:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MOST_LABELS = 40
_LABEL_CHARACTERS = 200  # far more than any has; a partition's name has room for 2,048 bytes
# Every image is written into the view of all, and a partition takes 1,000 write units a second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
_SHARDS = 4

_PARAMETERS = frozenset({"status", "label", "from", "to", "limit", "cursor"})

_LEDGER_SECONDS = 2 * 86_400  # for which an image that is gone is remembered: a stream has changes of one day
_ATTEMPTS = 5
_FASTER_CODES = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_BUSY_CODES = frozenset({"ProvisionedThroughputExceeded", "ThrottlingError"})

_VIEW, _POSITION = "ViewShard", "ListPosition"  # the table's key
_ORDER_NAME = {"#order": "order"}
_POSITION_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9a-f]{64}")
_EARLIEST, _LATEST = "0", ":"  # no position is before or after
_BEGINNING = "1970-01-01T00:00:00.000Z"

Json = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """An image as it is listed."""

    position: str
    """Sorts by the time of the upload, then by the key's digest: a key may be as long as all that DynamoDB sorts by."""
    views: tuple[str, ...]
    summary: Json


@dataclass(frozen=True)
class Filter:
    """Which images are listed; make it with `filtered`."""

    status: str | None = None
    label: str | None = None
    """Case-folded."""
    since: str | None = None
    """Uploaded then or later; in ISO 8601, UTC, milliseconds, as all times here."""
    until: str | None = None
    """Uploaded before."""

    @property
    def view(self) -> str:
        """The smallest view that has them all."""
        return _label_view(self.label) if self.label else f"status={self.status}" if self.status else "all"

    @property
    def digest(self) -> str:
        """Differs from that of any other filter."""
        return hashlib.sha256(json.dumps(astuple(self)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Page:
    """Some images, newest first."""

    images: list[Json]
    cursor: str | None
    """For the next page; None at the end. A page may be short, even empty, and not be the last."""


def filtered(
    status: str | None = None, label: str | None = None, since: str | None = None, until: str | None = None
) -> Filter:
    """Check what somebody wants to see; None stands for no condition.

    Args:
        status: one of `STATUSES`.
        label: in any case.
        since: in ISO 8601; without an offset it is in UTC, without a time it is midnight.
        until: as `since`, and itself not included.

    Raises:
        InvalidRequestError: naming the first that cannot be.
    """
    if status is not None and status not in STATUSES:
        raise InvalidRequestError(f"There is no status {status[:80]!r}.", f"Ask for one of {', '.join(STATUSES)}.")
    if label is not None and not 0 < len(label) <= _LABEL_CHARACTERS:
        raise InvalidRequestError("The label is empty or longer than any.", "Ask for a word such as Dog.")
    wanted = Filter(status, label and label.casefold(), _bound("from", since), _bound("to", until))
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise InvalidRequestError(
            f"Nothing is both from {wanted.since} on and before {wanted.until}.", "Put `from` before `to`."
        )
    return wanted


def asked(parameters: Mapping[str, str]) -> tuple[Filter, int, str | None]:
    """What the query of `GET /images` asks for: which images, how many for a page, and after which page.

    Raises:
        InvalidRequestError: a parameter is not known, or cannot be what it is.
    """
    if unknown := sorted(parameters.keys() - _PARAMETERS):
        raise InvalidRequestError(
            f"There is no parameter {unknown[0][:80]!r}.", f"The parameters are {', '.join(sorted(_PARAMETERS))}."
        )
    limit = parameters.get("limit", str(USUAL_IMAGES))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 9):
        raise InvalidRequestError(f"The limit {limit[:80]!r} is no number.", f"Ask for 1 to {MOST_IMAGES} images.")
    wanted = filtered(*map(parameters.get, ("status", "label", "from", "to")))
    return wanted, int(limit), parameters.get("cursor")


def entry(record: records.Record) -> Entry:
    """Where and how an image is listed.

    While an upload is processed, the picture before it stands for it, as in its status. What was deleted is in the view
    of its status and in no other.

    Args:
        record: as plain JSON.
    """
    image_key, status = record["ImageKey"], record["status"]
    upload, image, labels = record.get("upload", {}), record.get("image", {}), record.get("labels", [])
    renditions = record.get("renditions", [])
    names = list(dict.fromkeys(label["name"] for label in labels))[:MOST_LABELS]
    summary = {
        "imageKey": image_key,
        "status": status,
        "uploadedAt": upload.get("uploadedAt"),
        "sizeBytes": upload.get("sizeBytes"),
        "format": image.get("format"),
        "width": image.get("width"),
        "height": image.get("height"),
        "thumbhash": record.get("summary", {}).get("thumbhash"),
        "rendition": min(renditions, key=_area)["name"] if renditions else None,
        "labels": names,
        "error": record.get("error", {}).get("code"),
    }
    views = [f"status={status}"]
    if status != "DELETED":
        views += ["all", *dict.fromkeys(map(_label_view, names))]
    position = f"{_uploaded(record)}#{_digest(image_key)}"
    return Entry(position, tuple(views), {name: value for name, value in summary.items() if value is not None})


def follow(client: aws.Client, table: str, change: Mapping[str, Any]) -> bool:
    """Do for a change of the records' stream what `apply` does.

    Within a stream, DynamoDB numbers the changes of an item in their order; a newer stream has a later label. An item
    without a status is no record, whoever wrote it, and must not hold up those that are.

    Args:
        client: gives clients.
        table: of the listing.
        change: as Lambda hands it over.

    Raises:
        StorageUnavailableError: as `apply`.
    """
    image_key = change["dynamodb"]["Keys"]["ImageKey"]["S"]
    _, record = records.changed(change)
    label = change["eventSourceARN"].rpartition("/stream/")[2]
    listed = record if record and "status" in record else None
    return apply(client, table, image_key, listed, f"{label}/{change['dynamodb']['SequenceNumber']:0>40}")


def apply(client: aws.Client, table: str, image_key: str, record: records.Record | None, order: str) -> bool:
    """List an image as a change has left it, unless a newer change is known.

    Args:
        client: gives clients.
        table: of the listing.
        image_key: the image.
        record: after the change; None when it is gone.
        order: of the change among those of this image, as text that sorts. The empty text comes before all others: it
            lists what is not yet known, for whoever builds the listing anew.

    Returns:
        Whether this has changed the listing.

    Raises:
        StorageUnavailableError: DynamoDB did not answer, or others change this image all the time.
    """
    for _ in range(_ATTEMPTS):
        ledger = _ledger(client, table, image_key)
        if ledger and ledger["order"] >= order:
            return False
        if _written(client, _writes(table, image_key, record, order, ledger)):
            return True
    raise StorageUnavailableError("An image's entries were changed by others all the time.", "Try again.")


def query(client: aws.Client, table: str, wanted: Filter, limit: int = USUAL_IMAGES, cursor: str | None = None) -> Page:
    """List images, newest first.

    What it reads is bounded by `limit`, whatever is in the table: with a label and a status, a page may be short.

    Args:
        client: gives clients.
        table: of the listing.
        wanted: which images.
        limit: most images of the page, from 1 to `MOST_IMAGES`.
        cursor: of the page before, which had the same filter; None for the first page.

    Raises:
        InvalidRequestError: the limit is out of range, or the cursor is of no such page.
        StorageUnavailableError: DynamoDB did not answer.
    """
    if not 1 <= limit <= MOST_IMAGES:
        raise InvalidRequestError(f"A page has from 1 to {MOST_IMAGES} images, not {limit}.", "Choose another limit.")
    after = _after(cursor, wanted) if cursor is not None else None
    found: list[Json] = []
    seen_to = ""  # from the newest down to here, nothing that is wanted is missing
    for shard in range(_SHARDS):
        items, reached = _newest(client, table, f"{wanted.view}#{shard}", wanted, limit, after)
        found += items
        seen_to = max(seen_to, reached)
    found = sorted((item for item in found if item[_POSITION] >= seen_to), key=itemgetter(_POSITION), reverse=True)
    rest = found[limit - 1][_POSITION] if len(found) > limit else seen_to
    return Page([_told(item) for item in found[:limit]], _cursor(rest, wanted) if rest else None)


def _newest(
    client: aws.Client, table: str, view_shard: str, wanted: Filter, limit: int, after: str | None
) -> tuple[list[Json], str]:
    """Entries of one partition, and how far down it has been read; the empty text at its end."""
    values = {":view": view_shard, ":since": wanted.since or _EARLIEST, ":until": wanted.until or _LATEST}
    more: Json = {}
    if wanted.label and wanted.status:
        values[":status"] = wanted.status
        more = {"FilterExpression": "#status = :status", "ExpressionAttributeNames": {"#status": "status"}}
    if after is not None:
        more["ExclusiveStartKey"] = _key(view_shard, after)
    with aws.named_errors("DynamoDB"):
        answer = client("dynamodb").query(
            TableName=table,
            KeyConditionExpression=f"{_VIEW} = :view AND {_POSITION} BETWEEN :since AND :until",
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ScanIndexForward=False,
            Limit=limit,
            **more,
        )
    reached = answer.get("LastEvaluatedKey", {}).get(_POSITION, {}).get("S", "")
    return [records.from_item(item) for item in answer["Items"]], reached


def _told(item: Json) -> Json:
    image_key = item["imageKey"]
    told = {name: value for name, value in item.items() if name not in (_VIEW, _POSITION)}
    told["statusPath"] = keys.status_path(image_key)
    if "rendition" in item:
        told["renditionPath"] = keys.rendition_path(image_key, item["rendition"])
    return told


def _ledger(client: aws.Client, table: str, image_key: str) -> Json | None:
    with aws.named_errors("DynamoDB"):
        answer = client("dynamodb").get_item(TableName=table, Key=_ledger_key(image_key), ConsistentRead=True)
    return records.from_item(answer["Item"]) if "Item" in answer else None


def _ledger_key(image_key: str) -> Json:
    return _key(f"ledger={_digest(image_key)}", "-")


def _writes(table: str, image_key: str, record: records.Record | None, order: str, ledger: Json | None) -> list[Json]:
    """One transaction: the ledger, what is listed now, and what was and is no more."""
    now = entry(record) if record else Entry("", (), {})
    listed = [_key(each, now.position) for each in _partitions(image_key, now.views)]
    before = [_key(each, ledger["position"]) for each in _partitions(image_key, ledger["views"])] if ledger else []
    kept: Json = {"order": order, "position": now.position, "views": list(now.views)}
    if record is None:
        kept["expiresAt"] = int(time.time()) + _LEDGER_SECONDS
    as_known: Json = {"ConditionExpression": "attribute_not_exists(#order)", "ExpressionAttributeNames": _ORDER_NAME}
    if ledger:
        as_known["ConditionExpression"] = "#order = :known"
        as_known["ExpressionAttributeValues"] = {":known": {"S": ledger["order"]}}
    return [
        {"Put": {"TableName": table, "Item": {**_ledger_key(image_key), **_attributes(kept)}, **as_known}},
        *({"Put": {"TableName": table, "Item": {**key, **_attributes(now.summary)}}} for key in listed),
        *({"Delete": {"TableName": table, "Key": key}} for key in before if key not in listed),
    ]


def _written(client: aws.Client, writes: list[Json]) -> bool:
    """Write all or nothing; False when somebody else was faster."""
    try:
        with aws.named_errors("DynamoDB"):
            client("dynamodb").transact_write_items(TransactItems=writes)
    except ClientError as error:
        reasons: Any = error.response.get("CancellationReasons", [])
        codes = {reason.get("Code", "None") for reason in reasons} - {"None"}
        if codes and codes <= _FASTER_CODES:
            return False
        if codes and codes <= _FASTER_CODES | _BUSY_CODES:
            raise StorageUnavailableError("DynamoDB did not take the entries: it is busy.", "Try again.") from error
        raise
    return True


def _partitions(image_key: str, views: Iterable[str]) -> list[str]:
    shard = int(_digest(image_key), 16) % _SHARDS
    return [f"{view}#{shard}" for view in views]


def _key(view_shard: str, position: str) -> Json:
    return {_VIEW: {"S": view_shard}, _POSITION: {"S": position}}


def _attributes(values: Json) -> Json:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in values.items()}


def _digest(image_key: str) -> str:
    return hashlib.sha256(image_key.encode()).hexdigest()


def _label_view(label: str) -> str:
    return f"label={label.casefold()}"


def _area(rendition: Json) -> int:
    area: int = rendition["width"] * rendition["height"]
    return area


def _uploaded(record: records.Record) -> str:
    """When it was uploaded; of what was deleted before it was ever seen, when that was."""
    for given in (record.get("upload", {}).get("uploadedAt"), record.get("createdAt")):
        with suppress(ValueError, OverflowError):
            return _instant(given or "")
    return _BEGINNING


def _instant(given: str) -> str:
    moment = datetime.fromisoformat(given)
    in_utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return in_utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bound(name: str, given: str | None) -> str | None:
    if given is None:
        return None
    try:
        return _instant(given)
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"`{name}` is {given[:80]!r}, which is no time in ISO 8601.",
            "Write it like 2026-11-21 or 2026-11-21T12:00:00Z; in a URL, the + of an offset is %2B.",
        ) from error


def _cursor(position: str, wanted: Filter) -> str:
    return base64.urlsafe_b64encode(f"{wanted.digest}{position}".encode()).decode().rstrip("=")


def _after(cursor: str, wanted: Filter) -> str:
    """The position from which a page goes on."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        text = ""
    position = text.removeprefix(wanted.digest)
    inside = (wanted.since or _EARLIEST) <= position <= (wanted.until or _LATEST)
    if not (text.startswith(wanted.digest) and _POSITION_FORM.fullmatch(position) and inside):
        raise InvalidRequestError(
            "The cursor is not of a page with these conditions.",
            "Send it as it came, with the same conditions, or leave it out to begin anew.",
        )
    return position
