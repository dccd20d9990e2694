"""Speed up listing versions in the S3 of moto, which copies every object with its content and keeps the copies.

moto also fails if a key is deleted during the listing.
"""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from moto.s3.models import FakeKey
from moto.s3.utils import _VersionedKeyStore


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
    FakeKey.__deepcopy__ = _without_bytes  # type: ignore[attr-defined]
    _VersionedKeyStore.lists = _VersionedKeyStore.iterlists = _lists  # type: ignore[assignment]


def _lists(keys: _VersionedKeyStore) -> Iterator[tuple[str, list[Any]]]:
    yield from dict(keys).items()  # a copy; moto looks up each key again


def _without_bytes(key: FakeKey, _: Any) -> FakeKey:
    copied = object.__new__(FakeKey)  # bypass the constructor of moto, which keeps every object
    # Compute the etag now, because it needs the content. A deleted copy closes its buffer, so it gets its own.
    vars(copied).update(vars(key), _etag=key.etag.strip('"'), _value_buffer=BytesIO(), disposed=True)
    return copied
