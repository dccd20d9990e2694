"""image_pipeline.store.cleanup"""

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline import aws, keys
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.store import cleanup, records, storage
from tests.conftest import IMAGE_TABLE, THUMBNAILS_BUCKET, aws_client, metrics, put_record

pytestmark = pytest.mark.usefixtures("aws")
KEY = "uploads/a.jpg"


def rendition(image_key, content_id, name="100x100.jpg"):
    """Write a rendition, and return its version."""
    key = keys.rendition_key(image_key, content_id, name)
    (written,) = storage.write(aws.client, THUMBNAILS_BUCKET, [storage.NewFile(key, b"x", "image/jpeg")])
    return storage.RenditionVersion(key, written.version_id, True)


def versions():
    """The ids of all versions that are stored."""
    answer = aws_client("s3").list_object_versions(Bucket=THUMBNAILS_BUCKET)
    return {version["VersionId"] for version in answer.get("Versions", [])}


def marked():
    """The ids of the versions that the lifecycle will expire."""
    s3 = aws_client("s3")
    return {
        version["VersionId"]
        for version in s3.list_object_versions(Bucket=THUMBNAILS_BUCKET).get("Versions", [])
        if storage.SUPERSEDED_TAG
        in s3.get_object_tagging(Bucket=THUMBNAILS_BUCKET, Key=version["Key"], VersionId=version["VersionId"])["TagSet"]
    }


def clean(image_key=KEY):
    return cleanup.clean(aws.client, bucket=THUMBNAILS_BUCKET, table=IMAGE_TABLE, image_key=image_key)


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIAL"])
def test_versions_of_the_record_stay_and_all_others_are_marked(status):
    """The versions that the record points to stay; all others will expire."""
    current, leftover = rendition(KEY, "1"), rendition(KEY, "2")
    put_record(KEY, status=status, renditions=[{"key": current.key}])
    assert clean() == 1
    assert marked() == {leftover.version_id}
    assert versions() == {current.version_id, leftover.version_id}


@pytest.mark.parametrize("later", [1, 2])
def test_the_version_of_the_record_becomes_the_newest_again(later):
    """Newer versions come from executions that failed or lost their claim; the older one stays for its URLs."""
    older, current = rendition(KEY, "1"), rendition(KEY, "1")
    for _ in range(later):
        rendition(KEY, "1")
    put_record(KEY, status="COMPLETED", renditions=[{"key": current.key, "versionId": current.version_id}])
    assert clean() == later + 1
    assert versions() == {older.version_id, current.version_id}
    assert marked() == {older.version_id}


def test_the_latest_version_stays_when_the_current_one_is_gone():
    """The record points to a version that someone deleted: the latest has the same bytes, and older ones expire."""
    older, latest = rendition(KEY, "1"), rendition(KEY, "1")
    put_record(KEY, status="COMPLETED", renditions=[{"key": latest.key, "versionId": "gone"}])
    assert clean() == 1
    assert versions() == {older.version_id, latest.version_id}
    assert marked() == {older.version_id}


def test_the_version_of_the_record_stays_below_later_versions():
    """An execution that was stopped may still write the same keys after the last clean-up."""
    older, current, later = rendition(KEY, "1"), rendition(KEY, "1"), rendition(KEY, "1")
    listing = cleanup.find(aws.client, bucket=THUMBNAILS_BUCKET, image_key=KEY)
    assert cleanup.retire(aws.client, THUMBNAILS_BUCKET, listing, {current.key: current.version_id}) == 2
    assert marked() == {older.version_id, later.version_id}


