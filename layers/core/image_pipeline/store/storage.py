"""S3: read exactly the bytes that an event announced, write renditions, sign their URLs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import boto3

from image_pipeline import aws, keys
from image_pipeline.errors import (
    StorageUnavailableError,
    UploadArchivedError,
    UploadTooLargeError,
    UploadVanishedError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

# 405: the version is a delete marker. 412: the etag is another one.
_VANISHED_CODES = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "PreconditionFailed", "412"})
_ARCHIVED_CODE = "InvalidObjectState"

SUPERSEDED_TAG: "TagTypeDef" = {
    "Key": "superseded",
    "Value": "true",
}  # a lifecycle rule in template.yml expires what has it
WRITTEN_AT_ONCE = 4  # files of the default recipes; a client's connection pool has room for ten
_DELETE_AT_ONCE = 1000  # S3's limit
_LIST_MOST = 20_000  # versions; the work is bounded even where a folder is named like a picture

CACHE_FOR_EVER = "public, max-age=31536000, immutable"  # a rendition's name changes with its content


@dataclass(frozen=True)
class Source:
    """One version of one object, and nothing else that may come to have its name."""

    bucket: str
    key: str
    etag: str
    version_id: str | None
    size_bytes: int

    @classmethod
    def from_json(cls, upload: dict[str, Any]) -> "Source":
        """From the `upload` of the workflow."""
        return cls(
            bucket=upload["bucket"],
            key=upload["key"],
            etag=upload["etag"],
            version_id=upload.get("versionId"),
            size_bytes=upload["sizeBytes"],
        )

    def to_json(self) -> dict[str, Any]:
        """The form that the workflow hands on."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "etag": self.etag,
            "versionId": self.version_id,
            "sizeBytes": self.size_bytes,
        }


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Version:
    """One version of one rendition. A version is never written again, so whatever is done to it hits nothing newer."""

    key: str
    version_id: str
    latest: bool
    written: datetime = _LONG_AGO


@cache
def _s3() -> "S3Client":
    return boto3.client("s3", config=aws.SIGNING_CONFIG)


@contextmanager
def _named_errors(source: Source | None = None) -> Iterator[None]:
    try:
        with aws.named_errors("S3", "Look at the health of S3; once it answers, upload the picture again."):
            yield
    except aws.AwsError as error:
        code = aws.code_of(error)
        if source and code in _VANISHED_CODES:
            raise UploadVanishedError(
                f"The upload was deleted or replaced before it was read: S3 answered {code}.",
                "Nothing to do if that was meant; otherwise upload the picture again.",
            ) from error
        if source and code == _ARCHIVED_CODE:
            raise UploadArchivedError(
                f"The upload is archived in S3 ({_archive(error)}), which returns its bytes only after a restore.",
                "Restore the object, for example with `aws s3api restore-object`; when S3 has done so, reprocess it.",
            ) from error
        raise


def _archive(error: Exception) -> str:
    """Name the storage class that S3 refused to read, and the tier where the class has several."""
    answer: dict[str, Any] = getattr(error, "response", {})
    return ", ".join(answer[name] for name in ("StorageClass", "AccessTier") if name in answer) or "class unknown"


def _get(source: Source, **more: str) -> bytes:
    pin: dict[str, str] = {"VersionId": source.version_id} if source.version_id else {"IfMatch": source.etag}
    with _named_errors(source):
        answer = _s3().get_object(Bucket=source.bucket, Key=source.key, **pin, **more)  # type: ignore[arg-type]
        return answer["Body"].read()


def read(source: Source, max_bytes: int) -> bytes:
    """The whole object, never more than `max_bytes`, whatever size was announced.

    Raises:
        UploadTooLargeError: it has more.
        UploadVanishedError: that version is gone.
        UploadArchivedError: it must be restored before it can be read.
        StorageUnavailableError: S3 did not answer.
    """
    data = _get(source, Range=f"bytes=0-{max_bytes}")
    if len(data) > max_bytes:
        raise UploadTooLargeError(
            f"The object has more bytes than the limit of {max_bytes:,}.",
            "Upload a smaller file, or raise MaxUploadMegabytes and deploy again.",
        )
    return data


