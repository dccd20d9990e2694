"""functions/index_images"""

import copy
import json

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.feeds import indexing, listing
from tests.conftest import LISTING_TABLE, ROOT, watched

EVENT = json.loads((ROOT / "events" / "index_images.json").read_text())


@pytest.fixture(autouse=True)
def _client():
    clients.client.cache_clear()
    yield
    clients.client.cache_clear()


def change(number, key="uploads/coffee.jpg", removed=False, stream=None, **fields):
    """A change like the one in events/, with another sequence number."""
    (record,) = copy.deepcopy(EVENT["Records"])
    record["dynamodb"] |= {"SequenceNumber": str(number), "Keys": {"ImageKey": {"S": key}}}
    record["dynamodb"]["NewImage"] |= {"ImageKey": {"S": key}, **fields}
    if removed:
        del record["dynamodb"]["NewImage"]
    if stream:
        record["eventSourceARN"] = f"{record['eventSourceARN'].partition('/stream/')[0]}/stream/{stream}"
    return record


def listed_keys(**conditions):
    page = listing.read_page(clients.client, LISTING_TABLE, listing.Query(listing.make_filter(**conditions)))
    return [image["imageKey"] for image in page.images]


def test_a_changed_image_is_listed(handler):
    """An image is listed in each of its views."""
    assert handler(EVENT) == {"batchItemFailures": []}
    assert listed_keys() == listed_keys(status="COMPLETED") == listed_keys(label="coffee") == ["uploads/coffee.jpg"]


def test_a_deleted_image_is_not_listed(handler):
    """A record that expired is removed from the listing."""
    handler({"Records": [change(1), change(2, removed=True)]})
    assert listed_keys() == []


def test_an_item_that_is_not_a_record_is_skipped(handler):
    """An item without a status must not block the stream."""
    odd = change(1, "uploads/odd")
    odd["dynamodb"]["NewImage"] = {"ImageKey": {"S": "uploads/odd"}}
    assert handler({"Records": [odd, change(2)]}) == {"batchItemFailures": []}
    assert listed_keys() == ["uploads/coffee.jpg"]


def test_a_repeated_batch_changes_nothing(handler):
    """Sequence numbers are compared as numbers, so 9 is less than 10."""
    handler({"Records": [change(9), change(10, status={"S": "FAILED"})]})
    assert handler({"Records": [change(9)]}) == {"batchItemFailures": []}
    assert (listed_keys(status="COMPLETED"), listed_keys(status="FAILED")) == ([], ["uploads/coffee.jpg"])


def test_only_the_last_change_of_each_image_is_listed(handler):
    """Only the last change of an image is applied, in the order of the last changes."""
    records = [change(1, status={"S": "PROCESSING"}), change(2, "uploads/b"), change(3)]
    assert [record["dynamodb"]["SequenceNumber"] for record in indexing.newest_changes(records)] == ["2", "3"]
    with watched(clients.client("dynamodb"), "dynamodb.PutItem") as writes:
        handler({"Records": records})
    assert not [write for write in writes if "PROCESSING" in str(write)]
    assert sorted(listed_keys()) == ["uploads/b", "uploads/coffee.jpg"]


def test_a_newer_stream_starts_its_own_count(handler):
    """A restored table has a new stream with lower numbers."""
    handler({"Records": [change(7)]})
    handler({"Records": [change(3, stream="2027-01-01T00:00:00.000", status={"S": "FAILED"})]})
    assert listed_keys(status="FAILED") == ["uploads/coffee.jpg"]


def test_the_first_failed_item_is_returned(handler, monkeypatch):
    """Lambda continues with the first change that was not listed."""
    apply_stream_change = indexing.apply_stream_change

    def until_two(client, table, record):
        if record["dynamodb"]["SequenceNumber"] == "2":
            with Stubber(client("dynamodb")) as stub:
                stub.add_client_error("get_item", "ThrottlingException")
                return apply_stream_change(client, table, record)
        return apply_stream_change(client, table, record)

    monkeypatch.setattr(indexing, "apply_stream_change", until_two)
    records = [change(number, f"uploads/{number}") for number in (1, 2, 3)]
    assert handler({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert listed_keys() == ["uploads/1"]


def test_skipped_changes_are_delivered_again_after_a_failure(handler, monkeypatch):
    """Lambda delivers the newest change of every skipped image again."""
    records = [change(1, "uploads/a"), change(2, "uploads/b"), change(3, "uploads/c"), change(4, "uploads/a")]
    attempts = []

    def fails_at_first(*arguments):
        attempts.append(arguments)
        if len(attempts) == 2:
            raise StorageUnavailableError("No.", "Try again.")
        return apply_stream_change(*arguments)

    apply_stream_change = indexing.apply_stream_change
    monkeypatch.setattr(indexing, "apply_stream_change", fails_at_first)
    ((failed,),) = handler({"Records": records}).values()
    start = [record["dynamodb"]["SequenceNumber"] for record in records].index(failed["itemIdentifier"])
    assert handler({"Records": records[start:]}) == {"batchItemFailures": []}
    assert sorted(listed_keys()) == ["uploads/a", "uploads/b", "uploads/c"]
