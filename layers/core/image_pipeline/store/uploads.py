"""Store, delete, restore and reprocess uploads, and set their focus, for the API and the command line."""

import json
import math
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from image_pipeline import aws, s3_events, times
from image_pipeline.errors import (
    StorageUnavailableError,
    TooSoonError,
    UploadArchivedError,
    UploadChangedError,
    UploadExistsError,
    UploadNotDeletedError,
    UploadNotFoundError,
    UploadTooLargeError,
)
from image_pipeline.store import records
from image_pipeline.store.attributes import to_attribute

MAX_COPY_BYTES = 5 * 1024**3
"""The limit of CopyObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
_NEWEST_VERSIONS = 100  # per key; a version that is not claimed yet is among them
NULL_VERSION = "null"  # S3's id of an object that was stored without versioning; events and records have no id then
_MISSING_CODES = frozenset({"404", "NoSuchKey", "405", "MethodNotAllowed"})  # 405: the version is a delete marker
_CHANGED_CODES = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})


def store(
    client: aws.Client,
    *,
    bucket: str,
    image_key: str,
    data: bytes,
    content_type: str,
    overwrite: bool,
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> str | None:
    """Write an upload to S3. S3's event about it starts the workflow.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        image_key: the key of the upload.
        data: the bytes of the image.
        content_type: the content type of the object.
        metadata: the user-defined metadata of the object, by name without `x-amz-meta-`.
        overwrite: whether to replace an existing upload.

    Returns:
        The version id; None when the bucket has no versioning.

    Raises:
        UploadExistsError: an upload exists and must not be replaced.
        StorageUnavailableError: S3 was not available, or another request wrote the key at the same time.
    """
    condition = {} if overwrite else {"IfNoneMatch": "*"}
    try:
        with aws.translate_errors("S3"):
            response = client("s3").put_object(
                Bucket=bucket,
                Key=image_key,
                Body=data,
                ContentType=content_type,
                Metadata=dict(metadata),
                **condition,
            )
    except aws.AwsError as error:
        code = aws.code_of(error)
        if code == "PreconditionFailed":
            raise UploadExistsError(
                f"The upload {image_key!a} already exists.", "Choose another name, or omit If-None-Match."
            ) from error
        if code == "ConditionalRequestConflict":
            raise StorageUnavailableError(
                f"Another request wrote the upload at the same time: S3 answered {code}.", "Try again."
            ) from error
        raise
    version_id: str | None = response.get("VersionId")
    return version_id


def delete(client: aws.Client, *, bucket: str, image_key: str, etag: str | None = None) -> None:
    """Delete an upload. S3 adds a delete marker; the versions stay until they expire.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        image_key: the key of the upload.
        etag: delete only an object with this etag; None for any.

    Raises:
        UploadNotFoundError: the upload does not exist.
        UploadChangedError: the upload has a different etag.
        StorageUnavailableError: S3 was not available.
    """
    _head(client, bucket=bucket, image_key=image_key)
    condition = {} if etag is None else {"IfMatch": etag}
    with _translate_errors(image_key):
        client("s3").delete_object(Bucket=bucket, Key=image_key, **condition)


def current_version(client: aws.Client, *, bucket: str, image_key: str) -> str | None:
    """Return the version id of an upload; None when the bucket has no versioning.

    Raises:
        UploadNotFoundError: the upload does not exist.
        StorageUnavailableError: S3 was not available.
    """
    version_id: str | None = _head(client, bucket=bucket, image_key=image_key).get("VersionId")
    return version_id


def reprocess(
    client: aws.Client, *, bucket: str, table: str, state_machine: str, image_key: str, cooldown_seconds: int = 0
) -> str:
    """Start the workflow for an unchanged upload: after a recipe changed, a deployment was fixed, or an outage ended.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        table: the table of the records.
        state_machine: the ARN of the workflow.
        image_key: the key of the upload.
        cooldown_seconds: the minimum time between two reprocess requests for the upload; 0 for no minimum.

    Returns:
        The ARN of the execution.

    Raises:
        UploadNotFoundError: the upload does not exist, or is a folder marker.
        TooSoonError: the upload was reprocessed within the cooldown.
        StorageUnavailableError: AWS was not available.
    """
    state = UploadState.read(client, bucket=bucket, table=table, key=image_key)
    return _process_again(
        client, state, table=table, state_machine=state_machine, cooldown_seconds=cooldown_seconds, fields={}
    )


def set_focus(
    client: aws.Client,
    *,
    bucket: str,
    table: str,
    state_machine: str,
    image_key: str,
    point: Mapping[str, float] | None,
    cooldown_seconds: int = 0,
) -> str:
    """Choose the point that the crops of an upload must show, and process the upload again.

    The point is kept in the record, because an object in S3 cannot be changed. It belongs to this content: other
    content of the same key does not have it.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        table: the table of the records.
        state_machine: the ARN of the workflow.
        image_key: the key of the upload.
        point: `x` and `y`, 0 to 1; None to let each recipe decide.
        cooldown_seconds: the minimum time between two reprocess requests for the upload; 0 for no minimum.

    Returns:
        The ARN of the execution.

    Raises:
        UploadNotFoundError: the upload does not exist, or is a folder marker.
        TooSoonError: the upload has no record yet, or was reprocessed within the cooldown.
        StorageUnavailableError: AWS was not available.
    """
    state = UploadState.read(client, bucket=bucket, table=table, key=image_key)
    chosen = {"point": point, "versionId": state.version_id, "etag": state.etag}
    return _process_again(
        client,
        state,
        table=table,
        state_machine=state_machine,
        cooldown_seconds=cooldown_seconds,
        fields={records.CHOSEN_FOCUS: chosen},
    )


def _process_again(
    client: aws.Client,
    state: "UploadState",
    *,
    table: str,
    state_machine: str,
    cooldown_seconds: int,
    fields: Mapping[str, Any],
) -> str:
    """Write fields to the record, start the workflow, and return the ARN of the execution."""
    if state.is_folder_marker:
        raise UploadNotFoundError(f"{state.key!a} is a folder marker, not an upload.", "Name an upload in that folder.")
    if cooldown_seconds or fields:
        _begin_cooldown(client, table=table, image_key=state.key, seconds=cooldown_seconds, fields=fields)
    with _translate_errors(state.key):
        response = client("stepfunctions").start_execution(
            stateMachineArn=state_machine,
            name=f"reprocess_{uuid.uuid4()}",
            input=json.dumps(state.event(reprocess=True)),
        )
    arn: str = response["executionArn"]
    return arn


def restore(
    client: aws.Client, *, bucket: str, table: str, state_machine: str, image_key: str, cooldown_seconds: int = 0
) -> str | None:
    """Undo the deletion of an upload: copy its newest version onto its key. S3's event about it starts the workflow.

    If somebody removed the delete marker instead, the object exists, but S3 sends no event for that, and the record
    stays DELETED. Then this function starts the workflow.

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        table: the table of the records.
        state_machine: the ARN of the workflow.
        image_key: the key of the upload.
        cooldown_seconds: the minimum time between two starts of the workflow for the upload; 0 for no minimum.

    Returns:
        The id of the version that will be processed; None when the bucket has no versioning.

    Raises:
        UploadNotFoundError: no version of the upload exists.
        UploadNotDeletedError: the upload is not deleted, or a new one was stored meanwhile.
        UploadTooLargeError: the version is larger than S3 copies.
        UploadArchivedError: the version is in an archive storage class.
        TooSoonError: the workflow was started within the cooldown.
        StorageUnavailableError: AWS was not available, or another request wrote the key at the same time.
    """
    version = _newest_version(client, bucket=bucket, image_key=image_key)
    if version is None:
        raise UploadNotFoundError(f"No version of {image_key!a} exists.", "Check the name, or upload it again.")
    if not version["IsLatest"]:
        return _copy_onto_key(client, bucket=bucket, image_key=image_key, version=version)
    if records.read_claim(client, table=table, image_key=image_key).get("status") != "DELETED":
        raise UploadNotDeletedError(f"{image_key!a} is not deleted.", "To process it again, use reprocess.")
    reprocess(
        client,
        bucket=bucket,
        table=table,
        state_machine=state_machine,
        image_key=image_key,
        cooldown_seconds=cooldown_seconds,
    )
    version_id: str | None = version["VersionId"]
    return version_id


def _newest_version(client: aws.Client, *, bucket: str, image_key: str) -> Mapping[str, Any] | None:
    """Return the newest version of a key that is not a delete marker; None when there is none.

    S3 lists keys in order, so this key comes before all others that start with it, and its newest version first.
    """
    pages = client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=image_key)
    with aws.translate_errors("S3"):
        for page in pages:
            listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            for version in page.get("Versions", ()):
                if version["Key"] == image_key:
                    newest: Mapping[str, Any] = version
                    return newest
            if any(entry["Key"] != image_key for entry in listed):
                return None
    return None


def _copy_onto_key(client: aws.Client, *, bucket: str, image_key: str, version: Mapping[str, Any]) -> str | None:
    """Copy a version onto its own key, unless the key has an object again. Metadata is copied, tags are not.

    To copy tags, S3 would require permissions for tags, whether or not there are any.
    """
    if version["Size"] > MAX_COPY_BYTES:
        raise UploadTooLargeError(
            f"{image_key!a} has {version['Size']:,} bytes; S3 copies at most {MAX_COPY_BYTES:,}.",
            "Remove the delete marker in S3, and restore the upload again.",
        )
    s3 = client("s3")
    # As an event, because the SDK of a Lambda runtime may not know this parameter of CopyObject yet.
    s3.meta.events.register("before-call.s3.CopyObject", _require_absence, unique_id="require-absence")
    try:
        with aws.translate_errors("S3"):
            response = s3.copy_object(
                Bucket=bucket,
                Key=image_key,
                CopySource={"Bucket": bucket, "Key": image_key, "VersionId": version["VersionId"]},
                TaggingDirective="REPLACE",
            )
    except aws.AwsError as error:
        raise _copy_error(image_key, error) from error
    version_id: str | None = response.get("VersionId")
    return version_id


def _require_absence(params: dict[str, Any], **_: Any) -> None:
    params["headers"]["If-None-Match"] = "*"


def _copy_error(image_key: str, error: ClientError | BotoCoreError) -> Exception:
    code = aws.code_of(error)
    if code in ("412", "PreconditionFailed"):
        return UploadNotDeletedError(f"{image_key!a} was stored again meanwhile.", "Nothing to do.")
    if code == "ConditionalRequestConflict":
        return StorageUnavailableError(
            f"Another request wrote the upload at the same time: S3 answered {code}.", "Try again."
        )
    if code == "InvalidObjectState":
        return UploadArchivedError(
            f"The newest version of {image_key!a} is archived in S3.",
            "Restore this version in S3, for example with `aws s3api restore-object`, and try again.",
        )
    if code in (*_MISSING_CODES, "NoSuchVersion"):
        return UploadNotFoundError(f"No version of {image_key!a} exists.", "Upload it again.")
    return error


def version_of(record: Mapping[str, Any] | None) -> str | None:
    """Return the version id of the upload that a record describes; None when it describes no upload.

    Args:
        record: the record as plain JSON; None when the key has no record.
    """
    upload = record and record.get("upload")
    return str(upload.get("versionId") or NULL_VERSION) if upload else None


def is_unclaimed(
    client: aws.Client,
    *,
    bucket: str,
    image_key: str,
    version_id: str,
    recorded_version: str | None,
    is_deleted: bool,
) -> bool:
    """Return whether the pipeline has not claimed a version yet: S3 has it, and the record describes an older one.

    S3 lists the versions of a key in the order in which they were stored. Their timestamps have whole seconds and
    cannot order them. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html

    Args:
        client: returns the client of a service.
        bucket: the bucket of the uploads.
        image_key: the key of the upload.
        version_id: a version that the record does not describe.
        recorded_version: the version that the record describes; None when there is no such version.
        is_deleted: whether the record says that the upload was deleted.

    Raises:
        StorageUnavailableError: S3 was not available.
    """
    # Other keys can start with the same prefix, but S3 lists the shortest key first.
    with aws.translate_errors("S3"):
        response = client("s3").list_object_versions(Bucket=bucket, Prefix=image_key, MaxKeys=_NEWEST_VERSIONS)
    newest_first = [version["VersionId"] for version in response.get("Versions", []) if version["Key"] == image_key]
    if version_id not in newest_first:
        return False
    markers = [marker for marker in response.get("DeleteMarkers", []) if marker["Key"] == image_key]
    if is_deleted and any(marker["IsLatest"] for marker in markers):
        return False
    return recorded_version not in newest_first[: newest_first.index(version_id)]


def _begin_cooldown(
    client: aws.Client, *, table: str, image_key: str, seconds: int, fields: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Write the time of the request and some fields to the record, unless the previous request is within the cooldown.

    The write is conditional, so exactly one of several concurrent requests succeeds. Only the first execution of an
    upload may create its record. Before that, a request without fields is accepted, and one with fields must wait.
    """
    now = datetime.now(UTC)
    # Without a cooldown, a request that was made by a host whose clock is ahead must not count.
    latest = now - timedelta(seconds=seconds) if seconds else datetime.max.replace(tzinfo=UTC)
    values = {"reprocessRequestedAt": times.iso(now), **fields}
    try:
        with aws.translate_errors("DynamoDB"):
            client("dynamodb").update_item(
                TableName=table,
                Key=records.item_key(image_key),
                UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in values),
                ConditionExpression=(
                    "attribute_exists(ImageKey) AND "
                    "(attribute_not_exists(reprocessRequestedAt) OR reprocessRequestedAt <= :latest)"
                ),
                ExpressionAttributeValues={
                    **{f":{name}": to_attribute(value) for name, value in values.items()},
                    ":latest": {"S": times.iso(latest)},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
    except aws.AwsError as error:
        if not isinstance(error, ClientError) or aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        record: Any = error.response.get("Item")  # present because of ReturnValuesOnConditionCheckFailure
        if not record and fields:
            raise TooSoonError(
                f"{image_key!a} has no record yet: S3 reports an upload a moment after it was stored.",
                "Try again in 1 second. If it never gets a record, reprocess it first.",
                1,
            ) from error
        if not record:
            return
        since_latest = datetime.fromisoformat(record["reprocessRequestedAt"]["S"]) - latest
        remaining = min(max(math.ceil(since_latest.total_seconds()), 1), seconds)  # the clocks of two hosts may differ
        raise TooSoonError(
            f"{image_key!a} was reprocessed less than {seconds} seconds ago.",
            f"Try again in {remaining} seconds.",
            remaining,
        ) from error


class UploadState(NamedTuple):
    """The current object of an upload in S3, and the newest claim of its key."""

    bucket: str
    key: str
    head: Mapping[str, Any]
    """S3's response to HeadObject."""
    claim: Mapping[str, Any]
    """The claim, as `records.read_claim` returns it."""

    @classmethod
    def read(
        cls, client: aws.Client, *, bucket: str, table: str, key: str, version_id: str | None = None
    ) -> "UploadState":
        """Read the state from DynamoDB and S3.

        Args:
            client: returns the client of a service.
            bucket: the bucket of the uploads.
            table: the table of the records.
            key: the key of the upload.
            version_id: the version of the object; None for the current one.

        Raises:
            UploadNotFoundError: the upload does not exist.
            StorageUnavailableError: AWS was not available.
        """
        # The record first: a claim that is made between the two reads is newer than the order that is read here, and
        # wins.
        claim = records.read_claim(client, table=table, image_key=key)
        head = _head(client, bucket=bucket, image_key=key, version_id=version_id)
        return cls(bucket, key, head, claim)

    @property
    def etag(self) -> str:
        """The etag without quotes."""
        return str(self.head["ETag"].strip('"'))

    @property
    def version_id(self) -> str | None:
        """The version id; None when the bucket has no versioning."""
        version_id: str | None = self.head.get("VersionId")
        return version_id

    @property
    def is_folder_marker(self) -> bool:
        """Whether it is an empty object that the S3 console creates for a folder."""
        return self.key.endswith("/") and not self.head["ContentLength"]

    @property
    def is_claimed(self) -> bool:
        """Whether the record describes exactly this object, which has been processed or is still processing."""
        upload = self.claim.get("upload", {})
        is_same = (upload.get("versionId"), upload.get("etag")) == (self.version_id, self.etag)
        return is_same and self.claim.get("status") != "DELETED"

    def is_older(self, sequencer: str) -> bool:
        """Return whether an event with this sequencer is not newer than the newest claim."""
        return pad(sequencer) <= str(self.claim.get("uploadOrder", ""))

    def event(self, *, reprocess: bool, sequencer: str | None = None) -> dict[str, Any]:
        """Build the event that S3 sends for this object.

        Args:
            reprocess: whether to process the object even if it was processed before.
            sequencer: the sequencer of the event; None for that of the newest claim, so that an upload that is made
                meanwhile still wins.
        """
        event = s3_events.object_created(
            bucket=self.bucket,
            key=self.key,
            etag=self.etag,
            size_bytes=self.head["ContentLength"],
            sequencer=sequencer or self.claim.get("uploadOrder", "0"),
            time=times.iso(self.head["LastModified"], "seconds"),
            version_id=self.version_id,
        )
        event["detail"]["reprocess"] = reprocess
        return event


def pad(sequencer: str) -> str:
    """Pad a sequencer so that it can be compared as text, as the workflow does in its claim."""
    return sequencer.ljust(64, "0")


def _head(client: aws.Client, *, bucket: str, image_key: str, version_id: str | None = None) -> dict[str, Any]:
    version = {"VersionId": version_id} if version_id else {}
    with _translate_errors(image_key):
        head: dict[str, Any] = client("s3").head_object(Bucket=bucket, Key=image_key, **version)
    return head


@contextmanager
def _translate_errors(image_key: str) -> Iterator[None]:
    try:
        with aws.translate_errors("AWS"):
            yield
    except aws.AwsError as error:
        code = aws.code_of(error)
        if code in _MISSING_CODES:
            raise UploadNotFoundError(
                f"{image_key!a} does not exist.", "Check the name, or upload it first."
            ) from error
        if code in _CHANGED_CODES:
            raise UploadChangedError(
                f"The etag of {image_key!a} does not match If-Match.", "Read the upload again before you change it."
            ) from error
        raise