def test_the_newest_are_marked_first(monkeypatch):
    """Versions beyond the limit were marked by an earlier clean-up."""
    monkeypatch.setattr(cleanup, "MAX_MARKED", 2)
    at = datetime(2026, 11, 21, tzinfo=UTC)
    renditions = [rendition(KEY, str(number)) for number in range(4)]
    listing = [version._replace(written=at + timedelta(hours=number)) for number, version in enumerate(renditions)]
    assert cleanup.retire(aws.client, THUMBNAILS_BUCKET, listing, {renditions[3].key: renditions[3].version_id}) == 2
    assert marked() == {renditions[1].version_id, renditions[2].version_id}


@pytest.mark.parametrize("fields", [None, {"status": "FAILED"}])
def test_without_current_renditions_everything_is_marked(fields):
    """A failed upload, or one whose record has expired, has no current renditions."""
    unreferenced = rendition(KEY, "1")
    if fields:
        put_record(KEY, **fields)
    assert clean() == 1
    assert marked() == {unreferenced.version_id}


def test_a_deleted_upload_leaves_no_version():
    """All versions are deleted, including overwritten ones."""
    rendition(KEY, "1")
    rendition(KEY, "1")
    rendition(KEY, "2")
    put_record(KEY, status="DELETED")
    assert clean() == 3
    assert versions() == set()


def test_no_version_is_marked_during_processing():
    """The execution may be writing renditions, and cleans up when it ends."""
    rendition(KEY, "1")
    put_record(KEY, status="PROCESSING")
    assert clean() == 0
    assert marked() == set()


def test_the_record_is_read_after_the_listing(monkeypatch):
    """In the other order, the clean-up could remove what a newer execution wrote in between."""
    list_versions = storage.rendition_versions

    def and_then_it_is_claimed(client, **of):
        versions_then = list_versions(client, **of)
        put_record(KEY, status="PROCESSING")
        return versions_then

    rendition(KEY, "1")
    put_record(KEY, status="FAILED")
    monkeypatch.setattr(storage, "rendition_versions", and_then_it_is_claimed)
    assert clean() == 0
    assert marked() == set()


def test_a_version_that_is_written_meanwhile_stays(monkeypatch):
    """The same bytes have the same key; only the listed version is marked."""
    read_record = records.read
    written = []

    def and_then_it_is_written(client, **of):
        record = read_record(client, **of)
        written.append(rendition(KEY, "1").version_id)
        return record

    first = rendition(KEY, "1").version_id
    put_record(KEY, status="FAILED")
    monkeypatch.setattr(records, "read", and_then_it_is_written)
    assert clean() == 1
    assert marked() == {first}
    assert written[0] not in marked()


@pytest.mark.parametrize("status", ["FAILED", "DELETED"])
def test_renditions_of_an_upload_in_a_folder_of_the_same_name_stay(status):
    """`uploads/a` and `uploads/a/b.jpg` may both exist."""
    below = [rendition("uploads/a/b.jpg", "1"), rendition("uploads/a/1/b.jpg", "1"), rendition("uploads/a.jpg", "1")]
    rendition("uploads/a", "1")
    put_record("uploads/a", status=status)
    assert clean("uploads/a") == 1
    assert {version.version_id for version in below} <= versions() - marked()


_names = st.lists(st.text("ab/1", min_size=1, max_size=6), min_size=1, max_size=3).map("/".join)


@given(mine=_names, other=_names, content_id=st.text("0123456789abcdef", min_size=1, max_size=4))
def test_a_rendition_belongs_to_one_upload(mine, other, content_id):
    """For any keys, a clean-up never removes another upload's renditions."""
    mine, other = f"uploads/{mine}", f"uploads/{other}"
    key = keys.rendition_key(other, content_id, "100x100.jpg")
    assert keys.is_rendition_of(mine, key) == (mine == other)


def test_a_missing_version_counts_as_done():
    """Two concurrent clean-ups do not make each other fail."""
    missing = rendition(KEY, "1")
    storage.delete(aws.client, THUMBNAILS_BUCKET, [missing])
    storage.mark_superseded(aws.client, THUMBNAILS_BUCKET, [missing])


