"""Build the responses of the API: JSON, and problem documents (RFC 9457) for errors.

When API Gateway itself refuses a request, or a function crashes, the response is `{"message": …}`. A problem document
has a `message` too, equal to `detail`, so that every error has one.
"""

import base64
import gzip
import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from image_pipeline.api import encodings, routes
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    NotPermittedError,
    PipelineError,
    StorageUnavailableError,
    TooSoonError,
    UnsupportedFormatError,
    UploadArchivedError,
    UploadChangedError,
    UploadExistsError,
    UploadNotDeletedError,
    UploadNotFoundError,
    UploadTooLargeError,
    WrongPathError,
)
from image_pipeline.observability import Handler, logger

_STATUS: dict[type[PipelineError], int] = {
    InvalidKeyError: 400,
    InvalidRequestError: 400,
    EmptyUploadError: 400,
    NotPermittedError: 403,
    UploadNotFoundError: 404,
    UploadArchivedError: 409,
    UploadNotDeletedError: 409,
    UploadChangedError: 412,
    UploadExistsError: 412,
    UploadTooLargeError: 413,
    UnsupportedFormatError: 415,
    TooSoonError: 429,
}

_PATHS = "docs/openapi.yaml of Image Pipeline describes all paths."

_GUARDS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def answer(status: int, body: Any, content_type: str = "application/json", **headers: str) -> dict[str, Any]:
    """Return a response in payload format 2.0.

    By default it must not be cached, because the next response may differ, and must not be displayed as a page, because
    a file name may contain HTML.
    """
    return {
        "statusCode": status,
        "headers": {"content-type": content_type, **_GUARDS, **headers},
        "body": json.dumps(body, ensure_ascii=False),
    }


def compressed(answer: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Compress a response if its caller accepts gzip. The signed URLs of a list shrink to a fifth.

    Args:
        answer: the response, as `answer` returns it.
        event: the request.
    """
    if not encodings.accepts_gzip(event.get("headers", {}).get("accept-encoding", "")):
        return answer
    body = base64.b64encode(gzip.compress(answer["body"].encode(), mtime=0)).decode()
    headers = {**answer["headers"], "content-encoding": "gzip", "vary": "accept-encoding"}
    return {**answer, "headers": headers, "body": body, "isBase64Encoded": True}


def empty(status: int, **headers: str) -> dict[str, Any]:
    """Return a response without a body: 204, 304, or a redirect."""
    return {"statusCode": status, "headers": {**_GUARDS, **headers}}


def problem(status: int, detail: str, **headers: str) -> dict[str, Any]:
    """Return a problem document.

    Args:
        status: the HTTP status code. Its phrase is the title, so the type is `about:blank`.
        detail: one or two sentences about this request.
        headers: additional headers.
    """
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "message": detail}
    return answer(status, body, "application/problem+json", **headers)


def refusal(*, method: str, path: str) -> dict[str, Any]:
    """Return the response to a request that no route accepts: 405 when its path accepts other methods, otherwise 404.

    OPTIONS gets a success. When CORS is enabled, API Gateway may forward a browser's preflight request and adds its own
    headers to the response, which must then be a success. Without CORS it adds none, so this response permits no page.

    Args:
        method: the method of the request.
        path: the path of the request, decoded once.
    """
    if path.endswith("/") and method in routes.methods(path.rstrip("/")):
        return problem(404, f"Paths have no trailing slash. Without it, this path accepts {method}. {_PATHS}")
    accepted = routes.methods(path)
    allow = ", ".join((*accepted, "OPTIONS"))
    if not accepted or method in accepted:  # an accepted method is routed, so the path only looks like an existing one
        return problem(404, f"This path does not exist. {_PATHS}")
    if method == "OPTIONS":
        return empty(204, allow=allow)
    paths = routes.paths(method)
    hint = f" These paths accept {method}: {', '.join(paths)}." if paths else ""
    return problem(405, f"This path accepts {' or '.join(accepted)}, not {method[:20]}.{hint}", allow=allow)


def answers_problems(unavailable: str) -> Callable[[Handler], Handler]:
    """Decorate a handler: log with the request id, and answer the pipeline's errors as problem documents.

    Args:
        unavailable: the problem detail when AWS is not available.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            logger.set_correlation_id(event["requestContext"]["requestId"])
            try:
                return handler(event, context)
            except tuple(_STATUS) as error:
                headers = {"retry-after": str(error.retry_after_seconds)} if isinstance(error, TooSoonError) else {}
                return problem(_STATUS[type(error)], str(error).replace("\n", " "), **headers)
            except WrongPathError:
                return refusal(method=event["requestContext"]["http"]["method"], path=event["rawPath"])
            except StorageUnavailableError:
                logger.exception("request not served")
                return problem(503, unavailable)

        return lambda_handler

    return decorate
