"""image_pipeline.imaging.reader"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_pipeline.imaging.containers.chunks import png_chunks, riff_chunks
from image_pipeline.imaging.containers.exif import find_exif
from image_pipeline.imaging.containers.heif import main_boxes
from image_pipeline.imaging.containers.jpeg import segments
from image_pipeline.imaging.containers.tiff import Tiff
from image_pipeline.imaging.reader import (
    FIRST_BYTES,
    BrokenContainerError,
    Budget,
    BudgetExceededError,
    CutOffError,
    Reader,
)
from tests.corpus import GOOD

DATA = bytes(range(256)) * 4096


def fetched(data, fetches, budget=None):
    def fetch(start, length):
        fetches.append((start, length))
        return data[start : start + length]

    return Reader.fetched(fetch, len(data), budget)


@given(st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 300_000)), max_size=20))
def test_fetched_parts_equal_the_file(places):
    """Reads in any order return the bytes of the file."""
    reader = fetched(DATA, [], Budget(bytes=1 << 40))
    for at, count in places:
        assert reader.up_to(at, count) == DATA[at : at + count]


def test_bytes_near_each_other_are_fetched_once():
    """Small reads of a header share few requests."""
    fetches = []
    reader = fetched(DATA, fetches)
    for at in range(0, 60_000, 1_000):
        reader.take(at, 100)
    assert fetches == [(0, FIRST_BYTES)]


def test_a_long_walk_takes_few_requests():
    """Each request fetches twice as much as the previous one, up to a mebibyte."""
    fetches = []
    reader = Reader.fetched(lambda _, length: fetches.append(length) or bytes(length), 1 << 40)
    for at in range(0, 4_000_000, 30_000):
        reader.take(at, 10)
    assert [length // 1024 for length in fetches] == [64, 128, 256, 512, 1024, 1024, 1024]


def test_the_memory_of_a_walk_is_limited():
    """Only the beginning and a few recent parts of a long file are kept."""
    reader = Reader.fetched(lambda _, length: bytes(length), 1 << 40)
    held = []
    for at in range(0, 60 * 2_000_000, 2_000_000):
        reader.take(at, 4)
        held.append(sum(len(window) for _, window in reader._window._windows))
    assert max(held) < 5_000_000


@pytest.mark.parametrize(("at", "count"), [(len(DATA), 1), (0, len(DATA) + 1), (-1, 1), (1 << 70, 1)])
def test_a_read_outside_the_file_is_an_error(at, count):
    """This holds for offsets before the start and after the end."""
    for reader in (Reader.of(DATA), fetched(DATA, [])):
        with pytest.raises(CutOffError):
            reader.take(at, count)


def test_parts_draw_from_the_budget_of_their_file():
    """All parsers and parts share the budget of the file."""
    reader = Reader.of(DATA, Budget(reads=5))
    parsers = [reader.part(100, 10), reader.part(200, 10).part(2, 3), reader]
    for parser in parsers:
        parser.take(0, 1)
    parsers[0].take(1, 1)
    parsers[1].take(1, 1)
    for parser in parsers:
        with pytest.raises(BudgetExceededError):
            parser.take(0, 1)


@pytest.mark.parametrize("budget", [Budget(reads=9), Budget(bytes=900), Budget(requests=9)])
def test_reads_bytes_and_requests_are_limited(budget):
    """Each of the three limits ends the parsing."""
    reader = Reader.fetched(lambda _, length: bytes(length), 1 << 40, budget)
    with pytest.raises(BudgetExceededError):
        [reader.take(step * 5_000_000, 100) for step in range(11)]


@given(st.sampled_from(GOOD), st.data())
def test_damage_causes_no_other_error(case, data):
    """Changed bytes and cuts give a header or a rejection, never another error."""
    whole = bytearray(case.make()[:4000])
    for _ in range(4):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for walk in (
        lambda: list(segments(Reader.of(damaged))),
        lambda: list(png_chunks(Reader.of(damaged))),
        lambda: list(riff_chunks(Reader.of(damaged))),
        lambda: main_boxes(Reader.of(damaged)),
        lambda: Tiff(Reader.of(damaged)).directory(Tiff(Reader.of(damaged)).first),
        lambda: find_exif(Reader.of(damaged)),
    ):
        with contextlib.suppress(BrokenContainerError):
            walk()


def test_a_file_is_parsed_once():
    """Admission, metadata and decoder share the result, which is charged once."""
    calls = []

    def parse(reader):
        calls.append(reader.number(0, 1))
        return len(calls)

    reader = Reader.of(b"abc")
    assert [reader.once(parse), reader.once(parse)] == [1, 1]
    assert reader.once(lambda reader: reader.size) == 3
    assert calls == [ord("a")]


def test_a_failed_parse_is_repeated():
    """The error is raised again."""
    reader = Reader.of(b"")
    for _ in range(2):
        with pytest.raises(CutOffError):
            reader.once(lambda reader: reader.take(0, 1))
