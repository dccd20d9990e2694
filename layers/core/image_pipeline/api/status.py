"""Build the answers of the status API, and choose renditions."""

import hashlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from image_pipeline import aws, times
from image_pipeline.errors import public_error
from image_pipeline.imaging.recipes import MAX_FILES
from image_pipeline.settings import StatusSettings
from image_pipeline.store import records, storage

IMAGE_FIELDS = ("image", "exif", "focus", "renditions", "labels", "labelModelVersion", "summary", "warnings")
"""The fields that describe a processed image, as opposed to the upload that is still processing."""

_FAILURES = ("error", "lastFailure")
_MAX_RETRY_SECONDS = 60

# The record may change at any moment, so a cache must revalidate its copy, which costs no more than a 304.
REVALIDATE = "private, no-cache"
_MAX_REDIRECT_SECONDS = 60

_MODERN_FORMATS = ["AVIF", "WEBP"]  # smallest files first; not every client reads them
_MEMBER = re.compile(r"(.+)-([1-9]\d{0,4})")
"""The name of a rendition of a responsive set: the name of the set and a width."""
_ZERO_WEIGHT = re.compile(r"q=0(\.0*)?")


def find(client: aws.Client, image_keys: Sequence[str], settings: StatusSettings) -> records.Record | None:
    """Return the public view of the first record among the keys that a path may mean; None when there is no record.

    Args:
        client: returns the client of a service.
        image_keys: the keys, the likeliest first.
        settings: the settings of the status API.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    for image_key in image_keys:
        if record := records.read(client, table=settings.image_table, image_key=image_key):
            return _public_view(record, settings)
    return None


def find_many(client: aws.Client, image_keys: Sequence[str], settings: StatusSettings) -> list[records.Record]:
    """Return the public views of the records of uploads, in the order of their keys, without those that have no record.

    Args:
        client: returns the client of a service.
        image_keys: different keys.
        settings: the settings of the status API.

    Raises:
        StorageUnavailableError: DynamoDB was not available.
    """
    item_keys = [records.item_key(image_key) for image_key in image_keys]
    items = records.read_many(client, settings.image_table, item_keys, consistent=True)
    views = {item["ImageKey"]: _public_view(records.public_attributes(item), settings) for item in items}
    return [views[image_key] for image_key in image_keys if image_key in views]


def is_processing(record: records.Record) -> bool:
    """Return whether the upload has no outcome yet."""
    return bool(record["status"] == "PROCESSING")


def retry_after(record: records.Record) -> str:
    """Return the seconds after which a client should ask again: half of the time since the execution started."""
    return str(min(max(age_seconds(record) // 2, 1), _MAX_RETRY_SECONDS))


def age_seconds(record: records.Record) -> int:
    """Return the seconds since the execution of an upload started."""
    return times.age_seconds(record["execution"]["startedAt"], datetime.now(UTC))


def etag(record: records.Record, url_seconds: int) -> str:
    """Return a weak etag that changes with the record, and at least after half of the lifetime of its URLs.

    A client that receives 304 therefore has URLs that still work.

    Args:
        record: the record, as `find` returns it.
        url_seconds: the lifetime of URLs.
    """
    window = int(time.time() // (url_seconds / 2))
    text = json.dumps([record, window], sort_keys=True)
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def full_status(
    client: aws.Client, record: records.Record, *, max_execution_seconds: int, url_seconds: int
) -> records.Record:
    """Return the status of an upload with internal error details, for callers that may read the record itself.

    Args:
        client: returns the client of a service.
        record: the record, as `records` returns it.
        max_execution_seconds: the longest time that an execution can run.
        url_seconds: the lifetime of URLs.
    """
    return with_urls(client, _with_previous(record, max_execution_seconds), url_seconds)


def with_urls(client: aws.Client, record: records.Record, url_seconds: int) -> records.Record:
    """Return a record with a URL for each rendition and with the `srcset` values of a `<picture>` element.

    Args:
        client: returns the client of a service.
        record: the record, as `find` returns it.
        url_seconds: the lifetime of URLs.
    """
    expires_at = times.iso(datetime.now(UTC) + timedelta(seconds=url_seconds), "seconds")

    def rendition_with_url(rendition: dict[str, Any]) -> dict[str, Any]:
        return {**rendition, "url": rendition_url(client, rendition, url_seconds), "urlExpiresAt": expires_at}

    def image_with_urls(fields: dict[str, Any]) -> dict[str, Any]:
        renditions = [rendition_with_url(rendition) for rendition in fields["renditions"]]
        return {**fields, "renditions": renditions, "srcsets": srcsets(fields.get("image", {}), renditions)}

    if "previous" in record and "renditions" in record["previous"]:
        return {**record, "previous": image_with_urls(record["previous"])}
    return image_with_urls(record) if "renditions" in record else record


def rendition_url(client: aws.Client, rendition: Mapping[str, Any], seconds: int, method: str = "GET") -> str:
    """Sign a URL that returns a rendition to anyone for `seconds`; it accepts only this method."""
    return storage.signed_url(
        client,
        bucket=rendition["bucket"],
        key=rendition["key"],
        version_id=rendition.get("versionId"),
        seconds=seconds,
        method=method,
    )


def choose_rendition(record: records.Record, *, name: str, accept: str) -> dict[str, Any] | None:
    """Return the rendition with a name; None when the image has none. While an upload is processing, the previous image
    counts. The name of a responsive set means its widest rendition, and so does a width beyond that of the original, so
    that the same links work for originals of every size.

    Args:
        record: the record, as `find` returns it.
        name: the name of a recipe or set, or of a file with its extension.
        accept: the Accept header. It must name AVIF or WEBP explicitly to get them, because `*/*` does not mean that
            the client reads them.
    """
    candidates = _find_by_name(record, name) or _find_by_name(record, _widest_name(record, name))
    types = set(_accepted_types(accept))
    readable = [
        item for item in candidates if item["format"] not in _MODERN_FORMATS or _content_type(item["format"]) in types
    ]
    return min(readable or candidates, key=lambda item: _preference(item["format"]), default=None)


def missing_rendition(record: records.Record, name: str) -> str:
    """Return the problem detail for a rendition that does not exist. It lists the renditions that exist.

    Args:
        record: the record, as `find` returns it.
        name: the requested name.
    """
    renditions = _current_renditions(record)
    names = dict.fromkeys([*(rendition["name"] for rendition in renditions), *map(_file_name, renditions)])
    hint = f" Its renditions are {', '.join(names)}." if names else ""
    return f"There is no rendition {name}; the upload is {record['status']}.{hint}"


def srcsets(image: Mapping[str, Any], renditions: list[dict[str, Any]]) -> dict[str, str]:
    """Return, by content type, the `srcset` of a `<source>`: the renditions of the whole image, narrowest first.

    A browser uses the first type that it supports, so animations come first, then the formats with the smallest files.
    A browser may use any width of a type, so stills are left out of the type that is animated.
    """
    uncropped = [rendition for rendition in renditions[:MAX_FILES] if _same_shape(image, rendition)]
    animated = {rendition["format"] for rendition in uncropped if is_animated(rendition)}
    urls: dict[str, dict[int, str]] = {}
    for rendition in uncropped:
        if is_animated(rendition) or rendition["format"] not in animated:
            urls.setdefault(rendition["format"], {})[rendition["width"]] = rendition["url"]
    return {
        _content_type(image_format): ", ".join(f"{url} {width}w" for width, url in sorted(urls[image_format].items()))
        for image_format in sorted(urls, key=lambda name: (name not in animated, _preference(name)))
    }


def is_animated(rendition: Mapping[str, Any]) -> bool:
    """Return whether a rendition has several frames."""
    return bool(rendition.get("frames", 1) > 1)


def redirect_caching(url_seconds: int) -> str:
    """Return the Cache-Control of a redirect to a rendition: shorter than the lifetime of its URL."""
    return f"private, max-age={min(_MAX_REDIRECT_SECONDS, url_seconds // 2)}"


def _current_renditions(record: records.Record) -> list[dict[str, Any]]:
    renditions: list[dict[str, Any]] = record.get("previous", record).get("renditions", [])
    return renditions


def _find_by_name(record: records.Record, name: str) -> list[dict[str, Any]]:
    return [item for item in _current_renditions(record) if name in (item["name"], _file_name(item))]


def _widest_name(record: records.Record, name: str) -> str:
    """Return the name of the widest rendition of a set, with the extension of `name`; empty if there is no such set.

    Args:
        record: the record, as `find` returns it.
        name: the name of the set; or that of a rendition which the set lacks because the original is narrower.
    """
    stem, dot, extension = name.partition(".")
    member_of_set = _MEMBER.fullmatch(stem)
    set_name = member_of_set[1] if member_of_set else stem
    original = record.get("previous", record).get("image", {}).get("width")
    members = {}
    for item in _current_renditions(record):
        member = _MEMBER.fullmatch(item["name"])
        if member and member[1] == set_name:
            members[int(member[2])] = item["width"]
    widest = max(members, default=0)
    ends_at_original = members.get(widest) == original or members.get(widest, 0) < widest
    if not members or (member_of_set and not (widest < int(member_of_set[2]) and ends_at_original)):
        return ""
    return f"{set_name}-{widest}{dot}{extension}"


def _public_view(record: records.Record, settings: StatusSettings) -> records.Record:
    return _with_previous(_without_internal_errors(record), settings.workflow.seconds)


def _without_internal_errors(record: records.Record) -> records.Record:
    return {**record, **{name: public_error(record[name]) for name in _FAILURES if name in record}}


def _with_previous(record: records.Record, max_execution_seconds: int) -> records.Record:
    """Move the previous image into `previous` while a new upload is processing, and mark an overdue upload as stale.

    `ImageKey` is the name of the key in the table and stays for older clients; everything else uses `imageKey`.
    """
    record = {"imageKey": record["ImageKey"], **record}
    if not is_processing(record):
        return record
    previous = {name: record[name] for name in IMAGE_FIELDS if name in record}
    current = {name: value for name, value in record.items() if name not in previous}
    if previous:
        current["previous"] = previous
    return {**current, "stale": True} if age_seconds(record) > max_execution_seconds else current


def _file_name(rendition: Mapping[str, Any]) -> str:
    return str(rendition["key"].rpartition("/")[2])


def _accepted_types(accept: str) -> Iterator[str]:
    """Return the content types in an Accept header whose weight is not zero."""
    for media_range in accept.lower().replace(" ", "").split(","):
        content_type, *parameters = media_range.split(";")
        if not any(_ZERO_WEIGHT.fullmatch(parameter) for parameter in parameters):
            yield content_type


def _content_type(image_format: str) -> str:
    return f"image/{image_format.lower()}"


def _preference(image_format: str) -> int:
    return _MODERN_FORMATS.index(image_format) if image_format in _MODERN_FORMATS else len(_MODERN_FORMATS)


def _same_shape(image: Mapping[str, Any], rendition: Mapping[str, Any]) -> bool:
    """Return whether a rendition has the aspect ratio of the image, up to the rounding of its sides to whole pixels."""
    try:
        skew = rendition["width"] * image["height"] - rendition["height"] * image["width"]
    except KeyError:
        return False
    return bool(2 * abs(skew) <= image["width"] + image["height"])
