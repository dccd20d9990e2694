"""image_pipeline_cli.follow: what counts as the outcome of an upload."""

from __future__ import annotations

import boto3
import pytest

from image_pipeline import aws as clients
from image_pipeline_cli import follow
from image_pipeline_cli.stack import Stack
from tests.conftest import UPLOADS_BUCKET, watched

pytestmark = pytest.mark.usefixtures("aws")
KEY = "uploads/a.jpg"
STACK = Stack({"UploadsBucketName": UPLOADS_BUCKET}, clients.client)


def upload():
    """A new version of the key. All that are made within a second have the same time in S3."""
    answer = boto3.client("s3").put_object(Bucket=UPLOADS_BUCKET, Key=KEY, Body=b"x")
    return follow.Upload(answer["VersionId"], answer["ETag"].strip('"'))


def body(status, upload=None):
    about = {"upload": {"versionId": upload.version_id, "etag": upload.etag}} if upload else {}
    return {"imageKey": KEY, "status": status, **about}


@pytest.mark.parametrize(("about", "expected"), [(0, False), (1, True), (2, True)])
def test_an_outcome_is_of_this_upload_or_of_what_replaced_it(about, expected):
    """S3 knows the order of uploads of the same second. What the record said before is no outcome."""
    uploads = [upload() for _ in range(3)]
    is_outcome = follow.judge(STACK)
    for status in ("COMPLETED", "PARTIAL", "FAILED"):
        assert is_outcome(body(status, uploads[about]), uploads[1]) is expected
        assert is_outcome(body(status, uploads[about]), None)
    assert not is_outcome(body("PROCESSING", uploads[1]), uploads[1])


def test_an_upload_that_took_long_is_newer_than_what_came_during_it():
    """S3's time of an upload in parts is that of its first request, so times do not tell which is the newer one."""
    s3 = boto3.client("s3")
    parts = {
        "Bucket": UPLOADS_BUCKET,
        "Key": KEY,
        "UploadId": s3.create_multipart_upload(Bucket=UPLOADS_BUCKET, Key=KEY)["UploadId"],
    }
    during = upload()
    tag = s3.upload_part(**parts, PartNumber=1, Body=b"y")["ETag"]
    answer = s3.complete_multipart_upload(**parts, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    long = follow.Upload(answer["VersionId"], answer["ETag"].strip('"'))
    assert not follow.judge(STACK)(body("COMPLETED", during), long)
    assert follow.judge(STACK)(body("COMPLETED", long), during)


@pytest.mark.parametrize("about_older", [True, False])
def test_a_deletion_is_the_outcome_of_what_came_before_it(about_older):
    """A deletion whose upload was never seen leaves a record that is about no upload."""
    older, deleted = upload(), upload()
    boto3.client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key=KEY)
    tombstone = body("DELETED", older if about_older else None)
    assert follow.judge(STACK)(tombstone, deleted)
    assert not follow.judge(STACK)(tombstone, upload())


def test_an_object_without_versions_is_told_by_its_etag():
    """Each upload has the same version id there, which is none."""
    boto3.client("s3").create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    boto3.client("s3").put_object(Bucket="plain", Key=KEY, Body=b"x")
    is_outcome = follow.judge(Stack({"UploadsBucketName": "plain"}, clients.client))
    assert is_outcome(body("COMPLETED", follow.Upload(None, "e1")), follow.Upload(None, "e1"))
    assert not is_outcome(body("COMPLETED", follow.Upload(None, "e0")), follow.Upload(None, "e1"))


def test_s3_is_asked_once_for_each_pair():
    """A folder is followed by looking again and again."""
    older, newer = upload(), upload()
    is_outcome = follow.judge(STACK)
    with watched(clients.client("s3"), "s3.ListObjectVersions") as calls:
        for _ in range(3):
            is_outcome(body("COMPLETED", older), newer)
            is_outcome(body("COMPLETED", newer), newer)
    assert len(calls) == 1


FAILED_AGAIN = {"code": "CorruptImageError", "message": "m", "hint": "h", "executionId": "again", "at": "2026"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "COMPLETED", "execution": {"id": "first"}}, False),
        ({"status": "PROCESSING", "execution": {"id": "again"}}, False),
        ({"status": "COMPLETED", "execution": {"id": "again"}}, True),
        ({"status": "COMPLETED", "execution": {"id": "first"}, "lastFailure": FAILED_AGAIN}, True),
        ({"status": "DELETED", "execution": {"id": "deletion"}}, True),
    ],
)
def test_the_outcome_of_a_reprocess_is_its_own_or_what_came_after_it(body, expected):
    """The picture that it may keep was there before, so only the attempt tells."""
    assert follow.judge(STACK)(body, follow.Attempt("first")) is expected


def test_the_failure_before_is_not_that_of_this_attempt():
    """The record tells of it until the new attempt has claimed it."""
    before = {"status": "COMPLETED", "execution": {"id": "first"}, "lastFailure": FAILED_AGAIN}
    assert not follow.judge(STACK)(before, follow.Attempt("again"))
    assert follow.judge(STACK)(
        {**before, "lastFailure": {**FAILED_AGAIN, "executionId": "third"}}, follow.Attempt("again")
    )


def test_a_picture_that_was_kept_counts_as_a_failure():
    """Its status is that of the picture, the exit code that of the attempt."""
    outcomes = follow.Outcomes({"uploads/a.jpg": None}, follow.judge(STACK))
    kept = {"imageKey": "uploads/a.jpg", "status": "COMPLETED", "execution": {"id": "e"}, "lastFailure": FAILED_AGAIN}
    outcomes.note(kept)
    assert (outcomes.code, outcomes.statuses) == (4, {"COMPLETED": 1})
    outcomes.note({name: value for name, value in kept.items() if name != "lastFailure"})
    assert outcomes.code == 0
