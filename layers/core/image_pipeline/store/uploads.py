"""What is done to uploads: store one, delete it, process it again. For the API and for commands alike."""

import json
import math
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from image_pipeline import aws
from image_pipeline.errors import (
    StorageUnavailableError,
    TooSoonError,
    UploadChangedError,
    UploadExistsError,
    UploadNotFoundError,
)

_CLAIM = ("upload", "uploadOrder", "execution", "status", "lastFailure")
_NEWEST_VERSIONS = 100  # of a key; a version that is still to be claimed is among them
NULL_VERSION = "null"  # S3's id of an object that was stored without versioning; events and records have none
_MISSING_CODES = frozenset({"404", "NoSuchKey", "405", "MethodNotAllowed"})  # 405: the version is a delete marker
_CHANGED_CODES = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict"})


def store(
    client: aws.Client, bucket: str, image_key: str, data: bytes, content_type: str, *, overwrite: bool
) -> str | None:
    """Write an upload; S3's event about it starts the rest.

    Args:
        client: gives clients.
        bucket: of the uploads.
        image_key: the upload.
        data: the picture.
        content_type: what S3 shall call it.
        overwrite: whether it may take the place of another.

    Returns:
        Its version id; None where the bucket keeps no versions.

    Raises:
        UploadExistsError: there is one, and it must not be replaced.
        StorageUnavailableError: S3 did not answer, or somebody wrote the key at the same moment.
    """
    condition = {} if overwrite else {"IfNoneMatch": "*"}
    what = {"Bucket": bucket, "Key": image_key, "Body": data, "ContentType": content_type}
    try:
        with aws.named_errors("S3"):
            answer = client("s3").put_object(**what, **condition)
    except aws.AwsError as error:
        code = aws.code_of(error)
        if code == "PreconditionFailed":
            raise UploadExistsError(
                f"There is an upload {image_key!a} already.", "Choose another name, or leave out If-None-Match."
            ) from error
        if code == "ConditionalRequestConflict":
            raise StorageUnavailableError(
                f"Somebody wrote the upload at the same moment: S3 answered {code}.", "Try again."
            ) from error
        raise
    version: str | None = answer.get("VersionId")
    return version


def delete(client: aws.Client, bucket: str, image_key: str, etag: str | None = None) -> None:
    """Delete an upload as S3 does: a marker hides it, and the versions stay until they expire.

    Args:
        client: gives clients.
        bucket: of the uploads.
        image_key: the upload.
        etag: delete nothing else; None for whatever is there.

    Raises:
        UploadNotFoundError: there is none.
        UploadChangedError: it has another etag.
        StorageUnavailableError: S3 did not answer.
    """
    _head(client, bucket, image_key)
    condition = {} if etag is None else {"IfMatch": etag}
    with _named_errors(image_key):
        client("s3").delete_object(Bucket=bucket, Key=image_key, **condition)


def reprocess(
    client: aws.Client, bucket: str, table: str, machine: str, image_key: str, *, cooldown_seconds: int = 0
) -> str:
    """Start the workflow for an upload that has not changed: after a new recipe, a mended deployment, or an outage.

    Args:
        client: gives clients.
        bucket: of the uploads.
        table: of the records.
        machine: the workflow's ARN.
        image_key: the upload.
        cooldown_seconds: least time since this was last done to the upload; 0 for none.

    Returns:
        The execution's ARN.

    Raises:
        UploadNotFoundError: there is none, or it is a folder marker.
        TooSoonError: the cooldown is not over.
        StorageUnavailableError: AWS did not answer.
    """
    upload = Upload.look(client, bucket, table, image_key)
    if upload.is_folder_marker:
        raise UploadNotFoundError(f"{image_key!a} is a folder marker, not an upload.", "Name an upload in that folder.")
    event = upload.event(again=True)
    if cooldown_seconds:
        _begin_cooldown(client, table, image_key, cooldown_seconds)
    with _named_errors(image_key):
        answer = client("stepfunctions").start_execution(
            stateMachineArn=machine, name=f"reprocess_{uuid.uuid4()}", input=json.dumps(event)
        )
    arn: str = answer["executionArn"]
    return arn


def version_of(record: Mapping[str, Any] | None) -> str | None:
    """The version id of the upload that a record is about; None when it is about no upload.

    Args:
        record: as plain JSON; None where the key has no record.
    """
    upload = record and record.get("upload")
    return str(upload.get("versionId") or NULL_VERSION) if upload else None


def is_unclaimed(
    client: aws.Client, bucket: str, image_key: str, version_id: str, *, held: str | None, is_deleted: bool
) -> bool:
    """Whether the pipeline has yet to claim a version of an upload: S3 has it, and the record is about an older one.

    S3 lists the versions of a key in the order in which they were stored. Their times cannot tell, because they are in
    whole seconds.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html

    Args:
        client: gives clients.
        bucket: of the uploads.
        image_key: the upload.
        version_id: a version that the record is not about.
        held: the version that the record is about; None where there is none.
        is_deleted: whether the record says that the upload was deleted.

    Raises:
        StorageUnavailableError: S3 did not answer.
    """
    # The prefix may begin other keys, too, but S3 lists the shortest first.
    with aws.named_errors("S3"):
        answer = client("s3").list_object_versions(Bucket=bucket, Prefix=image_key, MaxKeys=_NEWEST_VERSIONS)
    newest_first = [version["VersionId"] for version in answer.get("Versions", []) if version["Key"] == image_key]
    if version_id not in newest_first:
        return False
    markers = [marker for marker in answer.get("DeleteMarkers", []) if marker["Key"] == image_key]
    if is_deleted and any(marker["IsLatest"] for marker in markers):
        return False
    return held not in newest_first[: newest_first.index(version_id)]


