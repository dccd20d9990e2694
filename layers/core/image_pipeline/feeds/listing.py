"""The list of images, newest first: an index of the records, kept from the changes of their table.

Each image has a ledger: which change was the last that counted, how it left the image, and where that is listed. Each
place of it, one in every view that shows the image (`all`, `status=FAILED`, `label=dog`), has an entry, which says no
more than that there is a ledger to look at: a page finds entries and tells what their ledgers say. So an image is
listed as it was after some change of it, never between two, though every write is one of its own. A change

1. puts the entries that the ledger does not have yet, each unless a newer change has put it;
2. writes the ledger, on the condition that it is still the one that was read;
3. removes the entries that the ledger had and has no more, each unless a newer change has put it.

What a ledger has is there: an entry is removed only for a ledger without it, and before a later one had it again, it
was put again, as newer than what that one removes. An entry that no ledger has, of a change that came late or was
interrupted, is told by no page, and goes when the change comes again. docs/adr/0017 has the argument.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import ClientError

from image_pipeline import aws, keys
from image_pipeline.errors import InvalidRequestError, StorageUnavailableError
from image_pipeline.store import records

STATUSES = ("PROCESSING", "COMPLETED", "PARTIAL", "FAILED", "DELETED")
MOST_IMAGES = 100  # of a page
USUAL_IMAGES = 50
MOST_LABELS = 40  # of an image: each is an entry, which costs a write
_LABEL_CHARACTERS = 200  # far more than any has; a partition's name has room for 2,048 bytes
# Every image is written into the view of all, and a partition takes 1,000 write units a second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
_SHARDS = 4

_PARAMETERS = frozenset({"status", "label", "from", "to", "limit", "cursor"})

_LEDGER_SECONDS = 2 * 86_400  # for which an image that is gone is remembered: a stream has changes of one day
_ATTEMPTS = 5
_AT_ONCE = 10  # writes: as many as a client has connections, for the time that a function waits is billed

_VIEW, _POSITION = "ViewShard", "ListPosition"  # the table's key
_POSITION_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9a-f]{64}")
_EARLIEST, _LATEST = "0", ":"  # no position is before or after
_BEGINNING = "1970-01-01T00:00:00.000Z"

Json = dict[str, Any]
Place = tuple[str, str]  # of an entry: partition and position

_NOWHERE: Json = {"position": "", "partitions": []}


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


def listed(record: records.Record) -> Json:
    """How an image is listed, and where.

    While an upload is processed, the picture before it stands for it, as in its status. What was deleted is in the view
    of its status and in no other.

    Args:
        record: as plain JSON.

    Returns:
        `image`, what is told of it, and its places: a `position` in some `partitions`. A position sorts by the time of
        the upload, then by the key's digest: a key may be as long as all that DynamoDB sorts by.
    """
    image_key, status = record["ImageKey"], record["status"]
    upload, image, labels = record.get("upload", {}), record.get("image", {}), record.get("labels", [])
    renditions = record.get("renditions", [])
    names = list(dict.fromkeys(label["name"] for label in labels))[:MOST_LABELS]
    told = {
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
        "lastFailure": record.get("lastFailure", {}).get("code"),
    }
    views = [f"status={status}"]
    if status != "DELETED":
        views += ["all", *dict.fromkeys(map(_label_view, names))]
    position = f"{_uploaded(record)}#{_digest(image_key)}"
    return {
        "image": {name: value for name, value in told.items() if value is not None},
        "position": position,
        "partitions": [_partition(view, position) for view in views],
    }


def newest(changes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of changes in their order, the last of each image: what comes before it would be written to be removed again.

    Args:
        changes: of the records' stream, as Lambda hands them over.
    """
    last: dict[str, Mapping[str, Any]] = {}
    for change in changes:
        last.pop(_image_key(change), None)  # it would keep the place of the first
        last[_image_key(change)] = change
    return list(last.values())


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
    _, record = records.changed(change)
    label = change["eventSourceARN"].rpartition("/stream/")[2]
    order = f"{label}/{change['dynamodb']['SequenceNumber']:0>40}"
    return apply(client, table, _image_key(change), record if record and "status" in record else None, order)


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
    now = listed(record) if record else _NOWHERE
    for _ in range(_ATTEMPTS):
        ledger = _ledger(client, table, image_key)
        had, has = _places(ledger or _NOWHERE), _places(now)
        if ledger and ledger["order"] >= order:
            # What this change has left here when it was interrupted: entries of its own, or of the one before.
            _remove(client, table, (has | _places(ledger["left"])) - had, ledger["order"])
            return False
        _put(client, table, has - had, order)
        left = {"position": ledger["position"], "partitions": [at for at, _ in had - has]} if ledger else _NOWHERE
        if _replaced(client, table, image_key, ledger, {**now, "order": order, "left": left}):
            _remove(client, table, had - has, order)
            return True
    raise StorageUnavailableError("An image's entries were changed by others all the time.", "Try again.")


