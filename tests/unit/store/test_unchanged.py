"""image_pipeline.store.unchanged"""

import pytest
from botocore.stub import Stubber

from image_pipeline import aws
from image_pipeline.errors import StorageUnavailableError, UnchangedError
from image_pipeline.store import records, unchanged
from tests.conftest import IMAGE_TABLE, THUMBNAILS_BUCKET, aws_client, put_record
from tests.unit.store.test_cleanup import rendition

pytestmark = pytest.mark.usefixtures("aws")
KEY = "uploads/a.jpg"


def renditions(*versions):
    """The `renditions` of a record."""
    return [{"key": version.key, "versionId": version.version_id} for version in versions]


def record(**fields):
    """A record that was claimed again after it was COMPLETED."""
    put_record(KEY, **{"previousStatus": "COMPLETED", "previousUpload": {}, "previousExecution": {}, **fields})


def compare(content_id="1"):
    before = records.read_before_claim(aws.client, table=IMAGE_TABLE, image_key=KEY)
    unchanged.require_change(aws.client, record=before, bucket=THUMBNAILS_BUCKET, image_key=KEY, content_id=content_id)


def test_the_same_content_is_not_rendered_again():
    """The record points to all renditions that would be made, and they exist."""
    record(renditions=renditions(rendition(KEY, "1"), rendition(KEY, "1", "web.webp")))
    with pytest.raises(UnchangedError):
        compare()


def test_a_version_of_the_record_counts_below_newer_versions():
    """The record points to versions, not to keys."""
    version = rendition(KEY, "1")
    rendition(KEY, "1")
    record(renditions=renditions(version))
    with pytest.raises(UnchangedError):
        compare()


@pytest.mark.parametrize("status", ["PARTIAL", "FAILED", "DELETED", "PROCESSING", None])
def test_an_incomplete_image_is_rendered(status):
    """Labels may be available now, and a failed upload may succeed."""
    record(previousStatus=status, renditions=renditions(rendition(KEY, "1")))
    compare()


def test_other_content_is_rendered():
    """Different bytes, recipes or engine versions have a different content id and folder."""
    record(renditions=renditions(rendition(KEY, "1")))
    compare("2")
    compare("11")


def test_a_deleted_rendition_is_rendered_again():
    """One missing version is enough, even if a newer version has the same key."""
    first, second = rendition(KEY, "1"), rendition(KEY, "1", "web.webp")
    record(renditions=renditions(first, second))
    aws_client("s3").delete_object(Bucket=THUMBNAILS_BUCKET, Key=second.key, VersionId=second.version_id)
    compare()
    rendition(KEY, "1", "web.webp")
    compare()


def test_a_delete_marker_hides_no_version():
    """URLs are signed for versions, so a delete marker does not hide the image."""
    version = rendition(KEY, "1")
    record(renditions=renditions(version))
    aws_client("s3").delete_object(Bucket=THUMBNAILS_BUCKET, Key=version.key)
    with pytest.raises(UnchangedError):
        compare()


@pytest.mark.parametrize("fields", [{}, {"renditions": []}])
def test_a_record_without_renditions_has_no_image(fields):
    """Another program may have written the record."""
    record(**fields)
    compare()


def test_a_key_without_a_record_has_no_image():
    """The record may have expired in the meantime."""
    compare()


def test_a_transient_error_is_raised():
    """The workflow retries it."""
    record(renditions=renditions(rendition(KEY, "1")))
    with Stubber(aws.client("s3")) as stub:
        for _ in range(aws.ATTEMPTS):
            stub.add_client_error("list_object_versions", "SlowDown", http_status_code=503)
        with pytest.raises(StorageUnavailableError):
            compare()