def test_more_versions_than_one_request_can_delete():
    """Versions beyond the limit of one request are deleted as well."""
    version = rendition(KEY, "1")
    storage.delete(aws.client, THUMBNAILS_BUCKET, [version] * 1001)
    assert versions() == set()


def test_a_version_that_s3_does_not_delete_is_an_error(monkeypatch):
    """A failed deletion is not reported as done."""
    answer = {"Errors": [{"Key": "k", "Code": "InternalError"}]}
    monkeypatch.setattr(aws.client("s3"), "delete_objects", lambda **_: answer)
    with pytest.raises(StorageUnavailableError, match="1 of 1 renditions: InternalError"):
        storage.delete(aws.client, THUMBNAILS_BUCKET, [storage.RenditionVersion("k", "v", True)])


@pytest.mark.parametrize(("status", "counted"), [(403, [{"RenditionsNotCleaned": 1}]), (503, [])])
def test_only_permanent_failures_are_counted(capsys, status, counted):
    """The workflow retries transient errors, so only permanent ones are counted."""
    with Stubber(aws.client("s3")) as stub:
        for _ in range(aws.ATTEMPTS):
            stub.add_client_error("list_object_versions", "SlowDown" if status == 503 else "X", http_status_code=status)
        with pytest.raises(Exception, match=r"SlowDown|X"):
            clean()
    assert metrics(capsys) == counted


@pytest.mark.parametrize(("limit", "removed", "counted"), [(2, 2, [{"RenditionsNotCleaned": 1}]), (3, 3, [])])
def test_versions_beyond_the_limit_of_a_listing_are_counted(monkeypatch, capsys, caplog, limit, removed, counted):
    """The versions stay, so an operator must be notified."""
    monkeypatch.setattr(storage, "_MAX_LISTED_VERSIONS", limit)
    for content_id in "123":
        rendition(KEY, content_id)
    put_record(KEY, status="DELETED")
    assert clean() == removed
    assert len(versions()) == 3 - removed
    assert metrics(capsys) == counted
    assert [record.getMessage() for record in caplog.records] == ["renditions not cleaned"] * len(counted)


@pytest.mark.parametrize(
    "error", [StorageUnavailableError("S3 did not answer.", "Wait."), ClientError({"Error": {"Code": "X"}}, "Y")]
)
def test_leftovers_of_a_completed_image_are_counted(capsys, error):
    """The workflow does not retry this clean-up."""
    with cleanup.best_effort():
        raise error
    assert metrics(capsys) == [{"RenditionsNotCleaned": 1}]


def test_the_lifecycle_expires_marked_versions(template):
    """Without a rule for the tag, every version would stay forever."""
    rules = template["Resources"]["ThumbnailsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (rule,) = [rule for rule in rules if rule.get("TagFilters")]
    assert rule["TagFilters"] == [storage.SUPERSEDED_TAG]
    assert rule["Status"] == "Enabled"
    assert rule["ExpirationInDays"] == 1
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_the_lifecycle_expires_only_marked_renditions(template):
    """An execution that was stopped may have overwritten a current rendition."""
    rules = template["Resources"]["ThumbnailsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    for rule in rules:
        expires = {"ExpirationInDays", "ExpirationDate", "NoncurrentVersionExpiration"} & rule.keys()
        of_renditions = not rule.get("Prefix", "") or rule["Prefix"].startswith("thumbnails/")
        assert not (expires and of_renditions) or rule["TagFilters"] == [storage.SUPERSEDED_TAG], rule["Id"]


def test_a_signed_url_never_outlives_its_version(template):
    """Old versions are kept for longer than the URLs that point to them."""
    rules = template["Resources"]["ThumbnailsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    days = min(r["NoncurrentVersionExpiration"]["NoncurrentDays"] for r in rules if "NoncurrentVersionExpiration" in r)
    assert days * 86_400 > template["Parameters"]["RenditionUrlSeconds"]["MaxValue"]
