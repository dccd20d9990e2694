"""What the status API says of an upload, and which of its renditions it shows."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from image_pipeline import keys
from image_pipeline.errors import for_outsiders
from image_pipeline.imaging.recipes import MAX_FILES
from image_pipeline.settings import StatusSettings
from image_pipeline.store import records, storage

Url = Callable[[str, str, str | None, int], str]
"""Bucket, key and version id of a rendition, and seconds → a URL that gives it to whoever has the URL for so long."""

PICTURE = ("image", "exif", "renditions", "labels", "labelModelVersion", "summary", "warnings")

_FAILURES = ("error", "lastFailure")
_MOST_RETRY_SECONDS = 60

# Another record may be there at any moment, so what is kept must be asked for again, which costs no more than a 304.
KEPT_BUT_ASKED_FOR = "private, no-cache"
_MOST_REDIRECT_SECONDS = 60

_MODERN = ["AVIF", "WEBP"]  # the smallest files first; not everybody reads them
_REFUSED = re.compile(r"q=0(\.0*)?")
_ANY_TAG = re.compile(r'(?:W/)?("[^"]*")|(\*)')


def find(path: str, settings: StatusSettings) -> records.Record | None:
    """The record that a request means, as anybody may know it; None when that key was never uploaded.

    Args:
        path: of the request, decoded once.
        settings: where the records are.

    Raises:
        InvalidKeyError: the path cannot be a key.
        StorageUnavailableError: DynamoDB did not answer.
    """
    return next(filter(None, (_read(settings, image_key) for image_key in keys.image_keys(path))), None)


def under_way(record: records.Record) -> bool:
    """Whether the outcome is still to come."""
    return bool(record["status"] == "PROCESSING")


def retry_after(record: records.Record) -> str:
    """In how many seconds it is worth to ask again: half as long as it has been under way."""
    return str(min(max(age_seconds(record) // 2, 1), _MOST_RETRY_SECONDS))


def age_seconds(record: records.Record) -> int:
    """Seconds since the execution of an upload that is under way was started."""
    return records.age_seconds(record["execution"]["startedAt"], datetime.now(UTC))


def etag(record: records.Record, seconds: int) -> str:
    """A weak one. It lasts as long as the record, and for no longer than half the life of the URLs beside it.

    So who is told that nothing has changed has URLs that still work.

    Args:
        record: as found.
        seconds: for which URLs work.
    """
    window = int(time.time() // (seconds / 2))
    text = json.dumps([record, window], sort_keys=True)
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def is_known(tag: str, if_none_match: str) -> bool:
    """Whether a request's If-None-Match has the tag, or any."""
    return any(star or known == tag.removeprefix("W/") for known, star in _ANY_TAG.findall(if_none_match))


def told(record: records.Record, longest: int, seconds: int, url: Url) -> records.Record:
    """What is said of a record, in full: for those who may read it anyway.

    Args:
        record: as `records` gives it.
        longest: seconds that an execution may take.
        seconds: for which the URLs work.
        url: makes them.
    """
    return with_urls(_as_told(record, longest), seconds, url)


def with_urls(record: records.Record, seconds: int, url: Url = storage.url) -> records.Record:
    """The record with a URL for each rendition, and with what a `<picture>` needs.

    Args:
        record: as found.
        seconds: for which the URLs work.
        url: makes them.
    """
    expires = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")

    def with_url(rendition: dict[str, Any]) -> dict[str, Any]:
        where = rendition["bucket"], rendition["key"], rendition.get("versionId")
        return {**rendition, "url": url(*where, seconds), "urlExpiresAt": expires}

    def shown(picture: dict[str, Any]) -> dict[str, Any]:
        renditions = [with_url(rendition) for rendition in picture["renditions"]]
        return {**picture, "renditions": renditions, "srcsets": _srcsets(picture.get("image", {}), renditions)}

    if "previous" in record and "renditions" in record["previous"]:
        return {**record, "previous": shown(record["previous"])}
    return shown(record) if "renditions" in record else record


def url(rendition: Mapping[str, Any], seconds: int) -> str:
    """A URL of a rendition that works for `seconds`."""
    return storage.url(rendition["bucket"], rendition["key"], rendition.get("versionId"), seconds)


