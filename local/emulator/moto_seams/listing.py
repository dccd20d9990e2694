"""Speed up listing versions in the S3 of moto, which copies every object with its content and keeps the copies.

moto also fails if a key is deleted during the listing, and if a key or the prefix contains a character that XML
excludes: it ignores `encoding-type`, with which S3 encodes them.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import quote

from moto.s3.models import FakeKey
from moto.s3.responses import S3Response
from moto.s3.utils import _VersionedKeyStore

_KEY_NAMES = ("Key", "Prefix", "Delimiter", "KeyMarker", "NextKeyMarker")


def install() -> None:
    """Copy objects without their content for a listing, and list the keys at its start.

    Raises:
        RuntimeError: moto no longer has something that this module replaces.
    """
    if not hasattr(FakeKey, "instances_tracked") or not callable(getattr(FakeKey, "dispose", None)):
        raise RuntimeError("moto changed how it keeps and disposes of S3 objects: moto_seams/listing.py must follow.")
    if not callable(getattr(_VersionedKeyStore, "iterlists", None)):
        raise RuntimeError(
            "moto changed how it walks through the objects of a bucket: moto_seams/listing.py must follow."
        )
    if not callable(getattr(S3Response, "serialized", None)):
        raise RuntimeError("moto changed how it writes S3 answers: moto_seams/listing.py must follow.")
    serialize = S3Response.serialized

    def serialized(response: S3Response, action_result: Any) -> Any:
        is_listing = response.data.get("Action") == "ListObjectVersions"
        is_asked = is_listing and response.querystring.get("encoding-type") == ["url"]
        if is_asked and "EncodingType" not in action_result.result:  # `install` may have been called before
            action_result.result.update(_encoded(action_result.result), EncodingType="url")
        return serialize(response, action_result)

    S3Response.serialized = serialized  # type: ignore[assignment, method-assign]
    FakeKey.__deepcopy__ = _without_bytes  # type: ignore[attr-defined]
    _VersionedKeyStore.lists = _VersionedKeyStore.iterlists = _lists  # type: ignore[assignment]


def _encoded(listed: Any) -> Any:
    """Encode the keys in a listing, at any depth, as S3 does."""
    if isinstance(listed, list):
        return [_encoded(item) for item in listed]
    if not isinstance(listed, dict):
        return listed
    return {
        name: quote(value) if name in _KEY_NAMES and isinstance(value, str) else _encoded(value)
        for name, value in listed.items()
    }


def _lists(keys: _VersionedKeyStore) -> Iterator[tuple[str, list[Any]]]:
    yield from dict(keys).items()  # a copy; moto looks up each key again


def _without_bytes(key: FakeKey, _: Any) -> FakeKey:
    copied = object.__new__(FakeKey)  # bypass the constructor of moto, which keeps every object
    # Compute the etag now, because it needs the content. A deleted copy closes its buffer, so it gets its own.
    vars(copied).update(vars(key), _etag=key.etag.strip('"'), _value_buffer=BytesIO(), disposed=True)
    return copied