class UploadReader:
    """Parts of an upload by ranged GETs, under the spelling of its key that exists."""

    def __init__(self, source: Source) -> None:
        self.source = source
        """After the first read: under the spelling of the key that exists."""
        self._known = False

    def read(self, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`, fewer when the object ends before.

        Raises:
            UploadVanishedError: the object exists under no spelling of its key.
            UploadArchivedError: it must be restored before it can be read.
            StorageUnavailableError: S3 did not answer.
        """
        if start >= self.source.size_bytes:
            return b""  # S3 answers a range of nothing with an error
        if not self._known:
            return self._read_existing(start, length)
        return _read_range(self.source, start, length)

    def _read_existing(self, start: int, length: int) -> bytes:
        *likelier, last = (replace(self.source, key=key) for key in keys.spellings(self.source.key))
        self._known = True
        for self.source in likelier:
            with suppress(UploadVanishedError):
                return _read_range(self.source, start, length)
        self.source = last
        return _read_range(last, start, length)


def _read_range(source: Source, start: int, length: int) -> bytes:
    return _get(source, Range=f"bytes={start}-{start + length - 1}")


@dataclass(frozen=True)
class File:
    """One file of a picture, to be stored."""

    key: str
    data: bytes
    content_type: str
    passing: bool = False
    """Whether it may go after a day: no record will point at it."""


@dataclass(frozen=True)
class Written:
    """Where one file is now."""

    bucket: str
    key: str
    etag: str
    version_id: str | None

    def to_json(self) -> dict[str, Any]:
        """The form that the workflow hands on."""
        return {"bucket": self.bucket, "key": self.key, "versionId": self.version_id, "etag": self.etag}


def write(bucket: str, files: Sequence[File]) -> list[Written]:
    """Store the files of one picture, some at the same time: each waits for S3, and waiting is billed.

    Raises:
        StorageUnavailableError: S3 did not answer.
    """
    from concurrent.futures import ThreadPoolExecutor  # brings logging along; most functions write nothing

    with ThreadPoolExecutor(max_workers=WRITTEN_AT_ONCE) as threads:
        return list(threads.map(partial(_write, bucket), files))


def _write(bucket: str, file: File) -> Written:
    tagging = {"Tagging": f"{SUPERSEDED_TAG['Key']}={SUPERSEDED_TAG['Value']}"} if file.passing else {}
    with _named_errors():
        answer = _s3().put_object(
            Bucket=bucket,
            Key=file.key,
            Body=file.data,
            ContentType=file.content_type,
            CacheControl=CACHE_FOR_EVER,
            **tagging,  # type: ignore[arg-type]
        )
    return Written(bucket, file.key, answer["ETag"].strip('"'), answer.get("VersionId"))


def rendition_versions(bucket: str, image_key: str) -> tuple[tuple[Version, ...], bool]:
    """Every version of every rendition of an upload that is stored now, delete markers left out.

    Returns:
        Them, and whether these are all: no more than `_LIST_MOST` versions are looked at.

    Raises:
        StorageUnavailableError: S3 did not answer.
    """
    prefix = keys.rendition_prefix(image_key)
    pages = (
        _s3()
        .get_paginator("list_object_versions")
        .paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": _LIST_MOST})
    )
    with _named_errors():
        listed = [version for page in pages for version in page.get("Versions", ())]
    own = tuple(
        Version(version["Key"], version["VersionId"], version["IsLatest"], version["LastModified"])
        for version in listed
        if keys.is_rendition_of(image_key, version["Key"])
    )
    return own, pages.resume_token is None


def mark_superseded(bucket: str, versions: Iterable[Version]) -> None:
    """Let the bucket's lifecycle expire these versions, after every URL that was signed for them.

    Raises:
        StorageUnavailableError: S3 did not answer.
    """
    for version in versions:
        source = Source(bucket, version.key, "", version.version_id, 0)
        with suppress(UploadVanishedError), _named_errors(source):  # deleted meanwhile is as good
            _s3().put_object_tagging(
                Bucket=bucket, Key=version.key, VersionId=version.version_id, Tagging={"TagSet": [SUPERSEDED_TAG]}
            )


def delete(bucket: str, versions: Sequence[Version]) -> None:
    """Delete versions for good, now.

    Raises:
        StorageUnavailableError: S3 did not answer, or left some of them.
    """
    for start in range(0, len(versions), _DELETE_AT_ONCE):
        some = versions[start : start + _DELETE_AT_ONCE]
        with _named_errors():
            answer = _s3().delete_objects(
                Bucket=bucket,
                Delete={"Objects": [{"Key": each.key, "VersionId": each.version_id} for each in some], "Quiet": True},
            )
        if left := answer.get("Errors"):
            raise StorageUnavailableError(
                f"S3 did not delete {len(left)} of {len(some)} renditions: {left[0].get('Code')}.",
                "Look at the permissions of the function and the health of S3; then redrive the execution.",
            )


def url(bucket: str, key: str, version_id: str | None, seconds: int) -> str:
    """A URL that gives the object to anyone who has it, for `seconds`; of that version, also when it is replaced."""
    which = {"VersionId": version_id} if version_id else {}
    return _s3().generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key, **which}, ExpiresIn=seconds)
