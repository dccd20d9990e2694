"""image_pipeline_cli.follow: what counts as the outcome of an upload."""

from __future__ import annotations

import pytest

from image_pipeline import aws as clients
from image_pipeline_cli import follow
from image_pipeline_cli.stack import Stack
from tests.conftest import UPLOADS_BUCKET, aws_client, watched

pytestmark = pytest.mark.usefixtures("aws")
KEY = "uploads/a.jpg"
STACK = Stack({"UploadsBucketName": UPLOADS_BUCKET}, clients.client)


def upload():
    """Upload a new version. Versions of the same second have the same time in S3."""
    response = aws_client("s3").put_object(Bucket=UPLOADS_BUCKET, Key=KEY, Body=b"x")
    return follow.Version(response["VersionId"], response["ETag"].strip('"'))


def body(status, upload=None):
    fields = {"upload": {"versionId": upload.version_id, "etag": upload.etag}} if upload else {}
    return {"imageKey": KEY, "status": status, **fields}


@pytest.mark.parametrize(("index", "expected"), [(0, False), (1, True), (2, True)])
def test_an_outcome_belongs_to_the_upload_or_its_successor(index, expected):
    """The outcome of an older upload does not count; S3 orders uploads of the same second."""
    uploads = [upload() for _ in range(3)]
    is_outcome = follow.outcome_test(STACK)
    for status in ("COMPLETED", "PARTIAL", "FAILED"):
        assert is_outcome(body(status, uploads[index]), uploads[1]) is expected
        assert is_outcome(body(status, uploads[index]), None)
    assert not is_outcome(body("PROCESSING", uploads[1]), uploads[1])


def test_a_multipart_upload_is_newer_than_uploads_during_it():
    """S3 dates a multipart upload by its first request, so times do not tell which version is newer."""
    s3 = aws_client("s3")
    parts = {
        "Bucket": UPLOADS_BUCKET,
        "Key": KEY,
        "UploadId": s3.create_multipart_upload(Bucket=UPLOADS_BUCKET, Key=KEY)["UploadId"],
    }
    during = upload()
    tag = s3.upload_part(**parts, PartNumber=1, Body=b"y")["ETag"]
    response = s3.complete_multipart_upload(**parts, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    long = follow.Version(response["VersionId"], response["ETag"].strip('"'))
    assert not follow.outcome_test(STACK)(body("COMPLETED", during), long)
    assert follow.outcome_test(STACK)(body("COMPLETED", long), during)


@pytest.mark.parametrize("has_older_upload", [True, False])
def test_a_deletion_is_the_outcome_of_earlier_uploads(has_older_upload):
    """The record of a deletion may have no upload, if the workflow never processed it."""
    older, deleted = upload(), upload()
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key=KEY)
    tombstone = body("DELETED", older if has_older_upload else None)
    assert follow.outcome_test(STACK)(tombstone, deleted)
    assert not follow.outcome_test(STACK)(tombstone, upload())


def test_an_unversioned_object_is_identified_by_its_etag():
    """Without versioning, all uploads have the same version id."""
    aws_client("s3").create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws_client("s3").put_object(Bucket="plain", Key=KEY, Body=b"x")
    is_outcome = follow.outcome_test(Stack({"UploadsBucketName": "plain"}, clients.client))
    assert is_outcome(body("COMPLETED", follow.Version(None, "e1")), follow.Version(None, "e1"))
    assert not is_outcome(body("COMPLETED", follow.Version(None, "e0")), follow.Version(None, "e1"))


def test_versions_are_listed_once_for_each_pair():
    """Following a folder compares the same versions again and again."""
    older, newer = upload(), upload()
    is_outcome = follow.outcome_test(STACK)
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
def test_the_outcome_of_a_reprocess_belongs_to_its_attempt_or_a_later_one(body, expected):
    """A failed attempt keeps the previous image, so the status alone does not tell."""
    assert follow.outcome_test(STACK)(body, follow.Attempt("first")) is expected


def test_an_earlier_failure_is_not_the_outcome_of_an_attempt():
    """The record contains the earlier failure until the new attempt claims it."""
    record = {"status": "COMPLETED", "execution": {"id": "first"}, "lastFailure": FAILED_AGAIN}
    assert not follow.outcome_test(STACK)(record, follow.Attempt("again"))
    assert follow.outcome_test(STACK)(
        {**record, "lastFailure": {**FAILED_AGAIN, "executionId": "third"}}, follow.Attempt("again")
    )


def test_a_kept_image_counts_as_a_failure():
    """The status is that of the kept image; the exit code is that of the attempt."""
    outcomes = follow.Outcomes({"uploads/a.jpg": None}, follow.outcome_test(STACK))
    kept = {"imageKey": "uploads/a.jpg", "status": "COMPLETED", "execution": {"id": "e"}, "lastFailure": FAILED_AGAIN}
    outcomes.record(kept)
    assert (outcomes.code, outcomes.statuses) == (4, {"COMPLETED": 1})
    outcomes.record({name: value for name, value in kept.items() if name != "lastFailure"})
    assert outcomes.code == 0
