"""`image-pipeline restore`, and what `upload` does with an object whose record says DELETED."""

import pytest

from image_pipeline_cli.exits import INCOMPLETE, OK


@pytest.fixture
def deleted_key(pipeline, shared_image_name):
    """The key of an image that was deleted in S3."""
    key = f"uploads/{shared_image_name}"
    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
    pipeline.wait_until(lambda: pipeline.record(key)["status"] == "DELETED", "the deletion")
    return key


def remove_marker(pipeline, key):
    s3 = pipeline.client("s3")
    listed = s3.list_object_versions(Bucket=pipeline.uploads_bucket, Prefix=key)
    (marker,) = [marker for marker in listed["DeleteMarkers"] if (marker["Key"], marker["IsLatest"]) == (key, True)]
    s3.delete_object(Bucket=pipeline.uploads_bucket, Key=key, VersionId=marker["VersionId"])


def wait_for_image(pipeline, key):
    pipeline.wait_until(lambda: pipeline.record(key)["status"] == "COMPLETED", "the image")


def test_a_deleted_upload_is_processed_again(lines, pipeline, deleted_key):
    """The restored version is the one that is processed; a second restore has nothing to do."""
    code, (document,) = lines("restore", deleted_key)
    assert (code, document["failed"]) == (OK, [])
    wait_for_image(pipeline, deleted_key)
    assert pipeline.record(deleted_key)["upload"]["versionId"] == document["restored"][deleted_key]
    code, (document,) = lines("restore", deleted_key.removeprefix("uploads/"), "never.jpg")
    assert (code, document["restored"]) == (INCOMPLETE, {})
    assert [failure["key"] for failure in document["failed"]] == [deleted_key, "uploads/never.jpg"]


def test_an_object_without_its_delete_marker_is_processed(lines, pipeline, deleted_key):
    """S3 sends no event when the marker is removed, so the command starts the workflow."""
    remove_marker(pipeline, deleted_key)
    assert pipeline.record(deleted_key)["status"] == "DELETED"
    assert lines("restore", deleted_key)[0] == OK
    wait_for_image(pipeline, deleted_key)


def test_an_upload_does_not_skip_a_deleted_image(lines, pipeline, deleted_key, tmp_path):
    """The file is uploaded again, even with `--no-overwrite` and unchanged content."""
    s3 = pipeline.client("s3")
    remove_marker(pipeline, deleted_key)
    path = tmp_path / deleted_key.rpartition("/")[2]
    path.write_bytes(s3.get_object(Bucket=pipeline.uploads_bucket, Key=deleted_key)["Body"].read())
    to = deleted_key.rpartition("/")[0] + "/"
    code, events = lines("upload", str(path), "--to", to, "--no-overwrite", "--wait")
    assert (code, [event["event"] for event in events]) == (OK, ["uploaded", "outcome", "summary"])
    assert pipeline.record(deleted_key)["status"] == "COMPLETED"
