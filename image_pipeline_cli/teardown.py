"""Delete a stack on AWS completely, including the resources that CloudFormation retains.

It uses the credentials of the caller and deletes only resources that the stack lists.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from image_pipeline_cli.stack import StackError, clients_on_aws, explain_unreachable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_WAIT: Any = {"Delay": 5, "MaxAttempts": 360}


class TeardownError(Exception):
    """The stack was not deleted completely; the message says why."""


def teardown(stack: str, region: str | None, ask: Callable[[str], bool], say: Callable[[str], None]) -> bool:
    """Empty the buckets of the stack, delete the stack, then delete the retained resources.

    Args:
        stack: The stack's name.
        region: Its region; None for the configured one.
        ask: Asks the user for confirmation.
        say: Reports progress to the user.

    Returns:
        Whether everything was deleted; False if the user declined.

    Raises:
        StackError: The stack does not exist, or cannot be reached.
        TeardownError: Something cannot be deleted.
    """
    try:
        client = clients_on_aws(region)
        formation = client("cloudformation")
        resources = _resources(formation, stack)
    except (ClientError, BotoCoreError) as error:
        raise StackError(explain_unreachable(stack, region or "the configured region", error)) from error
    try:
        buckets = resources.get("AWS::S3::Bucket", [])
        tables = resources.get("AWS::DynamoDB::Table", [])
        contents = ", ".join([*(f"bucket {name}" for name in buckets), *(f"table {name}" for name in tables)])
        region_name = formation.meta.region_name
        if not ask(f"This permanently deletes the stack {stack} in {region_name} and everything in {contents}."):
            say("Nothing was deleted.")
            return False
        for bucket in buckets:
            say(f"Emptying the bucket {bucket} …")
            _empty(client("s3"), bucket)  # CloudFormation deletes only empty buckets
        say(f"Deleting the stack {stack} …")
        formation.delete_stack(StackName=stack)
        formation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=_WAIT)
        # From here on, the stack does not exist, so a second teardown would not find what it retained.
        say(f"The stack is deleted. It retained {contents}, which are deleted next.")
        for bucket in buckets:
            say(f"Deleting the bucket {bucket} …")
            _delete_bucket(client("s3"), bucket)
        for table in tables:
            say(f"Deleting the table {table} …")
            _delete_table(client("dynamodb"), table)
    except WaiterError as error:
        raise TeardownError(
            f"The stack {stack} was not deleted. Check its events in CloudFormation. ({error})"
        ) from error
    except (ClientError, BotoCoreError) as error:
        raise TeardownError(f"AWS request failed: {error}") from error
    say(f"The stack {stack} and everything in it was deleted.")
    return True


def _resources(formation: Any, stack: str) -> dict[str, list[str]]:
    """List the physical names of the stack's resources by type."""
    names: dict[str, list[str]] = {}
    for page in formation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceStatus"] != "DELETE_COMPLETE" and resource.get("PhysicalResourceId"):
                names.setdefault(resource["ResourceType"], []).append(resource["PhysicalResourceId"])
    return names


def _empty(s3: "S3Client", bucket: str) -> None:
    """Delete all versions, delete markers and incomplete multipart uploads of a bucket."""
    while entries := _next_versions(s3, bucket):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": entries, "Quiet": True})
        if errors := answer.get("Errors"):
            raise TeardownError(f"{bucket}: {errors[0].get('Key')} was not deleted: {errors[0].get('Message')}")
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _next_versions(s3: "S3Client", bucket: str) -> list[Any]:
    """List remaining versions of a bucket, at most as many as `DeleteObjects` accepts."""
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=1000)
    entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries[:1000]]


def _delete_bucket(s3: "S3Client", bucket: str) -> None:
    try:
        _empty(s3, bucket)
        s3.delete_bucket(Bucket=bucket)
    except s3.exceptions.NoSuchBucket:
        return  # the stack did not retain it


def _delete_table(dynamodb: Any, table: str) -> None:
    try:
        dynamodb.delete_table(TableName=table)
    except dynamodb.exceptions.ResourceNotFoundException:
        return  # the stack did not retain it
    dynamodb.get_waiter("table_not_exists").wait(TableName=table)