def rendition(record: records.Record, name: str, accept: str) -> dict[str, Any] | None:
    """The rendition that somebody asks for, of the picture that is shown now; None when it has none of that name.

    Args:
        record: as found; while an upload is under way, the picture before is shown.
        name: a recipe's, or a file's with its extension.
        accept: the request's header. Only formats that it names are given to who may not read them: `*/*` says nothing.
    """
    renditions = record.get("previous", record).get("renditions", [])
    named = [each for each in renditions if name in (each["name"], _file_name(each))]
    types = set(_types(accept))
    readable = [each for each in named if each["format"] not in _MODERN or _content_type(each["format"]) in types]
    return min(readable or named, key=lambda each: _rank(each["format"]), default=None)


def missing_rendition(record: records.Record, name: str) -> str:
    """What to say to a caller that asks for a rendition that there is not: which ones there are.

    Args:
        record: as found.
        name: what the caller asks for.
    """
    renditions = record.get("previous", record).get("renditions", [])
    names = dict.fromkeys([*(each["name"] for each in renditions), *map(_file_name, renditions)])
    hint = f" Its renditions are {', '.join(names)}." if names else ""
    return f"There is no rendition {name}; the upload is {record['status']}.{hint}"


def redirect_caching(seconds: int) -> str:
    """For how long a redirect to a rendition may be kept: less than its URL works."""
    return f"private, max-age={min(_MOST_REDIRECT_SECONDS, seconds // 2)}"


def _read(settings: StatusSettings, image_key: str) -> records.Record | None:
    record = records.read(settings.image_table, image_key)
    return record and _as_told(_without_internals(record), settings.workflow.seconds)


def _without_internals(record: records.Record) -> records.Record:
    return {**record, **{name: for_outsiders(record[name]) for name in _FAILURES if name in record}}


def _as_told(record: records.Record, longest: int) -> records.Record:
    """While a new upload is processed, the old picture stands apart; and what takes too long is said to be stale.

    `ImageKey` is the table's own name of the key, and stays for old clients; everything else says `imageKey`.
    """
    record = {"imageKey": record["ImageKey"], **record}
    if not under_way(record):
        return record
    previous = {name: record[name] for name in PICTURE if name in record}
    told = {name: value for name, value in record.items() if name not in previous}
    if previous:
        told["previous"] = previous
    return {**told, "stale": True} if age_seconds(record) > longest else told


def _file_name(rendition: Mapping[str, Any]) -> str:
    return str(rendition["key"].rpartition("/")[2])


def _types(accept: str) -> Iterator[str]:
    """What the header names and does not refuse by a weight of zero."""
    for each in accept.lower().replace(" ", "").split(","):
        content_type, *parameters = each.split(";")
        if not any(_REFUSED.fullmatch(parameter) for parameter in parameters):
            yield content_type


def _content_type(name: str) -> str:
    return f"image/{name.lower()}"


def _rank(name: str) -> int:
    return _MODERN.index(name) if name in _MODERN else len(_MODERN)


def _srcsets(image: Mapping[str, Any], renditions: list[dict[str, Any]]) -> dict[str, str]:
    """By type, the `srcset` of a `<source>`: the renditions that show the whole picture, narrowest first.

    A browser takes the first type that it reads, so the smallest files come first.
    """
    widths: dict[str, dict[int, str]] = {}
    for each in renditions[:MAX_FILES]:
        if _same_shape(image, each):
            widths.setdefault(each["format"], {})[each["width"]] = each["url"]
    return {
        _content_type(name): ", ".join(f"{where} {width}w" for width, where in sorted(widths[name].items()))
        for name in sorted(widths, key=_rank)
    }


def _same_shape(image: Mapping[str, Any], rendition: Mapping[str, Any]) -> bool:
    """Whether it is the picture made smaller, its sides rounded, and nothing cut off or added."""
    try:
        skew = rendition["width"] * image["height"] - rendition["height"] * image["width"]
    except KeyError:
        return False
    return bool(2 * abs(skew) <= image["width"] + image["height"])
