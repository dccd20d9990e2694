"""Conditional copies in the S3 of moto, which ignores If-None-Match of CopyObject."""

from typing import Any

from moto.s3.exceptions import PreconditionFailed
from moto.s3.responses import S3Response


def install() -> None:
    """Refuse a copy with `If-None-Match: *` onto a key that has an object.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    copy = getattr(S3Response, "copy_object", None)
    if not callable(copy) or not callable(getattr(S3Response, "parse_key_name", None)):
        raise RuntimeError("moto changed how it copies S3 objects: moto_seams/copies.py must follow.")
    if hasattr(copy, "__wrapped__"):
        return

    def copy_if_absent(response: Any) -> Any:
        is_taken = response.backend.get_object(response.bucket_name, response.parse_key_name()) is not None
        if response.headers.get("If-None-Match") == "*" and is_taken:
            raise PreconditionFailed("If-None-Match")
        return copy(response)

    copy_if_absent.__wrapped__ = copy  # type: ignore[attr-defined]
    S3Response.copy_object = copy_if_absent  # type: ignore[method-assign,assignment]
