"""Return the version of an upload by form, which the S3 of moto omits.

https://docs.aws.amazon.com/AmazonS3/latest/API/postVersions.html
"""

from contextvars import ContextVar
from functools import wraps
from typing import Any

from moto.s3.models import FakeKey, S3Backend
from moto.s3.responses import S3Response

_stored: ContextVar[FakeKey | None] = ContextVar("stored", default=None)
_ANSWER = "_bucket_response_post"


def install() -> None:
    """Answer a form with etag and version id of the stored object, as S3 does.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not callable(getattr(S3Response, _ANSWER, None)) or not callable(getattr(S3Backend, "put_object", None)):
        raise RuntimeError(f"moto moved S3Response.{_ANSWER} or S3Backend.put_object: moto_seams/forms.py must follow.")
    S3Backend.put_object = _recording(S3Backend.put_object)  # type: ignore[method-assign]
    setattr(S3Response, _ANSWER, _adding_headers(getattr(S3Response, _ANSWER)))


def _recording(put_object: Any) -> Any:
    @wraps(put_object)
    def put_and_record(*arguments: Any, **options: Any) -> FakeKey:
        key: FakeKey = put_object(*arguments, **options)
        _stored.set(key)
        return key

    return put_and_record


def _adding_headers(answer: Any) -> Any:
    @wraps(answer)
    def answer_with_headers(self: S3Response, request: Any, bucket_name: str) -> Any:
        _stored.set(None)
        status, headers, body = answer(self, request, bucket_name)
        if key := _stored.get():
            versioned = self.backend.get_bucket(bucket_name).is_versioned
            headers = {**headers, "ETag": key.etag, **({"x-amz-version-id": key.version_id} if versioned else {})}
        return status, headers, body

    return answer_with_headers
