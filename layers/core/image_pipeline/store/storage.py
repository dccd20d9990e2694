"""S3: read exactly the bytes that an event announced, write renditions, and sign URLs for them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from image_pipeline import aws, keys
from image_pipeline.errors import (
    StorageUnavailableError,
    UploadArchivedError,
    UploadTooLargeError,
    UploadVanishedError,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, TagTypeDef

# 405: the version is a delete marker. 412: the etag differs.
_VANISHED_CODES = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "PreconditionFailed", "412"})
_ARCHIVED_CODE = "InvalidObjectState"

SUPERSEDED_TAG: "TagTypeDef" = {
    "Key": "superseded",
    "Value": "true",
}  # a lifecycle rule in template.yml expires objects with this tag
PARALLEL_WRITES = 4  # about the files of the default recipes; a client's connection pool holds ten connections
_MAX_DELETE_BATCH = 1000  # S3's limit
_MAX_LISTED_VERSIONS = 20_000  # bounds the work, even when an upload has the name of a large folder

CACHE_FOREVER = "public, max-age=31536000, immutable"  # the key of a rendition changes with its content


class ObjectVersion(NamedTuple):
    """One version of one object."""

    bucket: str
    key: str
    etag: str
    version_id: str | None
    size_bytes: int

    @classmethod
    def from_json(cls, upload: dict[str, Any]) -> "ObjectVersion":
        """Create a source from the workflow's `upload`."""
        return cls(
            bucket=upload["bucket"],
            key=upload["key"],
            etag=upload["etag"],
            version_id=upload.get("versionId"),
            size_bytes=upload["sizeBytes"],
        )

    def to_json(self) -> dict[str, Any]:
        """Return the form that the workflow passes between steps."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "etag": self.etag,
            "versionId": self.version_id,
            "sizeBytes": self.size_bytes,
        }


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class RenditionVersion(NamedTuple):
    """One version of one rendition. A version never changes, so an operation on it cannot affect newer data."""

    key: str
    version_id: str
    latest: bool
    written: datetime = _LONG_AGO


@contextmanager
def _translate_errors(source: ObjectVersion | None = None) -> Iterator[None]:
    try:
        with aws.translate_errors("S3", "Check the health of S3; when it has recovered, upload the image again."):
            yield
    except aws.AwsError as error:
        code = aws.code_of(error)
        if source and code in _VANISHED_CODES:
            raise UploadVanishedError(
                f"The upload was deleted or replaced before it was read: S3 answered {code}.",
                "If that was intended, nothing to do; otherwise upload the image again.",
            ) from error
        if source and code == _ARCHIVED_CODE:
            raise UploadArchivedError(
                f"The upload is archived in S3 ({_storage_class(error)}) and must be restored before it can be read.",
                "Restore the object, for example with `aws s3api restore-object`; then reprocess it.",
            ) from error
        raise


def _storage_class(error: Exception) -> str:
    """Return the storage class of an archived object, and its access tier if the class has several."""
    response: dict[str, Any] = getattr(error, "response", {})
    return ", ".join(response[name] for name in ("StorageClass", "AccessTier") if name in response) or "class unknown"


class StoredUpload(NamedTuple):
    """An upload that was read completely."""

    data: bytes
    metadata: Mapping[str, str]
    """The user-defined metadata, by name without `x-amz-meta-`."""


def _get(client: aws.Client, source: ObjectVersion, **parameters: str) -> StoredUpload:
    s3: S3Client = client("s3")
    pin: dict[str, str] = {"VersionId": source.version_id} if source.version_id else {"IfMatch": source.etag}
    with _translate_errors(source):
        answer = s3.get_object(Bucket=source.bucket, Key=source.key, **pin, **parameters)  # type: ignore[arg-type]
        return StoredUpload(answer["Body"].read(), answer["Metadata"])


def read(client: aws.Client, source: ObjectVersion, max_bytes: int) -> StoredUpload:
    """Read an object of at most `max_bytes`, whatever size the event announced.

    Raises:
        UploadTooLargeError: the object has more bytes.
        UploadVanishedError: the version no longer exists.
        UploadArchivedError: the object must be restored before it can be read.
        StorageUnavailableError: S3 was not available.
    """
    upload = _get(client, source, Range=f"bytes=0-{max_bytes}")
    if len(upload.data) > max_bytes:
        raise UploadTooLargeError(
            f"The object is larger than the limit of {max_bytes:,} bytes.",
            "Upload a smaller file, or raise MaxUploadMegabytes and deploy again.",
        )
    return upload


class UploadReader:
    """Reads parts of an upload with ranged GETs, under the spelling of its key that exists."""

    def __init__(self, client: aws.Client, source: ObjectVersion) -> None:
        self._client = client
        self.source = source
        """After the first read, it has the spelling of the key that exists."""
        self._spelling_is_known = False

    def read(self, start: int, length: int) -> bytes:
        """Read `length` bytes from `start`, or fewer when the object ends earlier.

        Raises:
            UploadVanishedError: the object does not exist under any spelling of its key.
            UploadArchivedError: the object must be restored before it can be read.
            StorageUnavailableError: S3 was not available.
        """
        if start >= self.source.size_bytes:
            return b""  # S3 rejects a range that starts beyond the end
        if not self._spelling_is_known:
            return self._read_existing(start, length)
        return _read_range(self._client, self.source, start, length)

    def _read_existing(self, start: int, length: int) -> bytes:
        *first_choices, last = (self.source._replace(key=key) for key in keys.spellings(self.source.key))
        for source in first_choices:
            with suppress(UploadVanishedError):
                return self._read_as(source, start, length)
        return self._read_as(last, start, length)

    def _read_as(self, source: ObjectVersion, start: int, length: int) -> bytes:
        data = _read_range(self._client, source, start, length)
        self.source = source
        self._spelling_is_known = True
        return data


def _read_range(client: aws.Client, source: ObjectVersion, start: int, length: int) -> bytes:
    return _get(client, source, Range=f"bytes={start}-{start + length - 1}").data


class NewFile(NamedTuple):
    """One file to store."""

    key: str
    data: bytes
    content_type: str
    temporary: bool = False
    """Whether the lifecycle may expire it after a day, because no record will point to it."""


class StoredFile(NamedTuple):
    """The location of a stored file."""

    bucket: str
    key: str
    etag: str
    version_id: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the form that the workflow passes between steps."""
        return {"bucket": self.bucket, "key": self.key, "versionId": self.version_id, "etag": self.etag}


