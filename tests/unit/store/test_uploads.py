"""image_pipeline.store.uploads"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto.s3.responses import S3Response

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
from image_pipeline.store import records, uploads
from local.emulator.moto_seams import copies
from tests.conftest import IMAGE_TABLE, UPLOADS_BUCKET, aws_client, put_record, put_upload

pytestmark = pytest.mark.usefixtures("aws")


def delete(image_key, etag=None):
    uploads.delete(aws_client, bucket=UPLOADS_BUCKET, image_key=image_key, etag=etag)


def visible():
    contents = aws_client("s3").list_objects_v2(Bucket=UPLOADS_BUCKET).get("Contents", [])
    return [item["Key"] for item in contents]


def versions():
    return aws_client("s3").list_object_versions(Bucket=UPLOADS_BUCKET)


@pytest.fixture
def machine():
    states = aws_client("stepfunctions")
    answer = states.create_state_machine(name="process", definition="{}", roleArn="arn:aws:iam::123456789012:role/r")
    return answer["stateMachineArn"]


def reprocess(machine, image_key):
    arn = uploads.reprocess(
        aws_client, bucket=UPLOADS_BUCKET, table=IMAGE_TABLE, state_machine=machine, image_key=image_key
    )
    return json.loads(aws_client("stepfunctions").describe_execution(executionArn=arn)["input"])


def test_a_deleted_upload_can_be_restored():
    """A delete marker hides the upload, and all versions stay."""
    version = put_upload("uploads/a.jpg", b"x")["versionId"]
    put_upload("uploads/b.jpg", b"x")
    delete("uploads/a.jpg")
    assert visible() == ["uploads/b.jpg"]
    assert version in [version_item["VersionId"] for version_item in versions()["Versions"]]


@pytest.mark.parametrize("image_key", ["uploads/folder/", "uploads/"])
def test_a_folder_marker_cannot_be_reprocessed(machine, image_key):
    """A folder marker never gets a record; a non-empty object with the same name is an upload."""
    put_upload(image_key, b"")
    with pytest.raises(UploadNotFoundError, match="folder marker"):
        reprocess(machine, image_key)
    put_upload(image_key, b"x")
    assert reprocess(machine, image_key)["detail"]["object"]["size"] == 1


def test_an_empty_upload_is_reprocessed_at_once(machine):
    """An explicit request needs no wait for the content."""
    put_upload("uploads/empty.jpg", b"")
    assert reprocess(machine, "uploads/empty.jpg")["detail"]["object"]["size"] == 0


def test_a_claim_between_the_reads_wins(machine, monkeypatch):
    """The claim is newer than the order of the reprocess, so the workflow ends the reprocess."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", uploadOrder="01".ljust(64, "0"))
    head = uploads._head

    def head_while_another_claims(client, **of):
        result = head(client, **of)
        put_record("uploads/a.jpg", uploadOrder="02".ljust(64, "0"))
        return result

    monkeypatch.setattr(uploads, "_head", head_while_another_claims)
    assert reprocess(machine, "uploads/a.jpg")["detail"]["object"]["sequencer"] == "01".ljust(64, "0")


def test_a_missing_upload_is_not_deleted():
    """No delete marker is created."""
    with pytest.raises(UploadNotFoundError, match=r"'uploads/no\.jpg'"):
        delete("uploads/no.jpg")
    assert not versions().get("DeleteMarkers")


@pytest.mark.parametrize("quoted", [True, False])
def test_only_the_object_with_the_given_etag_is_deleted(quoted):
    """Another client may have replaced the upload."""
    etag = put_upload("uploads/a.jpg", b"x")["etag"]
    etag = f'"{etag}"' if quoted else etag
    put_upload("uploads/a.jpg", b"y")
    with pytest.raises(UploadChangedError):
        delete("uploads/a.jpg", etag=etag)
    assert visible() == ["uploads/a.jpg"]
    put_upload("uploads/a.jpg", b"x")
    delete("uploads/a.jpg", etag=etag)
    assert visible() == []


