"""image_pipeline.feeds.indexing and listing equal a plain model, for any changes, folders and pages."""

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_pipeline import aws as clients
from image_pipeline.feeds import entries, listing
from image_pipeline.store import records
from tests.unit.feeds.listings import Table, list_record, listed_keys, record

LABELS = ("Dog", "DOG", "Straße", "Cat")


@pytest.fixture(autouse=True)
def table(monkeypatch):
    """Replace DynamoDB by a fake table, which leaves keys unprocessed; requests follow without pauses."""
    fake = Table()
    monkeypatch.setattr(clients, "client", lambda _service: fake)
    monkeypatch.setattr(records.time, "sleep", lambda _: None)
    return fake


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


def expected(state, **conditions):
    """The expected keys of a listing, newest first, computed from the records."""
    status, label = conditions.get("status"), conditions.get("label", "").casefold()
    chosen = [
        (entries.entries_of(image)["position"], key)
        for key, image in state.items()
        if (image["status"] == status if status else image["status"] != "DELETED")
        and (not label or image["status"] != "DELETED")
        and (not label or label in {item["name"].casefold() for item in image["labels"]})
    ]
    return [key for _, key in sorted(chosen, reverse=True)]


FILTERS = [
    {},
    *({"status": status} for status in listing.STATUSES),
    *({"label": label} for label in LABELS),
    *({"label": "dog", "status": status} for status in ("PROCESSING", "COMPLETED")),
]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, data=st.data())
def test_repeated_and_late_changes_list_the_same_as_the_model(table, changes, data):
    """With repeated and late batches, the listing shows the last change of each key."""
    table.items.clear()
    stream = []
    state = {}
    for order, (key, status, second, labels) in enumerate(changes, 1):
        now = None if status is None else record(key, status, second, labels)
        stream.append((now, order, key))
        state.pop(key, None)
        if now:
            state[key] = now
    end = 0
    while end < len(stream):
        start = data.draw(st.integers(0, end), "comes again from")
        end = data.draw(st.integers(end + 1, len(stream)), "gets through to")
        for change in stream[start:end]:
            list_record(*change)
    for change in data.draw(st.lists(st.sampled_from(stream)) if stream else st.just([]), "come late"):
        list_record(*change)
    limit = data.draw(st.integers(1, 6), "limit")
    for conditions in FILTERS:
        assert listed_keys(limit, **conditions) == expected(state, **conditions), conditions
    count = sum(len(entries.entries_of(image)["partitions"]) for image in state.values())
    assert len(table.items) == count + len({key for _, _, key in stream})


def test_the_keys_of_the_tests_share_shards():
    """The tests below need keys of the same shard and of different shards."""
    shards = [entries.partition("all", f"#{entries.digest(key)}") for key in KEYS]
    assert len(set(shards)) == 2
    assert len(set(shards[:3])) == 1


# ---- Folders

TREE = [
    *("x.jpg", "a/x.jpg", "a/b/x.jpg", "ab/x.jpg", "A/x.jpg", "a//x.jpg", "/x.jpg", "é/ x.jpg", "../x.jpg", "a#0/x"),
    *("1/2/3/4/x.jpg", "1/2/3/4/5/x.jpg", "1/2/3/4/5/6/x.jpg", "1/2/3/4/55/x.jpg", "uploads/x.jpg"),
]


@pytest.fixture
def tree():
    """Uploads in folders, of all kinds."""
    for second, name in enumerate(TREE):
        for status, labels in (("COMPLETED", ["Dog"]), ("FAILED", []), ("DELETED", ["Dog"])):
            key = f"uploads/{name}" if status == "COMPLETED" else f"uploads/{name}.{status}"
            list_record(record(key, status, second, labels), 1)


def test_a_folder_lists_everything_below_it(tree):
    """The list has every depth, with every other condition and any limit; similar names are other folders."""
    folders = {name[: at + 1] for name in TREE for at, letter in enumerate(name) if letter == "/"}
    for conditions in ({}, {"status": "FAILED"}, {"status": "DELETED"}, {"label": "dog"}):
        everything = listed_keys(**conditions)
        for folder, limit in product([*folders, "none/", "1/2/3/4/5/6/7/"], (1, 4, 100)):
            expected = [key for key in everything if key.startswith(f"uploads/{folder}")]
            assert listed_keys(limit, prefix=f"uploads/{folder}", **conditions) == expected, (conditions, folder, limit)


def test_a_folder_may_be_written_in_several_ways(tree):
    """A folder may begin with `uploads/`, and a trailing slash may be missing."""
    expected = ["uploads/a//x.jpg", "uploads/a/b/x.jpg", "uploads/a/x.jpg"]
    for spelling in ("a", "a/", "uploads/a", "uploads/a/"):
        assert listed_keys(prefix=spelling, label="dog") == expected
    assert listed_keys(prefix="uploads/") == listed_keys()
