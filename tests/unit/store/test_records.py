"""image_pipeline.store.records"""

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.errors import StorageUnavailableError, SupersededError
from image_pipeline.store import records
from tests.conftest import IMAGE_TABLE, put_record, watched

pytestmark = pytest.mark.usefixtures("aws")

FIELDS = {
    "status": "COMPLETED",
    "labels": [{"name": "Sea", "confidence": 97.25, "parents": []}],
    "labelModelVersion": None,
    "image": {"width": 4032, "height": 3024},
    "execution": {"id": "execution-1", "finishedAt": "2026-11-21T12:00:02.000Z"},
}


def complete():
    records.complete(
        clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg", execution_id="execution-1", fields=FIELDS
    )


def read(image_key):
    return records.read(clients.client, table=IMAGE_TABLE, image_key=image_key)


def test_a_completed_record_is_read_unchanged():
    """Numbers, nulls, lists and maps survive DynamoDB's types."""
    put_record("uploads/a.jpg", createdAt="2026-11-21T12:00:01.000Z")
    complete()
    record = read("uploads/a.jpg")
    assert record == FIELDS | {"ImageKey": "uploads/a.jpg", "createdAt": "2026-11-21T12:00:01.000Z"}
    assert isinstance(record["image"]["width"], int)


def test_completing_twice_changes_nothing():
    """A retry after a lost response must not make the image fail."""
    put_record("uploads/a.jpg")
    for _ in range(2):
        complete()
    assert read("uploads/a.jpg")["status"] == "COMPLETED"


def test_only_the_holder_of_the_claim_may_complete():
    """An older execution that ends late must not change the record of a newer one."""
    put_record("uploads/a.jpg", execution={"id": "execution-2"})
    record = read("uploads/a.jpg")
    with pytest.raises(SupersededError):
        complete()
    assert read("uploads/a.jpg") == record


def test_a_settled_record_stays_settled():
    """The last step of an aborted execution may still run, but must not turn FAILED into COMPLETED."""
    put_record("uploads/a.jpg", status="FAILED")
    with pytest.raises(SupersededError):
        complete()
    assert read("uploads/a.jpg")["status"] == "FAILED"


def test_a_completed_record_leaves_the_index_of_claims():
    """The watch then no longer reads it."""
    put_record("uploads/a.jpg", claimShard="0", claimedAt="2026-11-21T12:00:00.000Z", upload={"key": "uploads/a.jpg"})
    assert [claim["ImageKey"] for claim in records.oldest_claims(clients.client, IMAGE_TABLE)] == ["uploads/a.jpg"]
    complete()
    assert records.oldest_claims(clients.client, IMAGE_TABLE) == []


def test_claims_of_every_shard_are_found():
    """The workflow spreads claims over the hexadecimal digits."""
    names = sorted(f"uploads/{shard}{number}.jpg" for shard in "0123456789abcdef" for number in range(2))
    for name in names:
        put_record(name, claimShard=name[len("uploads/")], claimedAt="2026-11-21T12:00:00.000Z")
    claims = records.oldest_claims(clients.client, IMAGE_TABLE)
    assert sorted(claim["ImageKey"] for claim in claims) == names


def test_completing_a_missing_record_is_superseded():
    """No record is created."""
    with pytest.raises(SupersededError):
        complete()
    assert read("uploads/a.jpg") is None


def test_internal_attributes_are_not_returned():
    """The claim, the expiry, the last request and the point that somebody chose are internal."""
    internal = ("uploadOrder", "claimShard", "recipeId", "reprocessRequestedAt")
    put_record("uploads/a.jpg", **dict.fromkeys(internal, "0"), claimedAt="0", expiresAt=1, chosenFocus={"point": None})
    assert set(read("uploads/a.jpg")) == {"ImageKey", "status", "execution"}


def test_the_outcome_before_a_claim_can_be_read():
    """The record still contains the previous image and its execution."""
    attributes = {
        "previousStatus": "COMPLETED",
        "previousUpload": {"versionId": "v1"},
        "previousExecution": {"id": "e1"},
    }
    put_record("uploads/a.jpg", upload={"versionId": "v2"}, labels=[{"name": "Sea"}], **attributes)
    record = records.read_before_claim(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert (record["status"], record["upload"], record["execution"]) == ("COMPLETED", {"versionId": "v1"}, {"id": "e1"})
    assert record["labels"] == [{"name": "Sea"}]
    assert not attributes.keys() & read("uploads/a.jpg").keys()


def test_a_new_record_has_no_previous_outcome():
    """A new record has neither a previous status nor a previous upload."""
    put_record("uploads/a.jpg", previousStatus=None, previousUpload=None, previousExecution=None)
    record = records.read_before_claim(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")
    assert (record["status"], record["upload"], record["execution"]) == (None, None, None)
    assert records.read_before_claim(clients.client, table=IMAGE_TABLE, image_key="uploads/b.jpg") is None


def test_a_new_outcome_replaces_the_previous_one():
    """The record keeps no attribute of the previous outcome."""
    put_record("uploads/a.jpg", previousStatus="FAILED", previousUpload=None, previousExecution=None)
    complete()
    assert (
        records.read_before_claim(clients.client, table=IMAGE_TABLE, image_key="uploads/a.jpg")["status"] == "COMPLETED"
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, None),
        ({"execution": {"id": "e1"}}, "e1"),
        ({"execution": {"id": "e1"}, "lastFailure": {"executionId": "e2"}}, "e2"),
    ],
)
def test_the_last_attempt_may_have_failed(record, expected):
    """The execution of the record is then an older one."""
    assert records.last_attempt(record) == expected