def write(client: aws.Client, bucket: str, files: Sequence[NewFile]) -> list[StoredFile]:
    """Store the files of one image, several in parallel, because the time spent waiting for S3 is billed.

    Raises:
        StorageUnavailableError: S3 was not available.
    """
    from concurrent.futures import ThreadPoolExecutor  # it imports logging, and most functions write no files

    with ThreadPoolExecutor(max_workers=PARALLEL_WRITES) as threads:
        return list(threads.map(partial(_write, client, bucket), files))


def _write(client: aws.Client, bucket: str, file: NewFile) -> StoredFile:
    s3: S3Client = client("s3")
    tagging = {"Tagging": f"{SUPERSEDED_TAG['Key']}={SUPERSEDED_TAG['Value']}"} if file.temporary else {}
    with _translate_errors():
        answer = s3.put_object(
            Bucket=bucket,
            Key=file.key,
            Body=file.data,
            ContentType=file.content_type,
            CacheControl=CACHE_FOREVER,
            **tagging,  # type: ignore[arg-type]
        )
    return StoredFile(bucket, file.key, answer["ETag"].strip('"'), answer.get("VersionId"))


def rendition_versions(client: aws.Client, *, bucket: str, image_key: str) -> tuple[tuple[RenditionVersion, ...], bool]:
    """List the stored versions of an upload's renditions, without delete markers, the newest of each key first.

    Returns:
        The versions, and whether the list is complete: at most `_MAX_LISTED_VERSIONS` versions are read.

    Raises:
        StorageUnavailableError: S3 was not available.
    """
    s3: S3Client = client("s3")
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket,
        Prefix=keys.rendition_prefix(image_key),
        PaginationConfig={"MaxItems": _MAX_LISTED_VERSIONS},
    )
    with _translate_errors():
        listed = [version for page in pages for version in page.get("Versions", ())]
    versions = tuple(
        RenditionVersion(version["Key"], version["VersionId"], version["IsLatest"], version["LastModified"])
        for version in listed
        if keys.is_rendition_of(image_key, version["Key"])
    )
    return versions, pages.resume_token is None


def mark_superseded(client: aws.Client, bucket: str, versions: Iterable[RenditionVersion]) -> None:
    """Tag versions so that the bucket's lifecycle expires them, after every URL that was signed for them has expired.

    Raises:
        StorageUnavailableError: S3 was not available.
    """
    s3: S3Client = client("s3")
    for version in versions:
        source = ObjectVersion(bucket, version.key, "", version.version_id, 0)
        with suppress(UploadVanishedError), _translate_errors(source):  # a version that was deleted needs no tag
            s3.put_object_tagging(
                Bucket=bucket, Key=version.key, VersionId=version.version_id, Tagging={"TagSet": [SUPERSEDED_TAG]}
            )


def delete(client: aws.Client, bucket: str, versions: Sequence[RenditionVersion]) -> None:
    """Delete versions permanently.

    Raises:
        StorageUnavailableError: S3 was not available, or did not delete all of them.
    """
    s3: S3Client = client("s3")
    for start in range(0, len(versions), _MAX_DELETE_BATCH):
        batch = versions[start : start + _MAX_DELETE_BATCH]
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": version.key, "VersionId": version.version_id} for version in batch
        ]
        with _translate_errors():
            response = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := response.get("Errors"):
            raise StorageUnavailableError(
                f"S3 did not delete {len(errors)} of {len(batch)} renditions: {errors[0].get('Code')}.",
                "Check the permissions of the function and the health of S3; then redrive the execution.",
            )


def signed_url(
    client: aws.Client,
    *,
    bucket: str,
    key: str,
    version_id: str | None,
    seconds: int,
    method: str = "GET",
    disposition: str | None = None,
) -> str:
    """Sign a URL that returns the object to anyone for `seconds`.

    With a version id, the URL returns that version even after the object was overwritten. It accepts one method, GET or
    HEAD, because the signature contains the method. With a disposition, the response has it as its Content-Disposition.
    """
    s3: S3Client = client("s3")
    version = {"VersionId": version_id} if version_id else {}
    header = {"ResponseContentDisposition": disposition} if disposition else {}
    parameters = {"Bucket": bucket, "Key": key, **version, **header}
    operation = {"GET": "get_object", "HEAD": "head_object"}[method]
    return s3.generate_presigned_url(operation, Params=parameters, ExpiresIn=seconds)
