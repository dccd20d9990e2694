"""image_pipeline.feeds.indexing"""

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.feeds import indexing
from tests.unit.feeds.listings import list_record, listed_keys, record

pytestmark = pytest.mark.usefixtures("listing_table")


def test_a_change_that_comes_again_changes_nothing():
    """A repeated change has no effect, even after a newer one."""
    first, second = record(labels=["Dog"]), record(labels=["Cat"])
    assert [list_record(first, 1), list_record(first, 1), list_record(second, 2), list_record(first, 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert (listed_keys(label="dog"), listed_keys(label="cat")) == ([], ["uploads/a.jpg"])


def test_building_the_listing_anew_adds_only_what_is_not_known():
    """A change of the stream wins over the result of a scan."""
    assert list_record(record(status="PROCESSING"), "")
    assert list_record(record(), 1)
    assert not list_record(record(status="PROCESSING"), "")
    assert listed_keys(status="COMPLETED") == ["uploads/a.jpg"]


def test_of_two_at_the_same_time_the_newer_wins(monkeypatch):
    """An older change that reads the ledger before and writes after a newer one has no effect."""
    list_record(record(), 1)
    read = indexing._ledger

    def slowly(client, **of):
        ledger = read(client, **of)
        monkeypatch.setattr(indexing, "_ledger", read)
        list_record(record(status="FAILED"), 3)
        return ledger

    monkeypatch.setattr(indexing, "_ledger", slowly)
    assert not list_record(record(status="PROCESSING"), 2)
    assert listed_keys(status="FAILED") == ["uploads/a.jpg"]


def test_an_image_that_others_change_all_the_time_is_left_for_later():
    """The stream delivers the change again."""
    with Stubber(clients.client("dynamodb")) as stub:
        for _ in range(indexing._ATTEMPTS):
            stub.add_response("get_item", {})
            for _entry in range(2):
                stub.add_response("put_item", {})
            stub.add_client_error("put_item", "ConditionalCheckFailedException")
        with pytest.raises(StorageUnavailableError):
            list_record(record(), 1)


@pytest.mark.parametrize(
    ("code", "error"), [("ThrottlingException", StorageUnavailableError), ("ValidationException", ClientError)]
)
@pytest.mark.parametrize("written", [0, 2])
def test_a_write_that_is_refused_is_named(written, code, error):
    """The stream retries transient errors; other errors are bugs."""
    client = clients.client("dynamodb")
    with Stubber(client) as stub:
        stub.add_response("get_item", {})
        for _ in range(written):
            stub.add_response("put_item", {})
        for _ in range(2):
            stub.add_client_error("put_item", code)
        with pytest.raises(error):
            list_record(record(), 1)
