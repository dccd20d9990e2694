"""List images, newest first: parse a query and read a page from the listing table, which `indexing` writes."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from operator import attrgetter, itemgetter

from image_pipeline import aws, keys, times
from image_pipeline.errors import InvalidRequestError
from image_pipeline.feeds import entries
from image_pipeline.feeds.entries import Json
from image_pipeline.store import records

STATUSES = ("PROCESSING", "COMPLETED", "PARTIAL", "FAILED", "DELETED")
MAX_IMAGES = 100  # on a page
DEFAULT_IMAGES = 50
_MAX_LABEL_CHARACTERS = 200  # far longer than any label; the key of a partition has room for 2,048 bytes

_PARAMETERS = frozenset({"status", "label", "prefix", "from", "to", "limit", "cursor"})

_POSITION_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z#[0-9a-f]{64}")
_BEFORE_ALL, _AFTER_ALL = "0", ":"  # texts that sort before and after every position


@dataclass(frozen=True)
class ImageFilter:
    """The images to list; `make_filter` creates it."""

    status: str | None = None
    label: str | None = None
    """Case-folded."""
    since: str | None = None
    """Uploaded at this time or later; in ISO 8601, UTC, milliseconds, as all times here."""
    until: str | None = None
    """Uploaded before this time."""
    folder: str | None = None
    """In this folder or below it, as `keys.folder` returns it."""

    @property
    def views(self) -> list[str]:
        """The views that contain all of these images, the one that probably contains the fewest others first."""
        by_status = [f"status={self.status}"] if self.status else []
        if self.status == "DELETED":  # deleted images are only in the view of their status
            return by_status
        by_content = [entries.label_view(self.label)] if self.label else []
        by_content += [entries.folder_view(self.folder)] if self.folder else []
        if self.status == "COMPLETED" and by_content:  # nearly all images are, so this view would exclude few
            return by_content
        return by_status + by_content or ["all"]

    @property
    def digest(self) -> str:
        """A text that is different for every other filter."""
        *other_conditions, folder = astuple(self)
        # Versions without folders had four conditions; without a folder, their cursors stay valid.
        conditions = [*other_conditions, folder] if folder else other_conditions
        return hashlib.sha256(json.dumps(conditions).encode()).hexdigest()[:16]

    def includes(self, image: Json) -> bool:
        """Return whether an image of the view has the status, the label and the folder of the filter."""
        return (
            self.status in (None, image["status"])
            and (self.label is None or self.label in map(str.casefold, image["labels"]))
            and image["imageKey"].startswith(keys.UPLOADS_PREFIX + (self.folder or ""))
        )

    def includes_time_of(self, position: str) -> bool:
        """Return whether the time of a position is in the range of the filter."""
        return (self.since or _BEFORE_ALL) <= position <= (self.until or _AFTER_ALL)


@dataclass(frozen=True)
class Query:
    """A parsed query: which images, how many per page, and after which page."""

    images: ImageFilter
    limit: int = DEFAULT_IMAGES
    cursor: str | None = None
    """The cursor of the previous page, which had the same filter; None for the first page."""


@dataclass(frozen=True)
class _Reading:
    """Entries of one view."""

    view: str
    positions: list[str]
    """The newest ones first, at most as many as a page has images."""
    end: str
    """The view contains no other entry down to this position; empty if it contains no other entry at all."""


@dataclass(frozen=True)
class Page:
    """Some images, newest first."""

    images: list[Json]
    """Public fields, and `renditions`, of which `api.gallery` makes URLs."""
    cursor: str | None
    """For the next page; None on the last page. A page that is short, or even empty, need not be the last."""


def make_filter(
    *,
    status: str | None = None,
    label: str | None = None,
    prefix: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> ImageFilter:
    """Check the conditions of a filter; None means no condition.

    Args:
        status: one of `STATUSES`.
        label: a label, in any case.
        prefix: a folder, with or without a leading `uploads/` and a trailing slash.
        since: a time in ISO 8601; UTC if it has no offset, midnight if it has no time.
        until: as `since`; the time itself is excluded.

    Raises:
        InvalidRequestError: a condition is invalid; the message names the first one.
        InvalidKeyError: the prefix is invalid.
    """
    if status is not None and status not in STATUSES:
        raise InvalidRequestError(f"The status {status[:80]!r} does not exist.", f"Use one of {', '.join(STATUSES)}.")
    if label is not None and not 0 < len(label) <= _MAX_LABEL_CHARACTERS:
        raise InvalidRequestError(
            f"The label is empty or longer than {_MAX_LABEL_CHARACTERS} characters.", "Use a label such as Dog."
        )
    images = ImageFilter(
        status=status,
        label=label and label.casefold(),
        since=_parse_time("from", since),
        until=_parse_time("to", until),
        folder=None if prefix is None else keys.folder(prefix),
    )
    if images.since and images.until and images.since >= images.until:
        raise InvalidRequestError(
            f"The range from {images.since} to {images.until} is empty.", "Send a `from` that is before `to`."
        )
    return images


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Parse the query parameters of `GET /images`.

    Args:
        parameters: the query parameters.

    Raises:
        InvalidRequestError: a parameter is unknown or invalid.
        InvalidKeyError: the prefix is invalid.
    """
    if unknown := sorted(parameters.keys() - _PARAMETERS):
        raise InvalidRequestError(
            f"The parameter {unknown[0][:80]!r} is unknown.", f"The parameters are {', '.join(sorted(_PARAMETERS))}."
        )
    limit = parameters.get("limit", str(DEFAULT_IMAGES))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 9):
        raise InvalidRequestError(f"The limit {limit[:80]!r} is not a number.", f"Use a limit from 1 to {MAX_IMAGES}.")
    images = make_filter(
        status=parameters.get("status"),
        label=parameters.get("label"),
        prefix=parameters.get("prefix"),
        since=parameters.get("from"),
        until=parameters.get("to"),
    )
    return Query(images, int(limit), parameters.get("cursor"))


