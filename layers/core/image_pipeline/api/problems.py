"""What the API's functions answer: JSON, and problem documents (RFC 9457) where something is wrong.

What API Gateway refuses by itself, and a function that breaks, is answered in API Gateway's own words:
`{"message": …}`. So `message` is in every error there is, and in a problem it says what `detail` says.
"""

import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from image_pipeline.api import routes
from image_pipeline.errors import (
    EmptyUploadError,
    InvalidKeyError,
    InvalidRequestError,
    PipelineError,
    StorageUnavailableError,
    TooSoonError,
    UnsupportedFormatError,
    UploadChangedError,
    UploadExistsError,
    UploadNotFoundError,
    UploadTooLargeError,
    WrongPathError,
)
from image_pipeline.observability import Handler, logger

_STATUS: dict[type[PipelineError], int] = {
    InvalidKeyError: 400,
    InvalidRequestError: 400,
    EmptyUploadError: 400,
    UploadNotFoundError: 404,
    UploadChangedError: 412,
    UploadExistsError: 412,
    UploadTooLargeError: 413,
    UnsupportedFormatError: 415,
    TooSoonError: 429,
}

_PATHS = "docs/openapi.yaml of Image Pipeline describes every path there is."

_GUARDS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def answer(status: int, body: Any, content_type: str = "application/json", **headers: str) -> dict[str, Any]:
    """A response in payload format 2.0.

    Nobody may store it unless its headers say so, as it may be another one at any moment, nor take it for a page: a
    name may hold HTML.
    """
    return {
        "statusCode": status,
        "headers": {"content-type": content_type, **_GUARDS, **headers},
        "body": json.dumps(body, ensure_ascii=False),
    }


def bare(status: int, **headers: str) -> dict[str, Any]:
    """A response whose headers say it all: 304, or a redirect."""
    return {"statusCode": status, "headers": {**_GUARDS, **headers}}


def problem(status: int, detail: str, **headers: str) -> dict[str, Any]:
    """A response that says what is wrong.

    Args:
        status: of HTTP; its phrase is the title, so the type is `about:blank`.
        detail: a sentence or two about this very request.
        headers: beside those of any answer.
    """
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "message": detail}
    return answer(status, body, "application/problem+json", **headers)


def refusal(method: str, path: str) -> dict[str, Any]:
    """A response to a request that no function serves: 405 where its path takes other methods, 404 where there is none.

    OPTIONS is answered. Where pages may call the API, API Gateway may hand a browser's preflight on, and adds its own
    headers to our answer, which must then be a success. It adds none where they may not, so this lets no page in.

    Args:
        method: of the request.
        path: of the request, decoded once.
    """
    if path.endswith("/") and method in routes.methods(path.rstrip("/")):
        return problem(404, f"No path ends in a slash. Without the slash at its end, this one takes {method}. {_PATHS}")
    taken = routes.methods(path)
    allow = ", ".join((*taken, "OPTIONS"))
    if not taken or method in taken:  # taken, it would not have come here: it only looks like a path there is
        return problem(404, f"There is no such path. {_PATHS}")
    if method == "OPTIONS":
        return bare(204, allow=allow)
    elsewhere = routes.paths(method)
    hint = f" {method} is for {', '.join(elsewhere)}." if elsewhere else ""
    return problem(405, f"This path takes {' or '.join(taken)}, not {method[:20]}.{hint}", allow=allow)


def told(unavailable: str) -> Callable[[Handler], Handler]:
    """Log under the request's id, and answer our own errors as problems.

    Args:
        unavailable: what to say when AWS does not answer.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
            logger.set_correlation_id(event["requestContext"]["requestId"])
            try:
                return handler(event, context)
            except tuple(_STATUS) as error:
                later = {"retry-after": str(error.retry_after_seconds)} if isinstance(error, TooSoonError) else {}
                return problem(_STATUS[type(error)], str(error).replace("\n", " "), **later)
            except WrongPathError:
                return refusal(event["requestContext"]["http"]["method"], event["rawPath"])
            except StorageUnavailableError:
                logger.exception("request not served")
                return problem(503, unavailable)

        return lambda_handler

    return decorate