def _begin_cooldown(client: aws.Client, table: str, image_key: str, seconds: int) -> None:
    """Note in the record that the upload is reprocessed, unless that was done too short a time ago.

    One conditional write, so of requests that come at the same time, one wins. An upload without a record is let
    through: its first execution makes the record, and nothing else may.
    """
    now = datetime.now(UTC)
    latest = now - timedelta(seconds=seconds)
    try:
        with aws.named_errors("DynamoDB"):
            client("dynamodb").update_item(
                TableName=table,
                Key={"ImageKey": {"S": image_key}},
                UpdateExpression="SET reprocessRequestedAt = :now",
                ConditionExpression=(
                    "attribute_exists(ImageKey) AND "
                    "(attribute_not_exists(reprocessRequestedAt) OR reprocessRequestedAt <= :latest)"
                ),
                ExpressionAttributeValues={
                    ":now": {"S": now.isoformat(timespec="milliseconds")},
                    ":latest": {"S": latest.isoformat(timespec="milliseconds")},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
    except aws.AwsError as error:
        if not isinstance(error, ClientError) or aws.code_of(error) != "ConditionalCheckFailedException":
            raise
        record: Any = error.response.get("Item")  # as it is, because of ReturnValuesOnConditionCheckFailure
        if not record:
            return
        since_latest = datetime.fromisoformat(record["reprocessRequestedAt"]["S"]) - latest
        left = min(max(math.ceil(since_latest.total_seconds()), 1), seconds)  # clocks may differ
        raise TooSoonError(
            f"{image_key!a} was reprocessed less than {seconds} seconds ago.", f"Try again in {left} seconds.", left
        ) from error


@dataclass(frozen=True)
class Upload:
    """What is known of an upload: the object as S3 has it now, and the newest claim of its key."""

    bucket: str
    key: str
    head: Mapping[str, Any]
    claim: Mapping[str, Any]
    """`upload`, `uploadOrder`, `execution`, `status`, `lastFailure` of its record; empty where there is none."""

    @classmethod
    def look(cls, client: aws.Client, bucket: str, table: str, key: str, version_id: str | None = None) -> "Upload":
        """Ask S3 and DynamoDB.

        Args:
            client: gives clients.
            bucket: of the uploads.
            table: of the records.
            key: the upload.
            version_id: one version of it; None for the current one.

        Raises:
            UploadNotFoundError: there is none.
            StorageUnavailableError: AWS did not answer.
        """
        # The record first: a claim that comes between the two looks is newer than the order that is taken, and wins.
        with _named_errors(key):
            item = client("dynamodb").get_item(TableName=table, Key={"ImageKey": {"S": key}}, ConsistentRead=True)
        head = _head(client, bucket, key, version_id)
        return cls(bucket, key, head, _plain(item.get("Item", {})))

    @property
    def etag(self) -> str:
        """Without quotes."""
        return str(self.head["ETag"].strip('"'))

    @property
    def is_folder_marker(self) -> bool:
        """Whether it is one of the empty objects with which S3's console makes folders."""
        return self.key.endswith("/") and not self.head["ContentLength"]

    @property
    def is_claimed(self) -> bool:
        """Whether its record is about these very bytes: they have been processed, or are about to be."""
        claimed, status = self.claim.get("upload", {}), self.claim.get("status")
        same = (claimed.get("versionId"), claimed.get("etag")) == (self.head.get("VersionId"), self.etag)
        return same and status != "DELETED"

    def is_older(self, sequencer: str) -> bool:
        """Whether an event with this sequencer would lose against the newest that is known."""
        return pad(sequencer) <= str(self.claim.get("uploadOrder", ""))

    def event(self, *, again: bool, sequencer: str | None = None) -> dict[str, Any]:
        """S3's own event for this object.

        Args:
            again: process it although it may have been processed.
            sequencer: of the event; None to take the place of the newest event that is known of the key, so that an
                upload that comes meanwhile still wins.
        """
        version = {"version-id": self.head["VersionId"]} if "VersionId" in self.head else {}
        return {
            "detail-type": "Object Created",
            "time": self.head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "detail": {
                "bucket": {"name": self.bucket},
                "object": {
                    "key": self.key,
                    "size": self.head["ContentLength"],
                    "etag": self.etag,
                    "sequencer": sequencer or self.claim.get("uploadOrder", "0"),
                    **version,
                },
                "reprocess": again,
            },
        }


def pad(sequencer: str) -> str:
    """Make a sequencer comparable as text, as the workflow does in its claim."""
    return sequencer.ljust(64, "0")


def _head(client: aws.Client, bucket: str, image_key: str, version_id: str | None = None) -> dict[str, Any]:
    which = {"VersionId": version_id} if version_id else {}
    with _named_errors(image_key):
        head: dict[str, Any] = client("s3").head_object(Bucket=bucket, Key=image_key, **which)
    return head


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(item[name]) for name in _CLAIM if name in item}


@contextmanager
def _named_errors(image_key: str) -> Iterator[None]:
    try:
        with aws.named_errors("AWS"):
            yield
    except aws.AwsError as error:
        code = aws.code_of(error)
        if code in _MISSING_CODES:
            raise UploadNotFoundError(f"There is no {image_key!a}.", "Check the name, or upload it first.") from error
        if code in _CHANGED_CODES:
            raise UploadChangedError(
                f"{image_key!a} is not the object that If-Match names.", "Look at it again before you change it."
            ) from error
        raise