def test_an_empty_etag_is_a_condition_too():
    """An empty etag is sent to S3 as a condition, because the caller did not mean any object."""
    s3 = aws_client("s3")
    location = {"Bucket": UPLOADS_BUCKET, "Key": "uploads/a.jpg"}
    with Stubber(s3) as stub:
        stub.add_response("head_object", {}, location)
        stub.add_client_error(
            "delete_object", "PreconditionFailed", http_status_code=412, expected_params={**location, "IfMatch": ""}
        )
        with pytest.raises(UploadChangedError):
            uploads.delete(lambda _: s3, bucket=UPLOADS_BUCKET, image_key="uploads/a.jpg", etag="")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("SlowDown", 503, StorageUnavailableError),
        ("InternalError", 500, StorageUnavailableError),
        ("AccessDenied", 403, ClientError),
    ],
)
def test_an_error_of_s3_is_not_a_missing_object(code, status, error):
    """Transient errors differ from permanent ones."""
    s3 = aws_client("s3")
    with Stubber(s3) as stub:
        stub.add_client_error("head_object", code, http_status_code=status)
        with pytest.raises(error):
            uploads.delete(lambda _: s3, bucket=UPLOADS_BUCKET, image_key="uploads/a.jpg")


def test_a_reprocess_has_the_sequencer_of_its_record(machine):
    """A newer upload therefore wins against the reprocess."""
    upload = put_upload("uploads/é.jpg", b"xyz")
    put_record("uploads/é.jpg")
    event = reprocess(machine, "uploads/é.jpg")
    assert event["detail"] == {
        "bucket": {"name": UPLOADS_BUCKET},
        "object": {
            "key": "uploads/é.jpg",
            "size": 3,
            "etag": upload["etag"],
            "sequencer": upload["sequencer"].ljust(64, "0"),
            "version-id": upload["versionId"],
        },
        "reprocess": True,
    }


# ---- The cooldown of a reprocess


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""

    class Clock(datetime):
        at = datetime(2026, 11, 21, 12, tzinfo=UTC)

        @classmethod
        def now(cls, _):
            return cls.at

    monkeypatch.setattr(uploads, "datetime", Clock)
    return Clock


def reprocess_within(machine, seconds, key="uploads/a.jpg"):
    uploads.reprocess(
        aws_client,
        bucket=UPLOADS_BUCKET,
        table=IMAGE_TABLE,
        state_machine=machine,
        image_key=key,
        cooldown_seconds=seconds,
    )


def executions(machine):
    return len(aws_client("stepfunctions").list_executions(stateMachineArn=machine)["executions"])


