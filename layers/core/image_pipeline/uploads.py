"""What is done to uploads: store one, delete it, process it again. For the API and for commands alike."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from image_pipeline import aws
from image_pipeline.errors import (
    StorageUnavailableError,
    UploadChangedError,
    UploadExistsError,
    UploadNotFoundError,
)

_MISSING_CODES = frozenset({"404", "NoSuchKey"})
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
    try:
        answer = client("s3").put_object(Bucket=bucket, Key=image_key, Body=data, ContentType=content_type, **condition)
    except aws.AwsError as error:
        code = aws.code_of(error)
        if code == "PreconditionFailed":
            raise UploadExistsError(
                f"There is an upload {image_key!a} already.", "Choose another name, or leave out If-None-Match."
            ) from error
        if code == "ConditionalRequestConflict" or aws.is_transient(error):
            raise StorageUnavailableError(f"S3 did not store the upload: {code}.", "Try again.") from error
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
    condition = {"IfMatch": etag} if etag else {}
    with _named_errors(image_key):
        client("s3").delete_object(Bucket=bucket, Key=image_key, **condition)


def reprocess(client: aws.Client, bucket: str, table: str, machine: str, image_key: str) -> str:
    """Start the workflow for an upload that has not changed: after a new recipe, a mended deployment, or an outage.

    Its event takes the place of the newest that is known of the key, so an upload that comes meanwhile still wins.

    Args:
        client: gives clients.
        bucket: of the uploads.
        table: of the records.
        machine: the workflow's ARN.
        image_key: the upload.

    Returns:
        The execution's ARN.

    Raises:
        UploadNotFoundError: there is none.
        StorageUnavailableError: AWS did not answer.
    """
    head = _head(client, bucket, image_key)
    with _named_errors(image_key):
        item = client("dynamodb").get_item(TableName=table, Key={"ImageKey": {"S": image_key}}, ConsistentRead=True)
        order = item["Item"]["uploadOrder"]["S"] if "Item" in item else "0"
        answer = client("stepfunctions").start_execution(
            stateMachineArn=machine,
            name=f"reprocess_{uuid.uuid4()}",
            input=json.dumps(_event(bucket, image_key, head, order)),
        )
    arn: str = answer["executionArn"]
    return arn


def _head(client: aws.Client, bucket: str, image_key: str) -> dict[str, Any]:
    with _named_errors(image_key):
        head: dict[str, Any] = client("s3").head_object(Bucket=bucket, Key=image_key)
    return head


@contextmanager
def _named_errors(image_key: str) -> Iterator[None]:
    try:
        yield
    except aws.AwsError as error:
        code = aws.code_of(error)
        if code in _MISSING_CODES:
            raise UploadNotFoundError(f"There is no {image_key!a}.", "Check the name, or upload it first.") from error
        if code in _CHANGED_CODES:
            raise UploadChangedError(
                f"{image_key!a} is not the object that If-Match names.", "Look at it again before you change it."
            ) from error
        if aws.is_transient(error):
            raise StorageUnavailableError(f"AWS did not serve the call: {code}.", "Try again.") from error
        raise


def _event(bucket: str, image_key: str, head: dict[str, Any], order: str) -> dict[str, Any]:
    """S3's own event for this object, had it been uploaded when the newest known event happened."""
    version = {"version-id": head["VersionId"]} if "VersionId" in head else {}
    return {
        "detail-type": "Object Created",
        "time": head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": {
            "bucket": {"name": bucket},
            "object": {
                "key": image_key,
                "size": head["ContentLength"],
                "etag": head["ETag"].strip('"'),
                "sequencer": order,
                **version,
            },
            "reprocess": True,
        },
    }
