"""Answer `GET /images/uploads/{filename}/status` with the record, and `…/renditions/{name}` with a redirect.

HEAD gets the headers of GET, but immediately: only a caller that wants the outcome has a reason to wait.
"""

import os
from typing import Any

from image_pipeline import aws, keys, settings
from image_pipeline.api import etags, problems, queries, scopes, status, waiting

client = aws.clients("dynamodb", "s3")

NOT_FOUND = "Image details not found for the given image identifier."


@problems.answers_problems("The status cannot be read at the moment. Try again in a few seconds.")
def lambda_handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    access = scopes.authorize(event, scopes.READ)
    config = settings.load_for_status(os.environ)
    (bucket,) = settings.required(os.environ, "UPLOADS_BUCKET")
    path = event["rawPath"]
    request = waiting.parse(queries.read(event), may_wait=_method(event) != "HEAD")
    if path.endswith(keys.ORIGINAL_SUFFIX):
        return _original(_method(event), path)
    image_keys = access.narrow(keys.image_keys(path))
    result = waiting.find(client, bucket=bucket, image_keys=image_keys, settings=config, request=request)
    return _answer(event, result, config.rendition_url_seconds)


def _method(event: dict[str, Any]) -> str:
    return str(event["requestContext"]["http"]["method"])


def _answer(event: dict[str, Any], result: waiting.WaitResult, url_seconds: int) -> dict[str, Any]:
    headers = event.get("headers", {})
    retry = {"retry-after": result.retry_after} if result.retry_after else {}
    if result.record is None:
        return problems.problem(404, NOT_FOUND, **retry)
    if name := keys.rendition_name(event["rawPath"]):
        accept = headers.get("accept", "")
        return _rendition(result.record, _method(event), name=name, accept=accept, seconds=url_seconds, retry=retry)
    return _status(result.record, headers.get("if-none-match", ""), url_seconds, retry)


def _original(method: str, path: str) -> dict[str, Any]:
    """Redirect to the route of a single segment: this one may be open, and originals always need a key."""
    if method == "HEAD":
        return problems.refusal(method=method, path=path)
    return problems.empty(308, location=keys.original_path(keys.upload_key(path, keys.ORIGINAL_SUFFIX)))


def _status(record: dict[str, Any], if_none_match: str, seconds: int, retry: dict[str, str]) -> dict[str, Any]:
    if retry:
        return problems.answer(200, status.with_urls(client, record, seconds), **retry)
    tag = status.etag(record, seconds)
    caching = {"etag": tag, "cache-control": status.REVALIDATE}
    if etags.matches(if_none_match, tag):
        return problems.empty(304, **caching)
    return problems.answer(200, status.with_urls(client, record, seconds), **caching)


def _rendition(
    record: dict[str, Any], method: str, *, name: str, accept: str, seconds: int, retry: dict[str, str]
) -> dict[str, Any]:
    rendition = status.choose_rendition(record, name=name, accept=accept)
    if rendition is None:
        return problems.problem(404, status.missing_rendition(record, name), **retry)
    # A cache could answer GET with a stored redirect for HEAD, to a URL that does not accept GET.
    is_stored = method == "GET" and not retry
    caching = {"cache-control": status.redirect_caching(seconds) if is_stored else "no-store", "vary": "accept"}
    return problems.empty(302, location=status.rendition_url(client, rendition, seconds, method), **caching)
