"""image_pipeline.store.storage"""

import threading

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.errors import (
    StorageUnavailableError,
    UploadArchivedError,
    UploadTooLargeError,
    UploadVanishedError,
)
from image_pipeline.store import storage
from tests.conftest import THUMBNAILS_BUCKET, UPLOADS_BUCKET, aws_client, put_upload, watched

WEBP = storage.NewFile("thumbnails/a", b"x", "image/webp")

pytestmark = pytest.mark.usefixtures("aws")


def source_of(key, data, versioned=True):
    source = storage.ObjectVersion.from_json(put_upload(key, data))
    return source if versioned else source._replace(version_id=None)


@pytest.mark.parametrize("versioned", [True, False])
def test_reads_the_announced_bytes_and_no_others(versioned):
    """After an overwrite, the old version is read if the bucket has versions; otherwise the read is refused."""
    old = source_of("uploads/a.jpg", b"old", versioned)
    put_upload("uploads/a.jpg", b"new")
    if versioned:
        assert storage.read(clients.client, old, 10).data == b"old"
    else:
        with pytest.raises(UploadVanishedError):
            storage.read(clients.client, old, 10)


def test_a_deleted_version_has_vanished():
    """A missing version is a rejection with its own name, not a crash."""
    source = source_of("uploads/a.jpg", b"x")
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key="uploads/a.jpg", VersionId=source.version_id)
    with pytest.raises(UploadVanishedError):
        storage.read(clients.client, source, 10)


def test_a_missing_key_has_vanished():
    """An object may be deleted before its event arrives."""
    with pytest.raises(UploadVanishedError):
        storage.read(clients.client, storage.ObjectVersion(UPLOADS_BUCKET, "uploads/no.jpg", "etag", None, 3), 10)


def stored_as(storage_class):
    answer = aws_client("s3").put_object(
        Bucket=UPLOADS_BUCKET, Key="uploads/a.jpg", Body=b"x", StorageClass=storage_class
    )
    return storage.ObjectVersion(UPLOADS_BUCKET, "uploads/a.jpg", answer["ETag"].strip('"'), answer["VersionId"], 1)


READS = {
    "read": lambda source: storage.read(clients.client, source, 10),
    "UploadReader": lambda source: storage.UploadReader(clients.client, source).read(0, 10),
}


@pytest.mark.parametrize("function", READS.values(), ids=READS)
@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_has_its_own_error(storage_class, function):
    """The object is neither missing nor corrupt, and a retry does not help: it must be restored."""
    with pytest.raises(UploadArchivedError, match=storage_class) as caught:
        function(stored_as(storage_class))
    assert "restore" in caught.value.hint.lower()


@pytest.mark.parametrize("storage_class", ["GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"])
def test_a_class_with_instant_retrieval_is_not_an_archive(storage_class):
    """Objects with instant retrieval are read like any other object."""
    assert storage.read(clients.client, stored_as(storage_class), 10).data == b"x"


def test_an_archived_object_that_was_restored_is_read():
    """A restored copy can be read until it expires."""
    source = stored_as("GLACIER")
    aws_client("s3").restore_object(Bucket=UPLOADS_BUCKET, Key=source.key, RestoreRequest={"Days": 1})
    assert storage.read(clients.client, source, 10).data == b"x"


@pytest.mark.parametrize("tier", ["ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"])
def test_an_archive_tier_of_intelligent_tiering_is_an_archive(tier):
    """The storage class alone is not enough; S3's error contains the tier."""
    source = source_of("uploads/a.jpg", b"x")
    details = {"StorageClass": "INTELLIGENT_TIERING", "AccessTier": tier}
    with Stubber(clients.client("s3")) as stub:
        stub.add_client_error("get_object", "InvalidObjectState", http_status_code=403, modeled_fields=details)
        with pytest.raises(UploadArchivedError, match=f"INTELLIGENT_TIERING, {tier}"):
            storage.read(clients.client, source, 10)


def test_never_reads_more_than_the_limit():
    """The announced size may be wrong, but the bytes that are read never exceed the limit."""
    source = source_of("uploads/a.jpg", b"0123456789")
    assert storage.read(clients.client, source, 10).data == b"0123456789"
    with pytest.raises(UploadTooLargeError):
        storage.read(clients.client, source, 9)


def test_parts_are_read_by_range():
    """Each part needs one small GET request."""
    upload = storage.UploadReader(clients.client, source_of("uploads/a.jpg", b"0123456789"))
    with watched(clients.client("s3"), "s3.GetObject") as calls:
        assert upload.read(0, 4) == b"0123"
        assert upload.read(5, 100) == b"56789"
        assert upload.read(10, 1) == b""
    assert [call["Range"] for call in calls] == ["bytes=0-3", "bytes=5-104"]


def test_an_empty_object_is_not_read():
    """S3 rejects every range of an empty object, so no request is made."""
    assert storage.UploadReader(clients.client, source_of("uploads/a.jpg", b"")).read(0, 64) == b""