def query(client: aws.Client, table: str, wanted: Filter, limit: int = USUAL_IMAGES, cursor: str | None = None) -> Page:
    """List images, newest first.

    What it reads is bounded by `limit`, whatever is in the table. A page is short by the images that are not wanted or
    have moved.

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
    found: list[str] = []
    seen_to = ""  # from the newest down to here, nothing that is wanted is missing
    for shard in range(_SHARDS):
        positions, reached = _newest(client, table, f"{wanted.view}#{shard}", wanted, limit, after)
        found += positions
        seen_to = max(seen_to, reached)
    found = sorted((position for position in found if position >= seen_to), reverse=True)
    rest = found[limit - 1] if len(found) > limit else seen_to

    def shown(ledger: Json) -> bool:
        # Not only where its entry was: an image that moves within the page just now is there, and once.
        position = ledger["position"]
        here = rest <= position and (after is None or position < after) and _inside(position, wanted)
        return (
            here
            and _partition(wanted.view, position) in ledger["partitions"]
            and wanted.status in (None, ledger["image"]["status"])
        )

    ledgers = filter(shown, _ledgers(client, table, found[:limit]))
    images = [_told(each["image"]) for each in sorted(ledgers, key=itemgetter("position"), reverse=True)]
    return Page(images, _cursor(rest, wanted) if rest else None)


def _newest(
    client: aws.Client, table: str, partition: str, wanted: Filter, limit: int, after: str | None
) -> tuple[list[str], str]:
    """Positions of entries of one partition, and how far down it has been read; the empty text at its end."""
    values = {":view": partition, ":since": wanted.since or _EARLIEST, ":until": wanted.until or _LATEST}
    start = {"ExclusiveStartKey": _key(partition, after)} if after is not None else {}
    with aws.named_errors("DynamoDB"):
        answer = client("dynamodb").query(
            TableName=table,
            KeyConditionExpression=f"{_VIEW} = :view AND {_POSITION} BETWEEN :since AND :until",
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ScanIndexForward=False,
            Limit=limit,
            **start,
        )
    reached = answer.get("LastEvaluatedKey", {}).get(_POSITION, {}).get("S", "")
    return [item[_POSITION]["S"] for item in answer["Items"]], reached


def _ledgers(client: aws.Client, table: str, positions: Iterable[str]) -> list[Json]:
    """The ledgers of the images at these positions, each once."""
    # A page has at most a hundred, as many as a batch takes. They may be a moment old, as entries: at half the price.
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
    wanted = [_ledger_key(digest) for digest in dict.fromkeys(map(_digest_of, positions))]
    found: list[Json] = []
    for _ in range(_ATTEMPTS):
        if not wanted:
            return found
        with aws.named_errors("DynamoDB"):
            answer = client("dynamodb").batch_get_item(RequestItems={table: {"Keys": wanted}})
        found += map(records.from_item, answer["Responses"].get(table, []))
        wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    raise StorageUnavailableError("DynamoDB did not give all that it was asked for: it is busy.", "Try again.")


def _told(image: Json) -> Json:
    image_key = image["imageKey"]
    told = {**image, "statusPath": keys.status_path(image_key)}
    if "rendition" in image:
        told["renditionPath"] = keys.rendition_path(image_key, image["rendition"])
    return told


def _ledger(client: aws.Client, table: str, image_key: str) -> Json | None:
    key = _ledger_key(_digest(image_key))
    with aws.named_errors("DynamoDB"):
        answer = client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
    return records.from_item(answer["Item"]) if "Item" in answer else None


def _ledger_key(digest: str) -> Json:
    return _key(f"ledger={digest}", "-")


def _replaced(client: aws.Client, table: str, image_key: str, known: Json | None, ledger: Json) -> bool:
    """Write a ledger; False when what is there is not the one that is known."""
    if "image" not in ledger:
        ledger = {**ledger, "expiresAt": int(time.time()) + _LEDGER_SECONDS}
    item = {**_ledger_key(_digest(image_key)), **_attributes(ledger)}
    put = partial(client("dynamodb").put_item, TableName=table, Item=item)
    return _written(put, "#order = :order", known["order"]) if known else _written(put, "attribute_not_exists(#order)")


def _put(client: aws.Client, table: str, places: Iterable[Place], order: str) -> None:
    """Put entries, each unless one is there that is as new."""

    def put(place: Place) -> None:
        item = {**_key(*place), **_attributes({"order": order})}
        write = partial(client("dynamodb").put_item, TableName=table, Item=item)
        _written(write, "attribute_not_exists(#order) OR #order < :order", order)

    _at_once(put, places)


def _remove(client: aws.Client, table: str, places: Iterable[Place], order: str) -> None:
    """Remove entries that the ledger of this order does not have, each unless a newer change has put it."""

    def remove(place: Place) -> None:
        write = partial(client("dynamodb").delete_item, TableName=table, Key=_key(*place))
        _written(write, "#order <= :order", order)

    _at_once(remove, places)


def _at_once(write: Callable[[Place], None], places: Iterable[Place]) -> None:
    """Make writes that do not depend on each other; when this ends, none is under way."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(write, places))


