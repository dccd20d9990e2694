"""Answer `GET /images/uploads/{filename}/status` with the record, `…/renditions/{name}` with the way to the picture."""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import problems, queries, status, waiting

NOT_FOUND = "Image details not found for the given image identifier."


@problems.told("The status cannot be read just now. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    config, path, headers = settings.load_for_status(os.environ), event["rawPath"], event.get("headers", {})
    (bucket,) = settings.required(os.environ, "UPLOADS_BUCKET")
    found = waiting.find(aws.client, bucket, path, config, waiting.parse(queries.read(event)))
    later = {"retry-after": found.retry_after} if found.retry_after else {}
    if found.record is None:
        return problems.problem(404, NOT_FOUND, **later)
    if name := keys.rendition_name(path):
        return _rendition(found.record, name, headers.get("accept", ""), config.rendition_url_seconds, later)
    return _status(found.record, headers.get("if-none-match", ""), config.rendition_url_seconds, later)


def _status(record: dict[str, Any], known: str, seconds: int, later: dict[str, str]) -> dict[str, Any]:
    if later:
        return problems.answer(200, status.with_urls(record, seconds), **later)
    tag = status.etag(record, seconds)
    caching = {"etag": tag, "cache-control": status.KEPT_BUT_ASKED_FOR}
    if status.is_known(tag, known):
        return problems.bare(304, **caching)
    return problems.answer(200, status.with_urls(record, seconds), **caching)


def _rendition(record: dict[str, Any], name: str, accept: str, seconds: int, later: dict[str, str]) -> dict[str, Any]:
    found = status.rendition(record, name, accept)
    if found is None:
        return problems.problem(404, status.missing_rendition(record, name), **later)
    caching = {"cache-control": "no-store" if later else status.redirect_caching(seconds), "vary": "accept"}
    return problems.bare(302, location=status.url(found, seconds), **caching)