def read_page(client: aws.Client, table: str, query: Query) -> Page:
    """Read a page of images, newest first.

    The number of reads is bounded by the limit, whatever the table contains. A page is short by the images that the
    filter excludes or that have moved.

    Args:
        client: returns the client of a service.
        table: the listing table.
        query: which images, how many, and after which page.

    Raises:
        InvalidRequestError: the limit is out of range, or the cursor belongs to another query.
        StorageUnavailableError: DynamoDB was not available.
    """
    images = query.images
    limit = query.limit
    if not 1 <= limit <= MAX_IMAGES:
        raise InvalidRequestError(f"The limit is {limit}, not from 1 to {MAX_IMAGES}.", "Use another limit.")
    after = _position_of(query.cursor, images) if query.cursor is not None else None
    reading = _furthest_reading(client, table, query, after)

    def is_on_page(ledger: Json) -> bool:
        # The position in the ledger counts, not that of the entry: an image that moves within the page is listed once.
        position = ledger["position"]
        in_range = reading.end <= position and (after is None or position < after) and images.includes_time_of(position)
        return (
            in_range
            and entries.partition(reading.view, position) in ledger["partitions"]
            and images.includes(ledger["image"])
        )

    ledgers = filter(is_on_page, _ledgers(client, table, reading.positions))
    newest_first = sorted(ledgers, key=itemgetter("position"), reverse=True)
    return Page(
        images=[_listed_image(ledger) for ledger in newest_first],
        cursor=_cursor(reading.end, images) if reading.end else None,
    )


def _furthest_reading(client: aws.Client, table: str, query: Query, after: str | None) -> _Reading:
    """Read entries of the views of a filter, until one ends; return the reading that reaches the oldest images.

    One condition often excludes many more images than the other: the view of failed images soon leads to those of a
    large folder, but the view of the folder leads to the failed ones only after many pages.
    """
    readings = []
    for view in query.images.views:
        readings.append(_read_view(client, table, view, query, after))
        if not readings[-1].end:
            break
    return min(readings, key=attrgetter("end"))


def _read_view(client: aws.Client, table: str, view: str, query: Query, after: str | None) -> _Reading:
    positions: list[str] = []
    complete_to = ""  # every partition has been read from the newest entry down to this position
    for partition in entries.partitions(view):
        newest, reached = _newest_positions(client, table, partition, query.images, query.limit, after)
        positions += newest
        complete_to = max(complete_to, reached)
    positions = sorted((position for position in positions if position >= complete_to), reverse=True)
    end = positions[query.limit - 1] if len(positions) > query.limit else complete_to
    return _Reading(view, positions[: query.limit], end)


def _newest_positions(
    client: aws.Client, table: str, partition: str, images: ImageFilter, limit: int, after: str | None
) -> tuple[list[str], str]:
    """Return the positions of entries in a partition, and the position down to which it was read; empty at its end."""
    values = {":view": partition, ":since": images.since or _BEFORE_ALL, ":until": images.until or _AFTER_ALL}
    start = {"ExclusiveStartKey": entries.key(partition, after)} if after is not None else {}
    with aws.translate_errors("DynamoDB"):
        response = client("dynamodb").query(
            TableName=table,
            KeyConditionExpression=f"{entries.VIEW} = :view AND {entries.POSITION} BETWEEN :since AND :until",
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ScanIndexForward=False,
            Limit=limit,
            **start,
        )
    reached = response.get("LastEvaluatedKey", {}).get(entries.POSITION, {}).get("S", "")
    return [item[entries.POSITION]["S"] for item in response["Items"]], reached


def _ledgers(client: aws.Client, table: str, positions: Iterable[str]) -> list[Json]:
    """Return the ledgers of the images at these positions, each once. The read is eventually consistent."""
    digests = dict.fromkeys(map(entries.digest_of, positions))
    ledgers = records.read_many(client, table, [entries.ledger_key(digest) for digest in digests])
    return [records.public_attributes(ledger) for ledger in ledgers]


def _listed_image(ledger: Json) -> Json:
    image = ledger["image"]
    renditions = entries.renditions(ledger)
    image_key = image["imageKey"]
    listed = {**image, "statusPath": keys.status_path(image_key)}
    if "rendition" in image:
        listed["renditionPath"] = keys.rendition_path(image_key, image["rendition"])
    if renditions:
        listed["renditions"] = renditions
    return listed


def _parse_time(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return times.iso(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(
            f"`{name}` is {text[:80]!r}, not a time in ISO 8601.",
            "Use a time such as 2026-11-21 or 2026-11-21T12:00:00Z; in a URL, encode the + of an offset as %2B.",
        ) from error


def _cursor(position: str, images: ImageFilter) -> str:
    """Return the digest of the filter and the position: always 105 bytes, for which base64 needs no padding."""
    return base64.urlsafe_b64encode(f"{images.digest}{position}".encode()).decode()


def _position_of(cursor: str, images: ImageFilter) -> str:
    """Return the position after which the next page starts."""
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        text = ""
    position = text.removeprefix(images.digest)
    is_own = text.startswith(images.digest) and _POSITION_FORM.fullmatch(position)
    if not is_own or not images.includes_time_of(position):
        raise InvalidRequestError(
            "The cursor belongs to a query with other filters.",
            "Send the cursor unchanged and with the same filters, or omit it to start with the first page.",
        )
    return position