@pytest.mark.parametrize(("elapsed", "remaining"), [(0, 10), (0.001, 10), (4.2, 6), (9, 1), (9.999, 1), (-3600, 10)])
def test_a_reprocess_must_wait_for_the_cooldown(machine, clock, elapsed, remaining):
    """The remaining time has whole seconds, clocks may differ, and a refusal does not extend the cooldown."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    reprocess_within(machine, 10)
    start = clock.at
    for _ in range(2):
        clock.at = start + timedelta(seconds=elapsed)
        with pytest.raises(TooSoonError, match=r"'uploads/a\.jpg' .* 10 seconds") as caught:
            reprocess_within(machine, 10)
        assert caught.value.retry_after_seconds == remaining
    assert executions(machine) == 1
    clock.at = start + timedelta(seconds=max(elapsed, 0) + remaining)
    reprocess_within(machine, 10)
    assert executions(machine) == 2


def test_a_cooldown_does_not_change_the_public_record():
    """Readers see no change, and a key without a record has no cooldown."""
    put_record("uploads/a.jpg", status="COMPLETED")
    record = records.read(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    uploads._begin_cooldown(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg", seconds=10)
    assert records.read(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg") == record
    for _ in range(2):
        uploads._begin_cooldown(aws_client, table=IMAGE_TABLE, image_key="uploads/no record.jpg", seconds=10)
    assert records.read(aws_client, table=IMAGE_TABLE, image_key="uploads/no record.jpg") is None


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("ThrottlingException", 400, StorageUnavailableError), ("AccessDeniedException", 400, ClientError)],
)
def test_an_error_of_the_table_is_not_a_cooldown(code, status, error):
    """An error of the table does not skip the cooldown."""
    dynamodb = aws_client("dynamodb")
    with Stubber(dynamodb) as stub:
        stub.add_client_error("update_item", code, http_status_code=status)
        with pytest.raises(error):
            uploads._begin_cooldown(lambda _: dynamodb, table=IMAGE_TABLE, image_key="uploads/a.jpg", seconds=10)


# ---- The focus of an upload

POINT = {"x": 0.3, "y": 0.4}


def set_focus(machine, point=POINT, key="uploads/a.jpg", seconds=0):
    arn = uploads.set_focus(
        aws_client,
        bucket=UPLOADS_BUCKET,
        table=IMAGE_TABLE,
        state_machine=machine,
        image_key=key,
        point=point,
        cooldown_seconds=seconds,
    )
    return json.loads(aws_client("stepfunctions").describe_execution(executionArn=arn)["input"])


@pytest.mark.parametrize("point", [POINT, None])
@pytest.mark.parametrize("seconds", [0, 10])
def test_a_focus_is_stored_with_its_version(machine, point, seconds):
    """Readers see the point only when it is rendered, and the workflow starts as for a reprocess."""
    upload = put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    public = records.read(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    event = set_focus(machine, point, seconds=seconds)
    assert event["detail"]["reprocess"] is True
    record = records.read_before_claim(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert record["chosenFocus"] == {"point": point, "versionId": upload["versionId"], "etag": upload["etag"]}
    assert records.read(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg") == public


def test_a_focus_and_a_reprocess_share_a_cooldown(machine):
    """A request within the cooldown changes nothing."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED")
    reprocess_within(machine, 10)
    with pytest.raises(TooSoonError):
        set_focus(machine, seconds=10)
    record = records.read_before_claim(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert "chosenFocus" not in record
    assert executions(machine) == 1


def test_without_a_cooldown_the_clock_does_not_matter(machine):
    """The clock of another host may be ahead."""
    put_upload("uploads/a.jpg", b"x")
    put_record("uploads/a.jpg", status="COMPLETED", reprocessRequestedAt="2999-01-01T00:00:00.000Z")
    set_focus(machine, seconds=0)
    assert executions(machine) == 1


@pytest.mark.parametrize("seconds", [0, 10])
def test_an_upload_without_a_record_gets_its_focus_later(machine, seconds):
    """Only the first execution of an upload may create its record, so the caller must try again."""
    put_upload("uploads/a.jpg", b"x")
    with pytest.raises(TooSoonError, match="no record yet") as caught:
        set_focus(machine, seconds=seconds)
    assert caught.value.retry_after_seconds == 1
    assert records.read(aws_client, table=IMAGE_TABLE, image_key="uploads/a.jpg") is None
    assert executions(machine) == 0


@pytest.mark.parametrize("key", ["uploads/no.jpg", "uploads/folder/"])
def test_only_an_upload_has_a_focus(machine, key):
    """Neither a missing upload nor a folder marker gets one."""
    put_upload("uploads/folder/", b"")
    put_record("uploads/folder/", status="COMPLETED")
    with pytest.raises(UploadNotFoundError):
        set_focus(machine, key=key)


def test_an_upload_without_a_record_is_processed_as_the_oldest(machine):
    """Its event may have been lost."""
    put_upload("uploads/a.jpg", b"x")
    assert reprocess(machine, "uploads/a.jpg")["detail"]["object"]["sequencer"] == "0"


def test_a_missing_upload_is_not_processed(machine):
    """No execution is started."""
    with pytest.raises(UploadNotFoundError):
        reprocess(machine, "uploads/no.jpg")
    assert aws_client("stepfunctions").list_executions(stateMachineArn=machine)["executions"] == []


def store(image_key, data=b"x", overwrite=True, client=aws_client):
    return uploads.store(
        client,
        bucket=UPLOADS_BUCKET,
        image_key=image_key,
        data=data,
        content_type="image/jpeg",
        overwrite=overwrite,
    )


def test_an_upload_is_stored_with_its_type():
    """The version id is returned, and an existing upload is replaced."""
    first, second = store("uploads/a.jpg"), store("uploads/a.jpg", b"new")
    assert first != second
    stored = aws_client("s3").get_object(Bucket=UPLOADS_BUCKET, Key="uploads/a.jpg")
    assert (stored["Body"].read(), stored["ContentType"], stored["VersionId"]) == (b"new", "image/jpeg", second)


def test_a_conditional_upload_does_not_replace_another():
    """S3 checks the condition, so only one of two concurrent callers succeeds."""
    store("uploads/a.jpg", b"first", overwrite=False)
    with pytest.raises(UploadExistsError, match=r"'uploads/a\.jpg'"):
        store("uploads/a.jpg", b"second", overwrite=False)
    assert aws_client("s3").get_object(Bucket=UPLOADS_BUCKET, Key="uploads/a.jpg")["Body"].read() == b"first"


@pytest.mark.parametrize(("code", "status"), [("ConditionalRequestConflict", 409), ("SlowDown", 503)])
def test_a_conflict_while_storing_is_transient(code, status):
    """The same request may succeed a second later."""
    client = aws_client("s3")
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", code, http_status_code=status)
        with pytest.raises(StorageUnavailableError, match=code):
            store("uploads/a.jpg", overwrite=False, client=lambda _: client)


def test_a_missing_permission_to_store_is_permanent():
    """The details of the error are not returned to callers."""
    client = aws_client("s3")
    with Stubber(client) as stubber:
        stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)
        with pytest.raises(ClientError, match="AccessDenied"):
            store("uploads/a.jpg", overwrite=True, client=lambda _: client)