def test_throttling_is_transient_and_a_refusal_is_permanent():
    """The workflow decides about retries by the name of the error."""
    with Stubber(clients.client("dynamodb")) as stub:
        for _ in range(3):
            stub.add_client_error("update_item", "ThrottlingException", http_status_code=400)
        with pytest.raises(StorageUnavailableError, match="ThrottlingException"):
            complete()
    with Stubber(clients.client("dynamodb")) as stub:
        stub.add_client_error("get_item", "AccessDeniedException", http_status_code=400)
        with pytest.raises(Exception, match="AccessDeniedException"):
            read("uploads/a.jpg")


def test_records_are_read_consistently():
    """A status may be read right after the upload."""
    with watched(clients.client("dynamodb"), "dynamodb.GetItem") as calls:
        read("uploads/a.jpg")
    assert calls[0]["ConsistentRead"] is True


def test_the_named_table_is_read():
    """The name of the table is used."""
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        records.read(clients.client, table="another-table", image_key="uploads/a.jpg")


def test_a_change_of_the_stream_is_two_plain_records():
    """The records have no internal attributes; None means that there was or is no record."""
    image = {"ImageKey": {"S": "uploads/a.jpg"}, "uploadOrder": {"S": "0"}, "image": {"M": {"width": {"N": "600"}}}}
    plain = {"ImageKey": "uploads/a.jpg", "image": {"width": 600}}
    assert records.before_and_after({"dynamodb": {"OldImage": image, "NewImage": image}}) == (plain, plain)
    assert records.before_and_after({"dynamodb": {"NewImage": image}}) == (None, plain)
    assert records.before_and_after({"dynamodb": {"OldImage": image}}) == (plain, None)


def keys_of(count):
    return [records.item_key(f"uploads/{number}.jpg") for number in range(count)]


def test_many_records_are_read_in_batches():
    """DynamoDB accepts at most a hundred keys per request; keys without a record are left out."""
    for number in (0, 99, 100, 200):
        put_record(f"uploads/{number}.jpg", status="FAILED")
    with watched(clients.client("dynamodb"), "dynamodb.BatchGetItem") as calls:
        items = records.read_many(clients.client, IMAGE_TABLE, keys_of(201), attributes=("ImageKey", "status"))
    assert sorted(item["ImageKey"] for item in items) == [f"uploads/{number}.jpg" for number in (0, 100, 200, 99)]
    assert all(item.keys() == {"ImageKey", "status"} for item in items)
    assert [len(call["RequestItems"][IMAGE_TABLE]["Keys"]) for call in calls] == [100, 100, 1]


def test_no_keys_need_no_request():
    """DynamoDB rejects a request without keys."""
    with watched(clients.client("dynamodb"), "dynamodb.BatchGetItem") as calls:
        assert records.read_many(clients.client, IMAGE_TABLE, []) == []
    assert calls == []


@pytest.mark.parametrize("consistent", [True, False])
def test_many_records_are_read_as_consistently_as_requested(consistent):
    """A consistent read costs twice as much."""
    with watched(clients.client("dynamodb"), "dynamodb.BatchGetItem") as calls:
        records.read_many(clients.client, IMAGE_TABLE, keys_of(1), consistent=consistent)
    assert calls[0]["RequestItems"][IMAGE_TABLE]["ConsistentRead"] is consistent


def test_unprocessed_keys_are_requested_again_with_growing_pauses():
    """DynamoDB returns a part when it is busy; after five attempts, the error is transient."""
    pauses = []
    unprocessed = {IMAGE_TABLE: {"Keys": keys_of(1)}}
    item = {"ImageKey": {"S": "uploads/0.jpg"}}
    with Stubber(clients.client("dynamodb")) as stub:
        stub.add_response("batch_get_item", {"Responses": {IMAGE_TABLE: []}, "UnprocessedKeys": unprocessed})
        stub.add_response("batch_get_item", {"Responses": {IMAGE_TABLE: [item]}, "UnprocessedKeys": {}})
        items = records.read_many(clients.client, IMAGE_TABLE, keys_of(1), pause=pauses.append)
        assert (items, len(pauses)) == ([{"ImageKey": "uploads/0.jpg"}], 1)
        for _ in range(5):
            stub.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": unprocessed})
        with pytest.raises(StorageUnavailableError):
            records.read_many(clients.client, IMAGE_TABLE, keys_of(1), pause=pauses.append)
        stub.assert_no_pending_responses()
    assert pauses == pytest.approx([0.2, 0.2, 0.4, 0.8, 1.6])
