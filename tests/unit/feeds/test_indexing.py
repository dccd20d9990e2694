"""image_pipeline.feeds.indexing"""

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.errors import StorageUnavailableError
from image_pipeline.feeds import entries, indexing
from image_pipeline.store import records
from image_pipeline.store.attributes import to_attribute
from tests.conftest import IMAGE_TABLE, LISTING_TABLE, aws_client
from tests.unit.feeds.listings import list_record, listed_keys, pages, record, rendition

pytestmark = pytest.mark.usefixtures("listing_table")


def test_a_repeated_change_has_no_effect():
    """This holds even after a newer change."""
    first, second = record(labels=["Dog"]), record(labels=["Cat"])
    assert [list_record(first, 1), list_record(first, 1), list_record(second, 2), list_record(first, 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert (listed_keys(label="dog"), listed_keys(label="cat")) == ([], ["uploads/a.jpg"])


def test_relisting_adds_only_missing_entries():
    """A change of the stream wins over the result of a scan."""
    assert list_record(record(status="PROCESSING"), "")
    assert list_record(record(), 1)
    assert not list_record(record(status="PROCESSING"), "")
    assert listed_keys(status="COMPLETED") == ["uploads/a.jpg"]


def test_the_newer_of_two_concurrent_changes_wins(monkeypatch):
    """An older change that reads the ledger before and writes after a newer one has no effect."""
    list_record(record(), 1)
    read_ledger = indexing._ledger

    def slowly(client, **of):
        ledger = read_ledger(client, **of)
        monkeypatch.setattr(indexing, "_ledger", read_ledger)
        list_record(record(status="FAILED"), 3)
        return ledger

    monkeypatch.setattr(indexing, "_ledger", slowly)
    assert not list_record(record(status="PROCESSING"), 2)
    assert listed_keys(status="FAILED") == ["uploads/a.jpg"]


def test_an_image_with_constant_conflicts_is_a_transient_error():
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
def test_a_refused_write_keeps_its_error(written, code, error):
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


# ---- Ledgers of older versions

KEY = "uploads/summer/a.jpg"


def without_folders(ledger):
    """A ledger without the fields that this version added."""
    partitions = [name for name in ledger["partitions"] if not name.startswith("folder=")]
    return {name: value for name, value in ledger.items() if name not in ("files", "form")} | {"partitions": partitions}


@pytest.fixture
def list_with_previous_version(monkeypatch):
    """List a record as the version before folders did, and store it."""

    def list_change(change, order):
        store(change)
        with monkeypatch.context() as patch:
            patch.setattr(entries, "entries_of", lambda record: without_folders(ENTRIES_OF(record)))
            list_record(change, order)

    return list_change


ENTRIES_OF = entries.entries_of


def store(change):
    item = {name: to_attribute(value) for name, value in change.items()}
    aws_client("dynamodb").put_item(TableName=IMAGE_TABLE, Item=item)


def relist(change):
    return indexing.relist(clients.client, table=LISTING_TABLE, image_table=IMAGE_TABLE, record=change)


@pytest.mark.parametrize("order", ["", 1])
def test_relisting_updates_entries_of_an_older_version(list_with_previous_version, order):
    """One scan adds folders and renditions, and changes of the stream still count."""
    change = record(KEY, labels=["Dog"], renditions=[rendition()])
    list_with_previous_version(change, order)
    ((image,),) = pages()
    assert (listed_keys(prefix="summer"), "renditions" in image) == ([], False)
    assert [relist(change), relist(change)] == [True, False]
    ((image,),) = pages(prefix="summer")
    assert image["renditions"] == [rendition()]
    assert not list_record(record(KEY, "FAILED"), order)
    assert list_record(record(KEY, "FAILED"), 2)
    assert listed_keys(prefix="summer", status="FAILED") == listed_keys() == [KEY]


def test_relisting_never_restores_an_older_state(list_with_previous_version, monkeypatch):
    """The scanned record may be older than the ledger, and the ledger may be replaced meanwhile."""
    scanned, newer = record(KEY, "PROCESSING"), record(KEY, "FAILED")
    list_with_previous_version(newer, 2)
    assert relist(scanned)
    assert (listed_keys(status="FAILED"), listed_keys(status="PROCESSING")) == ([KEY], [])
    list_with_previous_version(record(KEY), 3)
    read_record = records.read

    def slowly(*arguments, **names):
        stored = read_record(*arguments, **names)
        list_record(record(KEY, "PARTIAL"), 4)
        return stored

    monkeypatch.setattr(records, "read", slowly)
    assert not relist(scanned)
    assert listed_keys(prefix="summer", status="PARTIAL") == listed_keys() == [KEY]


def test_relisting_leaves_removals_to_the_stream(list_with_previous_version):
    """A record that was removed after the scan is neither listed nor unlisted."""
    change = record(KEY)
    list_with_previous_version(change, 1)
    aws_client("dynamodb").delete_item(TableName=IMAGE_TABLE, Key={"ImageKey": {"S": KEY}})
    assert not relist(change)
    assert list_record(None, 2, KEY)
    assert not relist(change)
    assert listed_keys() == []


def test_a_late_change_removes_no_entry_of_a_rewritten_ledger(list_with_previous_version):
    """The same change, delivered again by an older version, removes its own entries and no others."""
    change = record(KEY)
    list_with_previous_version(change, 1)
    relist(change)
    list_with_previous_version(change, 1)
    assert listed_keys(prefix="summer") == [KEY]