# ---- Restore


def restore(machine="none", image_key="uploads/a", client=aws_client, **options):
    arguments = {"bucket": UPLOADS_BUCKET, "table": IMAGE_TABLE, "state_machine": machine, "image_key": image_key}
    return uploads.restore(client, **arguments, **options)


def content(image_key="uploads/a"):
    return aws_client("s3").get_object(Bucket=UPLOADS_BUCKET, Key=image_key)["Body"].read()


@pytest.mark.parametrize("image_key", ["uploads/a", "uploads/ä ?+%41/x//y", "uploads/../x"])
def test_a_deleted_upload_gets_its_newest_version_back(image_key):
    """The version of any name is copied with its content type, and other keys are not affected."""
    s3 = aws_client("s3")
    put_upload(image_key, b"old")
    s3.put_object(Bucket=UPLOADS_BUCKET, Key=image_key, Body=b"new", ContentType="image/png")
    for other_key in (image_key + "x", image_key[:-1]):
        put_upload(other_key, b"other")
        s3.delete_object(Bucket=UPLOADS_BUCKET, Key=other_key)
    for _ in range(3):
        s3.delete_object(Bucket=UPLOADS_BUCKET, Key=image_key)
    version_id = restore(image_key=image_key)
    head = s3.head_object(Bucket=UPLOADS_BUCKET, Key=image_key)
    assert (content(image_key), head["ContentType"], head["VersionId"]) == (b"new", "image/png", version_id)
    assert visible() == [image_key]


def test_an_upload_without_a_version_is_not_restored():
    """A delete marker alone, another key with the same prefix, and an unknown key are not found."""
    s3 = aws_client("s3")
    s3.delete_object(Bucket=UPLOADS_BUCKET, Key="uploads/a")
    put_upload("uploads/ab", b"x")
    for image_key in ("uploads/a", "uploads/b", "uploads/"):
        with pytest.raises(UploadNotFoundError):
            restore(image_key=image_key)
    assert visible() == ["uploads/ab"]


