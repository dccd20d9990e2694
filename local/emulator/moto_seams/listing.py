"""Seams in moto's S3: to list versions, it copies every object of the bucket, bytes and all, and keeps the copies.

It also stumbles over a key that is deleted while it does.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.utils import _VersionedKeyStore


def install() -> None:
    """Let a listing copy only what it tells of an object, and list what was there when it began.

    Raises:
        RuntimeError: moto no longer has what is replaced.
    """
    if not hasattr(FakeKey, "instances_tracked") or not callable(getattr(FakeKey, "dispose", None)):
        raise RuntimeError("moto changed how it keeps and disposes of S3 objects: moto_seams/listing.py must follow.")
    if not callable(getattr(_VersionedKeyStore, "iterlists", None)):
        raise RuntimeError(
            "moto changed how it walks through the objects of a bucket: moto_seams/listing.py must follow."
        )
    FakeKey.__deepcopy__ = _without_bytes  # type: ignore[attr-defined]
    _VersionedKeyStore.lists = _VersionedKeyStore.iterlists = _lists  # type: ignore[assignment]


def _lists(keys: _VersionedKeyStore) -> Iterator[tuple[str, list[Any]]]:
    yield from dict(keys).items()  # a plain copy; moto looks each key up again


def _without_bytes(key: FakeKey, _: Any) -> FakeKey:
    copied = object.__new__(FakeKey)  # past moto's own way, which keeps every object that it makes
    # The etag may still have to be made from the bytes; a copy that is dropped closes its buffer.
    vars(copied).update(vars(key), _etag=key.etag.strip('"'), _value_buffer=BytesIO(), disposed=True)
    return copied