@pytest.mark.parametrize("key", ["uploads/a+b.jpg", "uploads/a%2Bb.jpg", "uploads/a%20b.jpg", "uploads/a b.jpg"])
def test_the_raw_key_is_tried_first(key):
    """A name that looks encoded is used unchanged."""
    upload = storage.UploadReader(clients.client, source_of(key, b"x"))
    assert upload.read(0, 1) == b"x"
    assert upload.source.key == key


def test_the_decoded_key_is_tried_if_the_raw_one_does_not_exist():
    """Some senders encode keys; later steps use the spelling that exists."""
    upload = storage.UploadReader(clients.client, source_of("uploads/a b.jpg", b"xy")._replace(key="uploads/a+b.jpg"))
    assert upload.read(0, 1) == b"x"
    assert upload.source.key == "uploads/a b.jpg"
    assert upload.read(1, 1) == b"y"


def test_an_upload_has_vanished_when_no_spelling_exists():
    """The upload is reported as vanished."""
    upload = storage.UploadReader(
        clients.client, storage.ObjectVersion(UPLOADS_BUCKET, "uploads/a+b.jpg", "etag", None, 3)
    )
    with pytest.raises(UploadVanishedError):
        upload.read(0, 1)


def test_a_rendition_is_stored_with_its_type_and_cached_forever():
    """The key changes with the content, so a cached copy is never outdated."""
    (written,) = storage.write(clients.client, THUMBNAILS_BUCKET, [WEBP])
    stored = aws_client("s3").get_object(Bucket=THUMBNAILS_BUCKET, Key="thumbnails/a")
    assert (stored["ContentType"], stored["CacheControl"]) == ("image/webp", "public, max-age=31536000, immutable")
    assert written.to_json() == {
        "bucket": THUMBNAILS_BUCKET,
        "key": "thumbnails/a",
        "versionId": stored["VersionId"],
        "etag": stored["ETag"].strip('"'),
    }


def test_results_have_the_order_of_the_files():
    """The order does not depend on which parallel write ends first."""
    files = [storage.NewFile(f"thumbnails/{number}", str(number).encode(), "image/jpeg") for number in range(20)]
    written = storage.write(clients.client, THUMBNAILS_BUCKET, files)
    for file, place in zip(files, written, strict=True):
        stored = aws_client("s3").get_object(Bucket=place.bucket, Key=place.key, VersionId=place.version_id)
        assert (place.key, stored["Body"].read()) == (file.key, file.data)


def test_files_are_written_in_parallel():
    """Lambda bills the time in which a function waits."""
    together = threading.Barrier(4)

    class Client:
        def put_object(self, **_):
            together.wait(10)  # until all four are here
            return {"ETag": '"e"', "VersionId": "v"}

    assert len(storage.write(lambda _: Client(), "b", [WEBP] * 4)) == 4


@pytest.mark.parametrize("temporary", [True, False])
def test_temporary_files_expire(temporary):
    """A lifecycle rule in the template selects temporary files by their tag."""
    storage.write(clients.client, THUMBNAILS_BUCKET, [WEBP._replace(temporary=temporary)])
    tags = aws_client("s3").get_object_tagging(Bucket=THUMBNAILS_BUCKET, Key=WEBP.key)["TagSet"]
    assert tags == ([storage.SUPERSEDED_TAG] if temporary else [])


def test_throttling_is_transient():
    """The workflow decides about retries by the name of the error."""
    with Stubber(clients.client("s3")) as stub:
        for _ in range(3):
            stub.add_client_error("put_object", "SlowDown", http_status_code=503)
        with pytest.raises(StorageUnavailableError, match="SlowDown"):
            storage.write(clients.client, THUMBNAILS_BUCKET, [WEBP])


def test_a_refusal_keeps_its_own_name():
    """A missing permission is a fault of the deployment, not a rejection of the file."""
    with Stubber(clients.client("s3")) as stub:
        stub.add_client_error("get_object", "AccessDenied", http_status_code=403)
        with pytest.raises(Exception, match="AccessDenied"):
            storage.read(clients.client, storage.ObjectVersion(UPLOADS_BUCKET, "uploads/a.jpg", "etag", None, 3), 10)


def test_url_gives_the_object_and_expires():
    """The URL returns the object to anyone until it expires."""
    url = storage.signed_url(
        clients.client, bucket=THUMBNAILS_BUCKET, key="thumbnails/a b.jpg", version_id=None, seconds=900
    )
    assert "versionId" not in url
    assert url.startswith(f"https://{THUMBNAILS_BUCKET}.s3.eu-west-1.amazonaws.com/thumbnails/a%20b.jpg?")
    assert "X-Amz-Expires=900" in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_url_is_of_one_version():
    """The URL returns the same version even after the key was overwritten."""
    (written,) = storage.write(clients.client, THUMBNAILS_BUCKET, [WEBP])
    url = storage.signed_url(
        clients.client, bucket=THUMBNAILS_BUCKET, key="thumbnails/a", version_id=written.version_id, seconds=900
    )
    assert f"versionId={written.version_id}" in url