@pytest.mark.parametrize("status", [None, "PROCESSING", "COMPLETED", "PARTIAL", "FAILED"])
def test_an_existing_upload_is_not_restored(status):
    """An object whose record is not DELETED, or that has no record yet, stays as it is."""
    put_upload("uploads/a", b"x")
    if status:
        put_record("uploads/a", status=status)
    with pytest.raises(UploadNotDeletedError):
        restore()
    assert len(versions()["Versions"]) == 1


def test_an_object_whose_record_is_deleted_is_processed(machine):
    """Somebody removed the delete marker; the object is not copied."""
    put_upload("uploads/a", b"x")
    put_record("uploads/a", status="DELETED")
    version_id = restore(machine)
    (version,) = versions()["Versions"]
    assert version["VersionId"] == version_id
    (execution,) = aws_client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert execution["name"].startswith("reprocess_")


def test_a_new_upload_is_not_overwritten_by_a_restore(monkeypatch):
    """The upload was stored after the versions were listed. S3 checks If-None-Match, and so does moto with a seam."""
    monkeypatch.setattr(S3Response, "copy_object", S3Response.copy_object)  # to remove the seam after the test
    copies.install()
    put_upload("uploads/a", b"old")
    aws_client("s3").delete_object(Bucket=UPLOADS_BUCKET, Key="uploads/a")
    newest_version = uploads._newest_version

    def upload_meanwhile(*arguments, **options):
        version = newest_version(*arguments, **options)
        put_upload("uploads/a", b"new")
        return version

    monkeypatch.setattr(uploads, "_newest_version", upload_meanwhile)
    with pytest.raises(UploadNotDeletedError):
        restore()
    assert content() == b"new"
    assert len(versions()["Versions"]) == 2


def test_a_copy_sends_its_condition_with_every_sdk():
    """The header is sent even if the SDK has no parameter for it."""
    put_upload("uploads/a", b"old")
    s3 = aws_client("s3")  # its own, because the handler stays
    s3.delete_object(Bucket=UPLOADS_BUCKET, Key="uploads/a")
    requests = []
    s3.meta.events.register("before-send.s3.CopyObject", lambda request, **_: requests.append(request.headers))
    restore(client=lambda _: s3)
    (headers,) = requests
    assert headers["If-None-Match"] in ("*", b"*")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("PreconditionFailed", 412, UploadNotDeletedError),
        ("ConditionalRequestConflict", 409, StorageUnavailableError),
        ("InvalidObjectState", 403, UploadArchivedError),
        ("NoSuchVersion", 404, UploadNotFoundError),
        ("NoSuchKey", 404, UploadNotFoundError),
        ("SlowDown", 503, StorageUnavailableError),
        ("AccessDenied", 403, ClientError),
    ],
)
def test_a_refused_copy_has_a_hint(code, status, error):
    """Each error of S3 says what to do."""
    s3 = aws_client("s3")
    version = {"Key": "uploads/a", "VersionId": "1", "IsLatest": False, "Size": 1}
    with Stubber(s3) as stub:
        stub.add_response("list_object_versions", {"Versions": [version]})
        stub.add_client_error("copy_object", code, http_status_code=status)
        with pytest.raises(error):
            restore(client=lambda _: s3)


@pytest.mark.parametrize("size", [uploads.MAX_COPY_BYTES, uploads.MAX_COPY_BYTES + 1])
def test_a_version_is_copied_up_to_the_limit_of_s3(size):
    """A larger version is refused before S3 is called."""
    s3 = aws_client("s3")
    version = {"Key": "uploads/a", "VersionId": "1", "IsLatest": False, "Size": size}
    with Stubber(s3) as stub:
        stub.add_response("list_object_versions", {"Versions": [version]})
        if size <= uploads.MAX_COPY_BYTES:
            stub.add_response("copy_object", {"VersionId": "2"})
            assert restore(client=lambda _: s3) == "2"
        else:
            with pytest.raises(UploadTooLargeError):
                restore(client=lambda _: s3)
