"""image_pipeline.feeds.listing"""

import base64
from itertools import product

import pytest
from botocore.stub import Stubber
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_pipeline import aws as clients
from image_pipeline.errors import InvalidKeyError, InvalidRequestError, StorageUnavailableError
from image_pipeline.feeds import entries, listing
from tests.conftest import LISTING_TABLE, aws_client
from tests.unit.feeds.listings import items, list_record, listed_keys, pages, record

LABELS = ("Dog", "DOG", "Straße", "Cat")

pytestmark = pytest.mark.usefixtures("listing_table")


def test_pages_join_to_the_whole_list():
    """Pages of any size contain every image once, even images of the same second."""
    for number in range(23):
        list_record(record(f"uploads/{number}", second=number // 4), 1)
    everything = listed_keys()
    assert sorted(everything) == sorted(f"uploads/{number}" for number in range(23))
    assert [int(key.removeprefix("uploads/")) // 4 for key in everything] == sorted(
        (number // 4 for number in range(23)), reverse=True
    )
    for limit in (1, 2, 3, 7, 22, 23, 24):
        assert listed_keys(limit) == everything
        assert [len(page) for page in pages(limit)][:-1] == [limit] * (len(list(pages(limit))) - 1)


def test_what_is_uploaded_meanwhile_moves_no_page():
    """The cursor is a position in time, not a count."""
    for number in range(6):
        list_record(record(f"uploads/{number}", second=number), 1)
    following = pages(2)
    first = next(following)
    list_record(record("uploads/new", second=60), 1)
    rest = [image["imageKey"] for page in following for image in page]
    assert [image["imageKey"] for image in first] + rest == [f"uploads/{number}" for number in reversed(range(6))]


def asked_limits(limit, **conditions):
    """The limits of the queries for the first page."""
    client, asked = clients.client("dynamodb"), []

    def note(params, **_):
        asked.append(params["Limit"])

    client.meta.events.register("provide-client-params.dynamodb.Query", note)
    next(pages(limit, **conditions))
    client.meta.events.unregister("provide-client-params.dynamodb.Query", note)
    return asked


def test_a_page_of_two_conditions_reads_each_view_once():
    """A page may be short or empty, because no request reads a whole view."""
    for number in range(40):
        labels, status = (["Dog"], "COMPLETED") if number % 2 else ([], "FAILED")
        list_record(record(f"uploads/{number}", status if number else "COMPLETED", number, labels), 1)
    list_record(record("uploads/both", "FAILED", 0, ["Dog"]), 1)
    sizes = [len(page) for page in pages(2, label="dog", status="FAILED")]
    assert sum(sizes) == 1
    assert len(sizes) > 3
    assert asked_limits(2, label="dog", status="FAILED") == [2] * 8


@pytest.mark.parametrize(
    "conditions",
    [
        {"status": "FAILED", "prefix": "many/"},
        {"label": "cat", "prefix": "many/"},
        {"status": "FAILED", "label": "dog"},
    ],
)
def test_few_images_among_many_are_on_the_first_page(conditions):
    """The view with the fewest images leads to them, whichever condition it belongs to."""
    for number in range(30):
        list_record(record(f"uploads/many/{number}", second=number, labels=["Dog"]), 1)
    list_record(record("uploads/many/rare", "FAILED", -1, ["Dog", "Cat"]), 1)
    assert [[image["imageKey"] for image in page] for page in pages(2, **conditions)] == [["uploads/many/rare"]]


def test_a_view_that_ends_is_enough():
    """No other view is read after it."""
    list_record(record("uploads/many/0", "FAILED"), 1)
    assert asked_limits(2, status="FAILED", prefix="many/") == [2] * 4


def test_nearly_all_images_are_completed():
    """Their view is not read beside that of a folder, which excludes more."""
    for number in range(10):
        list_record(record(f"uploads/many/{number}", second=number), 1)
    assert asked_limits(1, status="COMPLETED", prefix="many/") == [1] * 4


def test_deleted_images_with_a_label_are_listed():
    """They are only in the view of their status."""
    list_record(record("uploads/a", "DELETED", labels=["Dog"]), 1)
    list_record(record("uploads/b", "DELETED", labels=["Cat"]), 1)
    assert listed_keys(label="dog", status="DELETED") == ["uploads/a"]


def test_the_tried_keys_share_shards():
    """The tests below need keys of the same shard and of different shards."""
    shards = [entries.partition("all", f"#{entries.digest(key)}") for key in KEYS]
    assert len(set(shards)) == 2
    assert len(set(shards[:3])) == 1


def test_what_one_shard_has_not_shown_yet_no_other_overtakes():
    """A page must end where any shard has not been read yet."""
    for number, name in enumerate("dfn"):
        list_record(record(f"uploads/{name}", "PROCESSING" if number == 0 else "COMPLETED", 10 + number, ["Dog"]), 1)
    list_record(record("uploads/c", "PROCESSING", 1, ["Dog"]), 1)
    expected = ["uploads/d", "uploads/c"]
    for limit in (1, 2, 3):
        assert listed_keys(limit, label="dog", status="PROCESSING") == expected


def test_from_is_included_and_to_is_not():
    """Consecutive ranges neither overlap nor have a gap."""
    for number in range(4):
        list_record(record(f"uploads/{number}", second=number), 1)
    middle = {"since": "2026-11-21T12:00:01Z", "until": "2026-11-21T12:00:03+00:00"}
    assert listed_keys(**middle) == listed_keys(1, **middle) == ["uploads/2", "uploads/1"]
    assert listed_keys(since="2026-11-21", until="2026-11-22T02:00:00+02:00", limit=3) == listed_keys()


@pytest.mark.parametrize(
    "wanted",
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
def test_nonsense_is_refused(wanted):
    """An invalid filter is an error, not an empty list."""
    with pytest.raises(InvalidRequestError):
        listing.make_filter(**wanted)


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_range_is_refused(limit):
    """The limit bounds the work."""
    with pytest.raises(InvalidRequestError):
        next(pages(limit))


def cursor_of(**wanted):
    return listing.read_page(clients.client, LISTING_TABLE, listing.Query(listing.make_filter(**wanted), 1)).cursor


def test_a_cursor_that_is_none_is_refused():
    """A cursor of another query, or a modified one, causes 400 and not 500."""
    for number in range(3):
        list_record(record(f"uploads/{number}", second=number, labels=["Dog"]), 1)
    chosen, cursor = listing.make_filter(since="2026-11-21"), cursor_of(since="2026-11-21")
    outside = base64.urlsafe_b64encode(f"{chosen.digest}2020-01-01T00:00:00.000Z#{'0' * 64}".encode()).decode()
    others = [cursor_of(), cursor_of(label="Dog"), cursor_of(status="COMPLETED"), cursor_of(since="2026-11-20")]
    for wrong in ("", "x", "é", "\ud800", "====", cursor[:-4], cursor + "AAAA", outside, *others):
        with pytest.raises(InvalidRequestError):
            listing.read_page(clients.client, LISTING_TABLE, listing.Query(chosen, 1, wrong))
    assert listing.read_page(clients.client, LISTING_TABLE, listing.Query(chosen, 1, cursor)).images


def test_a_table_that_does_not_answer_is_named():
    """The API then answers 503."""
    with Stubber(clients.client("dynamodb")) as stub:
        stub.add_client_error("query", "ThrottlingException")
        with pytest.raises(StorageUnavailableError):
            next(pages())


# ---- The same as a plain model of it

KEYS = [f"uploads/{name}" for name in "dfncgh"]  # three of each of two shards
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(KEYS),
        st.sampled_from([None, *listing.STATUSES]),
        st.integers(0, 3),
        st.lists(st.sampled_from(LABELS), max_size=2),
    ),
    max_size=12,
)


def expected(state, **wanted):
    """The expected keys of a listing, newest first, computed from the records."""
    status, label = wanted.get("status"), wanted.get("label", "").casefold()
    chosen = [
        (entries.entries_of(each)["position"], key)
        for key, each in state.items()
        if (each["status"] == status if status else each["status"] != "DELETED")
        and (not label or each["status"] != "DELETED")
        and (not label or label in {known["name"].casefold() for known in each["labels"]})
    ]
    return [key for _, key in sorted(chosen, reverse=True)]


WANTED = [
    {},
    *({"status": status} for status in listing.STATUSES),
    *({"label": label} for label in LABELS),
    *({"label": "dog", "status": status} for status in ("PROCESSING", "COMPLETED")),
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, st.data())
def test_any_changes_repeated_in_any_way_list_what_a_model_lists(changes, data):
    """With repeated and late batches, the listing shows the last change of each key."""
    for view, position in items():
        key = {"ViewShard": {"S": view}, "ListPosition": {"S": position}}
        aws_client("dynamodb").delete_item(TableName=LISTING_TABLE, Key=key)
    stream, state = [], {}
    for order, (key, status, second, labels) in enumerate(changes, 1):
        now = None if status is None else record(key, status, second, labels)
        stream.append((now, order, key))
        state.pop(key, None)
        if now:
            state[key] = now
    done = 0
    while done < len(stream):
        begun = data.draw(st.integers(0, done), "comes again from")
        done = data.draw(st.integers(done + 1, len(stream)), "gets through to")
        for change in stream[begun:done]:
            list_record(*change)
    for change in data.draw(st.lists(st.sampled_from(stream)) if stream else st.just([]), "come late"):
        list_record(*change)
    limit = data.draw(st.integers(1, 6), "limit")
    for wanted in WANTED:
        assert listed_keys(limit, **wanted) == expected(state, **wanted), wanted
    count = sum(len(entries.entries_of(each)["partitions"]) for each in state.values())
    assert len(items()) == count + len({key for _, _, key in stream})


# ---- Folders

TREE = [
    *("x.jpg", "a/x.jpg", "a/b/x.jpg", "ab/x.jpg", "A/x.jpg", "a//x.jpg", "/x.jpg", "é/ x.jpg", "../x.jpg", "a#0/x"),
    *("1/2/3/4/x.jpg", "1/2/3/4/5/x.jpg", "1/2/3/4/5/6/x.jpg", "1/2/3/4/55/x.jpg", "uploads/x.jpg"),
]


@pytest.fixture
def tree(listing_table):
    """Uploads in folders, of all kinds."""
    for second, name in enumerate(TREE):
        for status, labels in (("COMPLETED", ["Dog"]), ("FAILED", []), ("DELETED", ["Dog"])):
            key = f"uploads/{name}" if status == "COMPLETED" else f"uploads/{name}.{status}"
            list_record(record(key, status, second, labels), 1)


def test_a_folder_lists_everything_below_it(tree):
    """At every depth, with every other condition and any limit, newest first; similar names are other folders."""
    folders = {name[: at + 1] for name in TREE for at, letter in enumerate(name) if letter == "/"}
    for conditions in ({}, {"status": "FAILED"}, {"status": "DELETED"}, {"label": "dog"}):
        everything = listed_keys(**conditions)
        for folder, limit in product([*folders, "none/", "1/2/3/4/5/6/7/"], (1, 4, 100)):
            expected = [key for key in everything if key.startswith(f"uploads/{folder}")]
            assert listed_keys(limit, prefix=f"uploads/{folder}", **conditions) == expected, (conditions, folder, limit)


def test_a_folder_may_be_written_in_several_ways(tree):
    """As names of uploads: with or without `uploads/`; a trailing slash may be missing."""
    expected = ["uploads/a//x.jpg", "uploads/a/b/x.jpg", "uploads/a/x.jpg"]
    for spelling in ("a", "a/", "uploads/a", "uploads/a/"):
        assert listed_keys(prefix=spelling, label="dog") == expected
    assert listed_keys(prefix="uploads/") == listed_keys()


@pytest.mark.parametrize("prefix", ["", "x" * 1016, "é" * 509, "\ud800/"])
def test_a_folder_that_no_key_can_be_in_is_refused(prefix):
    """An invalid folder is an error, not an empty list."""
    with pytest.raises(InvalidKeyError):
        listing.make_filter(prefix=prefix)


def test_cursors_from_before_folders_stay_valid():
    """A filter without a folder has the digest that it had before."""
    assert listing.make_filter(status="FAILED", label="Dog", since="2026-11-21").digest == "9b4a0fe9dd50bcc4"
    digests = {listing.make_filter(prefix=prefix).digest for prefix in (None, "a", "b", "a/b")}
    assert len(digests) == 4
