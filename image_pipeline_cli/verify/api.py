"""Checks of the HTTP API: uploads, the original, errors and keys."""

import json
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from image_pipeline import keys
from image_pipeline_cli.checks import Check, CheckFailedError
from image_pipeline_cli.verify import http
from image_pipeline_cli.verify.images import check_image
from image_pipeline_cli.verify.samples import FIRST, SampleImage, jpeg
from image_pipeline_cli.verify.session import Session

_POSTED = SampleImage("upload by POST /images", "posted.jpg", "JPEG", jpeg, orientation=8)
_FORM = SampleImage("upload by presigned form", "form.jpg", "JPEG", jpeg)
_JSON = {"content-type": "application/json"}
_PROBLEM = "application/problem+json"
_ADVICE = "See ApiErrorsAlarm in docs/operations.md; deploy again if a role or a route was changed by hand."


@dataclass(frozen=True)
class _BadRequest:
    """A request that the API must refuse."""

    status: int
    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def check_post(session: Session) -> str:
    """Check an upload by `POST /images`."""
    session.need_key()
    data = _POSTED.encode()
    at = time.monotonic()
    query = f"?name={quote(session.folder + _POSTED.file_name)}"
    answer = session.expect(
        session.call("POST", f"/images{query}", data, {"content-type": "image/jpeg"}), 202, "POST /images"
    )
    return _check_upload(session, _POSTED, answer["versionId"], at)


def check_form(session: Session) -> str:
    """Check an upload by a presigned form, which goes to S3 directly."""
    session.need_key()
    data = _FORM.encode()
    at = time.monotonic()
    request = json.dumps({"name": session.folder + _FORM.file_name, "sizeBytes": len(data), "method": "POST"}).encode()
    signed = session.expect(session.call("POST", "/images/presigned", request, _JSON), 200, "POST /images/presigned")
    body, content_type = http.form(signed["post"]["fields"], _FORM.file_name, data)
    stored = http.send("POST", signed["post"]["url"], body, {"content-type": content_type})
    if stored.status != 204:
        raise CheckFailedError(
            f"S3 answers the form with {stored.status} instead of 204.",
            "The role of PresignUpload may lack s3:PutObject on the uploads: deploy again.",
        )
    return _check_upload(session, _FORM, stored.headers.get("x-amz-version-id"), at)


def check_original(session: Session) -> str:
    """Check that the original can be downloaded, byte by byte."""
    session.need_key()
    image_key = session.outcome(FIRST.file_name)["imageKey"]
    signed = session.expect(session.call("GET", keys.original_path(image_key)), 200, "GET …/original")
    answer = http.send("GET", signed["url"])
    if answer.status != 200 or answer.body != FIRST.encode():
        raise CheckFailedError(
            f"The URL of the original answers {answer.status} with {len(answer.body):,} bytes, not with the upload.",
            "The role of GetOriginal may lack s3:GetObjectVersion on the uploads: deploy again.",
        )
    return "The URL returns exactly the bytes of the upload."


def check_errors(session: Session) -> str:
    """Check that bad requests are refused with problem documents."""
    session.need_key()
    requests = _bad_requests(session.folder)
    for request in requests:
        name = f"{request.method} {request.path}"
        answer = session.call(request.method, request.path, request.body, request.headers)
        problem = session.expect(answer, request.status, name)
        if answer.headers.get("content-type") != _PROBLEM or not problem.get("detail"):
            raise CheckFailedError(f"{name} answers {answer.status} without a problem document.", _ADVICE)
    return f"{len(requests)} bad requests were refused with an explanation."


def check_keys(session: Session) -> str:
    """Check that the API refuses requests without a key, with an invalid one, and beyond the limits of one."""
    session.need_key()
    first = keys.status_path(session.folder + FIRST.file_name).removesuffix(keys.STATUS_SUFFIX)
    listing = f"/images?prefix={quote(session.folder)}"
    for key, name, method, path, status in (
        ("", "without a key", "GET", listing, 401),
        (_changed(session.key), "with an invalid key", "GET", listing, 403),
        (session.limited_key, "with a key that may read", "GET", listing, 200),
        (session.limited_key, "with a key that may only read", "DELETE", first, 403),
    ):
        session.expect(session.call(method, path, key=key), status, f"{method} {path.partition('?')[0]} {name}")
    return "Keys are required, checked and limited."


def _check_upload(session: Session, sample: SampleImage, version_id: str | None, at: float) -> str:
    head = session.stack.client("s3").head_object(Bucket=session.bucket, Key=session.folder + sample.file_name)
    session.wait([session.remember(sample.file_name, version_id, head["ETag"], at)], session.times.alone)
    return check_image(session, sample)


def _bad_requests(folder: str) -> list[_BadRequest]:
    unknown = folder + "unknown.jpg"
    jpeg_type = {"content-type": "image/jpeg"}
    upload = f"/images?name={quote(folder + 'refused.jpg')}"
    return [
        _BadRequest(404, "GET", keys.status_path(unknown)),
        _BadRequest(404, "GET", "/nothing"),
        _BadRequest(405, "PUT", "/images"),
        _BadRequest(400, "POST", "/images?name=../refused.jpg", FIRST.encode(), jpeg_type),
        _BadRequest(400, "POST", upload, None, jpeg_type),
        _BadRequest(415, "POST", upload, b"This is not an image.", jpeg_type),
        _BadRequest(400, "POST", "/images/presigned", b"{}", _JSON),
        _BadRequest(400, "GET", "/images?limit=0"),
    ]


def _changed(key: str) -> str:
    """Return a key of the right form with a wrong secret."""
    return key[:-1] + ("a" if key[-1] != "a" else "b")


CHECKS: tuple[Check[Session], ...] = (
    Check(_POSTED.name, check_post, ("s3:GetObject",)),
    Check(_FORM.name, check_form, ("s3:GetObject",)),
    Check("original", check_original),
    Check("API errors", check_errors),
    Check("API keys", check_keys),
)
