"""image_pipeline.feeds.indexing and listing: concurrent, interrupted and late changes, one AWS call at a time."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from greenlet import getcurrent, greenlet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_pipeline.feeds import entries, indexing, listing
from image_pipeline.store import records as stored_records
from tests.conftest import LISTING_TABLE, aws_client, examples
from tests.unit.feeds.listings import CONDITIONS, Table

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEYS = ["uploads/d", "uploads/f", "uploads/c"]  # the first two share a shard
FILTERS = [
    {},
    {"status": "PROCESSING"},
    {"status": "COMPLETED"},
    {"label": "dog"},
    {"label": "cat", "status": "FAILED"},
]


class CrashError(BaseException):
    """An error that no code catches."""


class Steps:
    """Run a function beside the test, one AWS call per step. A greenlet switches much faster than a thread."""

    def __init__(self, table: Table, work: Callable[[Any], Any]) -> None:
        self._table = table
        self._how = ""
        self.ended = False
        self.result: Any = None
        self._error: BaseException | None = None
        self._work = greenlet(self._run)
        self._work.switch(work)

    def step(self, how: str = "") -> None:
        """Make the next call; `twice` repeats it as after a lost response, and `crash` raises instead of it."""
        self._how = how
        self._work.switch()
        if self._error:
            raise self._error

    def finish(self) -> Any:
        while not self.ended:
            self.step()
        return self.result

    def _run(self, work: Callable[[Any], Any]) -> None:
        try:
            self.result = work(lambda _service: self)
        except CrashError:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self.ended = True

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            getcurrent().parent.switch()
            if self._how == "crash":
                raise CrashError
            if self._how == "twice":
                with suppress(ClientError):
                    getattr(self._table, operation)(**request)
            return getattr(self._table, operation)(**request)

        return call


class History:
    """The changes of some images, and a table that lists them."""

    def __init__(self, table: Table, changes: list[tuple[str, str | None, int, list[str]]]) -> None:
        self.table = table
        self.changes: list[tuple[str, Any, str]] = []
        self.states: dict[str, dict[str, Any]] = {key: {} for key in KEYS}
        for number, (key, status, second, labels) in enumerate(changes, 1):
            record = status and {
                "ImageKey": key,
                "status": status,
                "upload": {"uploadedAt": (START + timedelta(seconds=second)).isoformat(), "sizeBytes": number},
                "labels": [{"name": name} for name in labels],
            }
            self.changes.append((key, record, f"{number:0>6}"))
            self.states[key][f"{number:0>6}"] = record

    def apply(self, change: tuple[str, Any, str]) -> Steps:
        key, record, order = change
        return Steps(
            self.table,
            partial(indexing.apply, table=LISTING_TABLE, image_key=key, record=record, order=order),
        )

    def reached(self) -> dict[str, str]:
        """The order in the ledger of each image."""
        orders = {}
        for key in KEYS:
            ledger = indexing._ledger(lambda _service: self.table, table=LISTING_TABLE, image_key=key)
            if ledger:
                orders[key] = ledger["order"]
        return orders

    def listed(self, limit: int, client: Any = None, **conditions: str) -> list[Any]:
        """The images of all pages."""
        client = client or (lambda _service: self.table)
        chosen = listing.make_filter(**conditions)
        cursor = None
        images: list[Any] = []
        while True:
            page = listing.read_page(client, LISTING_TABLE, listing.Query(chosen, limit, cursor))
            assert len(page.images) <= limit
            images += [without_paths(image) for image in page.images]
            cursor = page.cursor
            if cursor is None:
                return images

    def expected(self, reached: dict[str, str], **conditions: str) -> list[Any]:
        """The expected images, newest first, for these orders of the ledgers."""
        records = [self.states[key][order] for key, order in reached.items()]
        chosen = [entries.entries_of(record) for record in records if record and belongs(record, **conditions)]
        return [ledger["image"] for ledger in sorted(chosen, key=lambda ledger: ledger["position"], reverse=True)]

    def places(self, reached: dict[str, str]) -> set[tuple[str, str]]:
        """The expected places of entries."""
        records = [self.states[key][order] for key, order in reached.items()]
        return {place for record in records if record for place in entries.places(entries.entries_of(record))}


def without_paths(image: Any) -> Any:
    return {name: value for name, value in image.items() if name not in ("statusPath", "renditionPath")}


def belongs(record: Any, status: str | None = None, label: str | None = None) -> bool:
    labels = {item["name"].casefold() for item in record["labels"]}
    is_gone = record["status"] == "DELETED"
    return (record["status"] == status if status else not is_gone) and (not label or (label in labels and not is_gone))


CHANGES = st.lists(
    st.tuples(
        st.sampled_from([*KEYS, KEYS[0], KEYS[0]]),  # the more changes of one, the more there is to confuse
        st.sampled_from([None, "PROCESSING", "COMPLETED", "FAILED", "DELETED"]),
        st.integers(0, 2),
        st.lists(st.sampled_from(["Dog", "Cat"]), max_size=2),
    ),
    min_size=1,
    max_size=7,
)
CHANCE = st.integers(0, 2**32).map(random.Random)  # Hypothesis could not make that many choices itself


@pytest.fixture(autouse=True)
def _any_order(monkeypatch):
    """Parallel writes happen in a random order, so a crash may leave any part of them."""
    chance = random.Random(0)

    def at_once(write, places):
        for place in sorted(places, key=lambda place: (chance.random(), place)):
            write(place)

    monkeypatch.setattr(indexing, "_in_parallel", at_once)
    monkeypatch.setattr(stored_records.time, "sleep", lambda _: None)
    return chance


def interleave(history: History, chance: random.Random, beside: list[Any], *, crashes: bool) -> None:
    """List a history as its stream does, with two concurrent listings; check the listing after every call.

    Args:
        history: the changes of the stream in their order; interrupted ones are repeated.
        chance: chooses which listing makes the next calls, and which one stops for good.
        beside: the changes of the two concurrent listings.
        crashes: whether a listing may stop.
    """
    position = 0
    concurrent: list[Any] = []
    beside = list(beside)
    stream = active = None
    reached: dict[str, str] = {}
    while stream or concurrent or beside or position < len(history.changes):
        if not stream and position < len(history.changes):
            stream = history.apply(history.changes[position])
        if beside and len(concurrent) < 2 and chance.random() < 0.3:
            concurrent.append(history.apply(beside.pop()))
        several = [steps for steps in (stream, *concurrent) if steps]
        if not several:
            continue
        if active not in several or chance.random() < 0.3:
            active = chance.choice(several)
        how = chance.choice(["crash" if crashes else "", "twice", *[""] * 6])
        active.step(how)
        if active.ended and active is stream:
            # Lambda delivers an interrupted batch again, from an earlier change on.
            position = chance.randint(0, position) if how == "crash" else position + 1
            stream = None
        elif active.ended:
            concurrent.remove(active)
        previous = reached
        reached = history.reached()
        assert all(reached[key] >= order for key, order in previous.items()), "a ledger goes back"
        assert history.places(reached) <= stored_places(history), "a ledger without its entries"
        conditions = chance.choice(FILTERS)
        assert history.listed(chance.choice([1, 2, 50]), **conditions) == history.expected(reached, **conditions)


def stored_places(history: History) -> set[tuple[str, str]]:
    """The places of all stored entries."""
    return {at for at in history.table.items if not at[0].startswith("ledger=")}


def newest(history: History) -> dict[str, str]:
    return {key: max(orders) for key, orders in history.states.items() if orders}


def assert_all_is_listed(history: History) -> None:
    assert history.reached() == newest(history)
    for conditions in FILTERS:
        for limit in (1, 2, 50):
            assert history.listed(limit, **conditions) == history.expected(newest(history), **conditions)


QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=examples(150), **QUICK)
@given(CHANGES, CHANCE, st.data())
def test_three_concurrent_listings_are_correct_at_every_moment(changes, chance, data):
    """With repeated, late and interrupted changes, every page shows what the ledgers contain."""
    history = History(Table(), changes)
    beside = data.draw(st.lists(st.sampled_from(history.changes), max_size=4), "beside")
    for key, record, _ in data.draw(st.lists(st.sampled_from(history.changes), max_size=1), "anew"):
        history.states[key][""] = record
        beside.insert(data.draw(st.integers(0, len(beside))), (key, record, ""))
    interleave(history, chance, beside, crashes=True)
    assert_all_is_listed(history)


@settings(max_examples=examples(100), **QUICK)
@given(CHANGES, CHANCE, st.data())
def test_repeated_and_late_changes_leave_no_entries(changes, chance, data):
    """A change that finds a newer ledger removes its own entries."""
    history = History(Table(), changes)
    beside = data.draw(st.lists(st.sampled_from(history.changes), max_size=4), "beside")
    interleave(history, chance, beside, crashes=False)
    assert_all_is_listed(history)
    assert stored_places(history) == history.places(newest(history))


@settings(max_examples=examples(100), **QUICK)
@given(CHANGES, CHANCE)
def test_an_interrupted_change_leaves_no_entries(changes, chance):
    """The change is delivered again and removes its leftovers."""
    history = History(Table(), changes)
    interleave(history, chance, [], crashes=True)
    assert_all_is_listed(history)
    assert stored_places(history) == history.places(newest(history))


def test_a_late_change_removes_its_own_entries():
    """The entries of a late change are in no ledger, so it removes them."""
    history = History(Table(), [(KEYS[0], "COMPLETED", 0, labels) for labels in (["Dog"], ["Cat"])])
    late = history.apply(history.changes[0])
    late.step()  # reads that there is no ledger
    history.apply(history.changes[1]).finish()
    assert late.finish() is False
    assert stored_places(history) == history.places(newest(history))


def test_a_lost_answer_of_the_ledger_leaves_no_older_entries():
    """The change cannot know that its ledger was written, and the next ledger does not list the older entries."""
    changes = [(KEYS[0], status, 0, []) for status in ("FAILED", "COMPLETED", "COMPLETED")]
    history = History(Table(), changes)
    history.apply(history.changes[0]).finish()
    unanswered = history.apply(history.changes[1])
    while history.reached()[KEYS[0]] == history.changes[0][2]:
        unanswered.step("twice")
    history.apply(history.changes[2]).finish()
    unanswered.finish()
    assert stored_places(history) == history.places(newest(history))


def test_a_ledger_that_was_replaced_meanwhile_is_read_again():
    """A ledger that changed after it was read must be read again."""
    history = History(Table(), [(KEYS[0], "COMPLETED", 0, labels) for labels in (["Dog"], ["Cat"], ["Dog"])])
    history.apply(history.changes[0]).finish()
    newer = history.apply(history.changes[2])
    newer.step()  # reads that its entries are all there
    history.apply(history.changes[1]).finish()
    newer.finish()
    assert_all_is_listed(history)
    assert stored_places(history) == history.places(newest(history))


def test_a_page_ends_where_the_slowest_shard_ends():
    """A page must end where any shard has not been read yet."""
    names = "dfncgh"  # three of each of two shards
    history = History(Table(), [])
    for second, name in enumerate(reversed(names)):
        record = {"ImageKey": f"uploads/{name}", "status": "FAILED", "createdAt": f"2026-11-21T12:00:0{second}Z"}
        indexing.apply(
            lambda _service: history.table, table=LISTING_TABLE, image_key=record["ImageKey"], record=record, order="1"
        )
    for limit in (1, 2, 3, 4, 50):
        assert [image["imageKey"] for image in history.listed(limit)] == [f"uploads/{name}" for name in names]


def test_a_page_contains_an_image_that_moves_while_it_is_read():
    """The page finds the image by its old entry and returns it at its new position."""
    changes = [(KEYS[0], "COMPLETED", 0, []), (KEYS[1], "COMPLETED", 1, []), (KEYS[0], "COMPLETED", 2, [])]
    history = History(Table(), changes)
    for change in history.changes[:2]:
        history.apply(change).finish()
    reader = Steps(history.table, lambda client: history.listed(50, client))
    for _ in range(entries.SHARDS):
        reader.step()
    history.apply(history.changes[2]).finish()
    assert [image["imageKey"] for image in reader.finish()] == [KEYS[0], KEYS[1]]


def test_a_late_change_keeps_newer_entries():
    """A late put must not lower the order of a newer entry, or the late change would remove that entry."""
    history = History(Table(), [(KEYS[0], "COMPLETED", 0, labels) for labels in (["Dog"], [], ["Dog"])])
    late = history.apply(history.changes[0])
    late.step()  # reads that there is no ledger
    for change in history.changes[:2]:
        history.apply(change).finish()
    newer = history.apply(history.changes[2])
    newer.step()
    newer.step()  # has put its entry, and not yet the ledger
    late.finish()
    newer.finish()
    assert_all_is_listed(history)


@pytest.mark.parametrize("condition", [condition for condition in CONDITIONS if condition])
def test_the_fake_table_accepts_the_same_writes_as_dynamodb(aws, condition):
    """The other tests depend on the same conditional writes."""
    tables = [Table(), aws_client("dynamodb")]
    key = {"ViewShard": {"S": "all#0"}, "ListPosition": {"S": "1"}}
    request = {"TableName": LISTING_TABLE, "ConditionExpression": condition}
    request["ExpressionAttributeNames"] = {"#order": "order"}
    if ":order" in condition:
        request["ExpressionAttributeValues"] = {":order": {"S": "2"}}
    for stored in ("", "1", "2", "3", None):
        for write in ({"Item": {**key, "order": {"S": "2"}}}, {"Key": key}):
            codes = []
            for table in tables:
                table.delete_item(TableName=LISTING_TABLE, Key=key)
                if stored is not None:
                    table.put_item(TableName=LISTING_TABLE, Item={**key, "order": {"S": stored}})
                try:
                    (table.put_item if "Item" in write else table.delete_item)(**request, **write)
                except ClientError as error:
                    codes.append(error.response["Error"]["Code"])
                else:
                    codes.append(None)
            assert codes[0] == codes[1], (stored, write)


def test_the_fake_table_returns_the_same_pages_as_dynamodb(aws):
    """A page of the fake table is a page of DynamoDB."""
    fake, real = Table(), aws_client("dynamodb")
    changes = [(key, "COMPLETED", second, ["Dog"]) for second, key in enumerate(KEYS)]
    histories = [History(table, changes) for table in (fake, real)]
    for history in histories:
        for key, record, order in history.changes:
            indexing.apply(
                lambda _service, history=history: history.table,
                table=LISTING_TABLE,
                image_key=key,
                record=record,
                order=order,
            )
    range_of_time = {"since": "2026-11-21T12:00:01Z", "until": "2026-11-21T12:00:03Z"}
    for conditions in ({}, {"label": "dog"}, {"status": "FAILED"}, range_of_time):
        for limit in (1, 3):
            pages = [history.listed(limit, **conditions) for history in histories]
            assert pages[0] == pages[1], (conditions, limit)
        assert bool(pages[0]) == (conditions != {"status": "FAILED"})


@settings(max_examples=150, **QUICK)
@given(CHANGES, st.sampled_from(FILTERS), st.sampled_from([1, 2, 50]), CHANCE)
def test_a_concurrent_reader_sees_each_image_as_it_was(changes, conditions, limit, chance):
    """An image that stays in the view is on the pages once, and an image that never was in it is not."""
    history = History(Table(), changes)
    position = chance.randint(0, len(changes) - 1)
    for change in history.changes[:position]:
        history.apply(change).finish()
    start = history.reached()
    reader = Steps(history.table, lambda client: history.listed(limit, client, **conditions))
    writer = None
    while not reader.ended:
        if position < len(changes) and chance.random() < 0.7:
            writer = writer or history.apply(history.changes[position])
            writer.step()
            if writer.ended:
                position += 1
                writer = None
        else:
            reader.step()
    end = history.reached()
    answer = reader.result
    places = []
    for key in KEYS:
        orders = [order for order in history.states[key] if start.get(key, "") <= order <= end.get(key, "")]
        states = [history.states[key][order] for order in orders] + ([] if key in start else [None])
        presence = [bool(record) and belongs(record, **conditions) for record in states]
        images = [image for image in answer if image["imageKey"] == key]
        ledgers = [entries.entries_of(record) for record in states if record]
        positions = {str(ledger["image"]): ledger["position"] for ledger in ledgers}
        assert {str(image) for image in images} <= positions.keys(), (
            "an image is listed in a state that it did not have"
        )
        assert any(presence) or not images, "an image is listed in a view in which it was not"
        if len(set(positions.values())) <= 1:  # else it may have moved to where the reader has been
            assert all(presence) <= len(images) <= 1, "an image is missing, or there twice"
        places += [(positions[str(image)], answer.index(image)) for image in images]
    assert sorted(places, reverse=True) == sorted(places, key=lambda place: place[1])
    if writer:
        writer.finish()
