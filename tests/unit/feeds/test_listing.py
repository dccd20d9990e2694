"""image_pipeline.feeds.listing"""

import base64

import pytest
from botocore.stub import Stubber

from image_pipeline import aws as clients
from image_pipeline.errors import InvalidKeyError, InvalidRequestError, StorageUnavailableError
from image_pipeline.feeds import listing
from tests.conftest import LISTING_TABLE
from tests.unit.feeds.listings import list_record, listed_keys, pages, record

pytestmark = pytest.mark.usefixtures("listing_table")


def test_pages_join_to_the_whole_list():
    """Pages of any size contain every image once, even images of the same second."""
    for number in range(11):
        list_record(record(f"uploads/{number}", second=number // 4), 1)
    everything = listed_keys()
    assert sorted(everything) == sorted(f"uploads/{number}" for number in range(11))
    assert [int(key.removeprefix("uploads/")) // 4 for key in everything] == sorted(
        (number // 4 for number in range(11)), reverse=True
    )
    for limit in (1, 2, 3, 7, 10, 11, 12):
        *full, last = pages(limit)
        assert [image["imageKey"] for page in (*full, last) for image in page] == everything
        assert [len(page) for page in full] == [limit] * len(full)


def test_a_new_upload_does_not_shift_the_pages():
    """The cursor is a position in time, not a count."""
    for number in range(6):
        list_record(record(f"uploads/{number}", second=number), 1)
    following = pages(2)
    first = next(following)
    list_record(record("uploads/new", second=60), 1)
    following_keys = [image["imageKey"] for page in following for image in page]
    first_keys = [image["imageKey"] for image in first]
    assert first_keys + following_keys == [f"uploads/{number}" for number in reversed(range(6))]


def query_limits(limit, **conditions):
    """The limits of the queries for the first page."""
    client = clients.client("dynamodb")
    limits = []

    def note(params, **_):
        limits.append(params["Limit"])

    client.meta.events.register("provide-client-params.dynamodb.Query", note)
    next(pages(limit, **conditions))
    client.meta.events.unregister("provide-client-params.dynamodb.Query", note)
    return limits


def test_a_page_of_two_conditions_reads_each_view_once():
    """A page may be short or empty, because no request reads a whole view."""
    for number in range(20):
        labels, status = (["Dog"], "COMPLETED") if number % 2 else ([], "FAILED")
        list_record(record(f"uploads/{number}", status if number else "COMPLETED", number, labels), 1)
    list_record(record("uploads/both", "FAILED", 0, ["Dog"]), 1)
    sizes = [len(page) for page in pages(2, label="dog", status="FAILED")]
    assert sum(sizes) == 1
    assert len(sizes) > 3
    assert query_limits(2, label="dog", status="FAILED") == [2] * 8


def test_few_images_among_many_are_on_the_first_page():
    """The view with the fewest images is read first, whichever condition it belongs to."""
    for number in range(15):
        list_record(record(f"uploads/many/{number}", second=number, labels=["Dog"]), 1)
    list_record(record("uploads/many/rare/x", "FAILED", -1, ["Dog", "Cat"]), 1)
    for conditions in (
        {"status": "FAILED", "prefix": "many/"},
        {"label": "cat", "prefix": "many/"},
        {"status": "FAILED", "label": "dog"},
        {"label": "dog", "prefix": "many/rare/"},
    ):
        keys = [[image["imageKey"] for image in page] for page in pages(2, **conditions)]
        assert keys == [["uploads/many/rare/x"]], conditions


def test_the_end_of_a_view_ends_the_list():
    """No other view is read after it."""
    list_record(record("uploads/many/0", "FAILED"), 1)
    assert query_limits(2, status="FAILED", prefix="many/") == [2] * 4


def test_the_view_of_completed_images_is_not_read_beside_a_folder():
    """The view of a folder excludes more images."""
    for number in range(10):
        list_record(record(f"uploads/many/{number}", second=number), 1)
    assert query_limits(1, status="COMPLETED", prefix="many/") == [1] * 4


def test_deleted_images_with_a_label_are_listed():
    """They are only in the view of their status."""
    list_record(record("uploads/a", "DELETED", labels=["Dog"]), 1)
    list_record(record("uploads/b", "DELETED", labels=["Cat"]), 1)
    assert listed_keys(label="dog", status="DELETED") == ["uploads/a"]


def test_a_page_ends_where_the_slowest_shard_ends():
    """A page must end where any shard has not been read yet."""
    for number, name in enumerate("dfn"):
        list_record(record(f"uploads/{name}", "PROCESSING" if number == 0 else "COMPLETED", 10 + number, ["Dog"]), 1)
    list_record(record("uploads/c", "PROCESSING", 1, ["Dog"]), 1)
    expected = ["uploads/d", "uploads/c"]
    for limit in (1, 2, 3):
        assert listed_keys(limit, label="dog", status="PROCESSING") == expected


def test_from_is_inclusive_and_to_is_exclusive():
    """Consecutive ranges neither overlap nor have a gap."""
    for number in range(4):
        list_record(record(f"uploads/{number}", second=number), 1)
    middle = {"since": "2026-11-21T12:00:01Z", "until": "2026-11-21T12:00:03+00:00"}
    assert listed_keys(**middle) == listed_keys(1, **middle) == ["uploads/2", "uploads/1"]
    assert listed_keys(since="2026-11-21", until="2026-11-22T02:00:00+02:00", limit=3) == listed_keys()


@pytest.mark.parametrize(
    "conditions",
    [
        {"status": "completed"},
        {"status": ""},
        {"label": ""},
        {"label": "x" * 201},
        {"since": "yesterday"},
        {"since": ""},
        {"until": "0001-01-01T00:00:00+14:00"},
        {"since": "2026-11-21T12:00:00 02:00"},
        {"since": "2026-11-22", "until": "2026-11-21"},
        {"since": "2026-11-22", "until": "2026-11-22"},
    ],
)
def test_invalid_input_is_refused(conditions):
    """An invalid filter is an error, not an empty list."""
    with pytest.raises(InvalidRequestError):
        listing.make_filter(**conditions)


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_is_refused(limit):
    """The limit bounds the work."""
    with pytest.raises(InvalidRequestError):
        next(pages(limit))


def test_the_longest_label_and_the_largest_page_are_accepted():
    """The limits of labels and pages are inclusive."""
    assert listed_keys(100, label="x" * 200) == []


def cursor_of(**conditions):
    return listing.read_page(clients.client, LISTING_TABLE, listing.Query(listing.make_filter(**conditions), 1)).cursor


def test_an_invalid_cursor_is_refused():
    """A cursor of another query, or a modified one, causes 400 and not 500."""
    for number in range(3):
        list_record(record(f"uploads/{number}", second=number, labels=["Dog"]), 1)
    chosen = listing.make_filter(since="2026-11-21")
    cursor = cursor_of(since="2026-11-21")
    outside = base64.urlsafe_b64encode(f"{chosen.digest}2020-01-01T00:00:00.000Z#{'0' * 64}".encode()).decode()
    other_cursors = [cursor_of(), cursor_of(label="Dog"), cursor_of(status="COMPLETED"), cursor_of(since="2026-11-20")]
    for wrong in ("", "x", "é", "\ud800", "====", cursor[:-4], cursor + "AAAA", outside, *other_cursors):
        with pytest.raises(InvalidRequestError):
            listing.read_page(clients.client, LISTING_TABLE, listing.Query(chosen, 1, wrong))
    assert listing.read_page(clients.client, LISTING_TABLE, listing.Query(chosen, 1, cursor)).images


def test_an_unavailable_table_is_a_transient_error():
    """The API then answers 503."""
    with Stubber(clients.client("dynamodb")) as stub:
        stub.add_client_error("query", "ThrottlingException")
        with pytest.raises(StorageUnavailableError):
            next(pages())


@pytest.mark.parametrize("prefix", ["", "x" * 1016, "é" * 509, "\ud800/"])
def test_an_impossible_folder_is_refused(prefix):
    """An invalid folder is an error, not an empty list."""
    with pytest.raises(InvalidKeyError):
        listing.make_filter(prefix=prefix)


def test_cursors_of_the_previous_version_stay_valid():
    """A filter without a folder has the digest that it had before."""
    assert listing.make_filter(status="FAILED", label="Dog", since="2026-11-21").digest == "9b4a0fe9dd50bcc4"
    digests = {listing.make_filter(prefix=prefix).digest for prefix in (None, "a", "b", "a/b")}
    assert len(digests) == 4