def _written(write: Callable[..., Any], condition: str, order: str | None = None) -> bool:
    """Write on a condition; False when it is not met."""
    values = {"ExpressionAttributeValues": {":order": {"S": order}}} if order is not None else {}
    try:
        with aws.named_errors("DynamoDB"):
            write(ConditionExpression=condition, ExpressionAttributeNames={"#order": "order"}, **values)
    except ClientError as error:
        if aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _places(listed: Json) -> set[Place]:
    return {(partition, listed["position"]) for partition in listed["partitions"]}


def _partition(view: str, position: str) -> str:
    return f"{view}#{int(_digest_of(position), 16) % _SHARDS}"


def _key(partition: str, position: str) -> Json:
    return {_VIEW: {"S": partition}, _POSITION: {"S": position}}


def _attributes(values: Json) -> Json:
    serialize = TypeSerializer().serialize
    return {name: serialize(value) for name, value in values.items()}


def _digest(image_key: str) -> str:
    return hashlib.sha256(image_key.encode()).hexdigest()


def _digest_of(position: str) -> str:
    return position.rpartition("#")[2]


def _image_key(change: Mapping[str, Any]) -> str:
    image_key: str = change["dynamodb"]["Keys"]["ImageKey"]["S"]
    return image_key


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


def _inside(position: str, wanted: Filter) -> bool:
    return (wanted.since or _EARLIEST) <= position <= (wanted.until or _LATEST)


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
    if not (text.startswith(wanted.digest) and _POSITION_FORM.fullmatch(position) and _inside(position, wanted)):
        raise InvalidRequestError(
            "The cursor is not of a page with these conditions.",
            "Send it as it came, with the same conditions, or leave it out to begin anew.",
        )
    return position
