"""image_pipeline.feeds.indexing and listing: concurrent, interrupted and late changes, one AWS call at a time."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Semaphore, Thread
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_pipeline.feeds import entries, indexing, listing
from image_pipeline.store import records as stored_records
from tests.conftest import LISTING_TABLE, aws_client
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
    """Work in a thread of its own that makes one AWS call per step."""

    def __init__(self, table: Table, work: Callable[[Any], Any]) -> None:
        self._table = table
        self._go, self._waits = Semaphore(0), Semaphore(0)
        self._how = ""
        self.ended = False
        self.result: Any = None
        self._error: BaseException | None = None
        Thread(target=self._run, args=(work,), daemon=True).start()
        self._waits.acquire()

    def step(self, how: str = "") -> None:
        """Make the next call: `twice` as after a lost response, or `crash` in place of it."""
        self._how = how
        self._go.release()
        self._waits.acquire()
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
            self._waits.release()

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self._waits.release()
            self._go.acquire()
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
        """The order in each ledger."""
        orders = {}
        for key in KEYS:
            ledger = indexing._ledger(lambda _service: self.table, table=LISTING_TABLE, image_key=key)
            if ledger:
                orders[key] = ledger["order"]
        return orders

    def listed(self, limit: int, client: Any = None, **conditions: str) -> list[Any]:
        """The images of all pages."""
        client, chosen = client or (lambda _service: self.table), listing.make_filter(**conditions)
        cursor, images = None, []
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
        return [each["image"] for each in sorted(chosen, key=lambda each: each["position"], reverse=True)]

    def places(self, reached: dict[str, str]) -> set[tuple[str, str]]:
        """The expected places of entries."""
        records = [self.states[key][order] for key, order in reached.items()]
        return {place for record in records if record for place in entries.places(entries.entries_of(record))}


def without_paths(image: Any) -> Any:
    return {name: value for name, value in image.items() if name not in ("statusPath", "renditionPath")}


def belongs(record: Any, status: str | None = None, label: str | None = None) -> bool:
    has = {each["name"].casefold() for each in record["labels"]}
    is_gone = record["status"] == "DELETED"
    return (record["status"] == status if status else not is_gone) and (not label or (label in has and not is_gone))


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
CHANCE = st.integers(0, 2**32).map(random.Random)  # so many choices of its own would be too much for Hypothesis


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
    """List a history as its stream does, with two others beside it; look at the listing after every call.

    Args:
        history: that the stream tells, in its order, what was interrupted again.
        chance: chooses who goes on for how long, and who stops for good.
        beside: changes that the others list.
        crashes: whether anybody may stop.
    """
    done, others, beside = 0, [], list(beside)
    stream = active = None
    reached: dict[str, str] = {}
    while stream or others or beside or done < len(history.changes):
        if not stream and done < len(history.changes):
            stream = history.apply(history.changes[done])
        if beside and len(others) < 2 and chance.random() < 0.3:
            others.append(history.apply(beside.pop()))
        several = [each for each in (stream, *others) if each]
        if not several:
            continue
        if active not in several or chance.random() < 0.3:
            active = chance.choice(several)
        how = chance.choice(["crash" if crashes else "", "twice", *[""] * 6])
        active.step(how)
        if active.ended and active is stream:
            # What was interrupted comes again; as a batch does, from some change before it on.
            done, stream = chance.randint(0, done) if how == "crash" else done + 1, None
        elif active.ended:
            others.remove(active)
        before, reached = reached, history.reached()
        assert all(reached[key] >= order for key, order in before.items()), "a ledger goes back"
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


@settings(max_examples=100, **QUICK)
@given(CHANGES, CHANCE, st.data())
def test_three_side_by_side_list_the_truth_at_every_moment(changes, chance, data):
    """With repeated, late and interrupted changes, every page shows what the ledgers contain."""
    history = History(Table(), changes)
    beside = data.draw(st.lists(st.sampled_from(history.changes), max_size=4), "beside")
    for key, record, _ in data.draw(st.lists(st.sampled_from(history.changes), max_size=1), "anew"):
        history.states[key][""] = record
        beside.insert(data.draw(st.integers(0, len(beside))), (key, record, ""))
    interleave(history, chance, beside, crashes=True)
    assert_all_is_listed(history)


@settings(max_examples=60, **QUICK)
@given(CHANGES, CHANCE, st.data())
def test_nothing_is_left_of_what_was_repeated_or_late(changes, chance, data):
    """A change that finds a newer ledger removes its own entries."""
    history = History(Table(), changes)
    beside = data.draw(st.lists(st.sampled_from(history.changes), max_size=4), "beside")
    interleave(history, chance, beside, crashes=False)
    assert_all_is_listed(history)
    assert stored_places(history) == history.places(newest(history))


@settings(max_examples=60, **QUICK)
@given(CHANGES, CHANCE)
def test_nothing_is_left_of_what_was_interrupted(changes, chance):
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


def test_a_change_whose_ledger_had_no_answer_removes_the_entries_before_it():
    """It cannot know that its ledger was written, and the next ledger does not name what it had to remove."""
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


def test_an_image_that_moves_while_a_page_is_read_is_on_it():
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


@pytest.mark.parametrize("condition", [each for each in CONDITIONS if each])
def test_the_table_takes_what_dynamodb_takes(aws, condition):
    """The fake table and DynamoDB accept the same conditional writes, so that the other tests are meaningful."""
    tables = [Table(), aws_client("dynamodb")]
    key = {"ViewShard": {"S": "all#0"}, "ListPosition": {"S": "1"}}
    request = {"TableName": LISTING_TABLE, "ConditionExpression": condition}
    request["ExpressionAttributeNames"] = {"#order": "order"}
    if ":order" in condition:
        request["ExpressionAttributeValues"] = {":order": {"S": "2"}}
    for has in ("", "1", "2", "3", None):
        for write in ({"Item": {**key, "order": {"S": "2"}}}, {"Key": key}):
            taken = []
            for table in tables:
                table.delete_item(TableName=LISTING_TABLE, Key=key)
                if has is not None:
                    table.put_item(TableName=LISTING_TABLE, Item={**key, "order": {"S": has}})
                try:
                    (table.put_item if "Item" in write else table.delete_item)(**request, **write)
                except ClientError as error:
                    taken.append(error.response["Error"]["Code"])
                else:
                    taken.append(None)
            assert taken[0] == taken[1], (has, write)


def test_the_table_finds_what_dynamodb_finds(aws):
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
    """A page contains each image that was in the view all the time once, and no image that never was."""
    history = History(Table(), changes)
    known = chance.randint(0, len(changes) - 1)
    for change in history.changes[:known]:
        history.apply(change).finish()
    before = history.reached()
    reader = Steps(history.table, lambda client: history.listed(limit, client, **conditions))
    writer = None
    while not reader.ended:
        if known < len(changes) and chance.random() < 0.7:
            writer = writer or history.apply(history.changes[known])
            writer.step()
            if writer.ended:
                known, writer = known + 1, None
        else:
            reader.step()
    after, listed, places = history.reached(), reader.result, []
    for key in KEYS:
        orders = [order for order in history.states[key] if before.get(key, "") <= order <= after.get(key, "")]
        states = [history.states[key][order] for order in orders] + ([] if key in before else [None])
        presence = [bool(record) and belongs(record, **conditions) for record in states]
        images = [image for image in listed if image["imageKey"] == key]
        positions = {str(each["image"]): each["position"] for each in map(entries.entries_of, filter(None, states))}
        assert {str(image) for image in images} <= positions.keys(), "an image is told as it never was meanwhile"
        assert any(presence) or not images, "an image is told where it never was meanwhile"
        if len(set(positions.values())) <= 1:  # else it may have moved to where the reader has been
            assert all(presence) <= len(images) <= 1, "an image is missing, or there twice"
        places += [(positions[str(image)], listed.index(image)) for image in images]
    assert sorted(places, reverse=True) == sorted(places, key=lambda place: place[1])
    if writer:
        writer.finish()
