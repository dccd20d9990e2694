"""Add URLs to the images of a list, so that a page shows them without a request for each.

A browser caches an image under its URL. The URLs of a list are therefore signed as of the start of a time window: all
lists within the window have the same URLs, if the same credentials sign them.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from image_pipeline import aws, times
from image_pipeline.api import status
from image_pipeline.store.signing import UrlSigner

# Lambda returns at most 6 MB. A URL has up to 5 kB: three for a long key, two for the token of the credentials.
_MAX_SRCSET_CHARACTERS = 3_000_000

Json = dict[str, Any]
SignUrl = Callable[[Json], str]

_RENDITION_FIELDS = frozenset({"name", "format", "width", "height", "bucket", "key"})
"""A rendition without one of them gets no URL, so that one entry cannot make the whole list unreadable."""


def with_urls(client: aws.Client, images: Iterable[Json], *, url_seconds: int, now: datetime) -> list[Json]:
    """Replace the `renditions` of listed images by `renditionUrl`, `renditionUrlExpiresAt` and `srcsets`.

    A page has `srcsets` for its first images only, if all of them together would exceed what Lambda can return.

    Args:
        client: returns the client of a service.
        images: the images, as `feeds.listing` returns them.
        url_seconds: the lifetime of URLs. A window is half of it, so every URL is valid for at least that long.
        now: the current time.
    """
    signed_at = window_start(now, url_seconds)
    expires_at = times.iso(signed_at + timedelta(seconds=url_seconds), "seconds")

    @cache
    def signer(bucket: str) -> UrlSigner:
        return UrlSigner(client, bucket, signed_at=signed_at, seconds=url_seconds)

    def sign(rendition: Json) -> str:
        return signer(rendition["bucket"]).url(rendition["key"], rendition.get("versionId"))

    room = _MAX_SRCSET_CHARACTERS
    listed = []
    for image in images:
        fields = _with_urls(image, sign, expires_at)
        room -= sum(map(len, fields.get("srcsets", {}).values()))
        listed.append({name: value for name, value in fields.items() if name != "srcsets" or room >= 0})
    return listed


def window_start(now: datetime, url_seconds: int) -> datetime:
    """Return the start of the time window in which URLs are equal."""
    window = url_seconds // 2
    return datetime.fromtimestamp(now.timestamp() // window * window, UTC)


def _with_urls(image: Json, sign: SignUrl, expires_at: str) -> Json:
    fields = {name: value for name, value in image.items() if name != "renditions"}
    complete = (rendition for rendition in image.get("renditions", ()) if rendition.keys() >= _RENDITION_FIELDS)
    renditions = [{**rendition, "url": sign(rendition)} for rendition in complete]
    chosen = status.choose_rendition({"renditions": renditions}, name=image.get("rendition", ""), accept="")
    if chosen is None:  # no rendition, or listed by a version that did not store them
        return fields
    urls = {"renditionUrl": chosen["url"], "renditionUrlExpiresAt": expires_at}
    if not image.keys() >= {"width", "height"}:
        return {**fields, **urls}
    stills = [rendition for rendition in renditions if not status.is_animated(rendition)]  # many animations distract
    return {**fields, **urls, "srcsets": status.srcsets(image, stills) or status.srcsets(image, renditions)}
