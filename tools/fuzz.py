"""Damage real files and pass them to admission and the engine: `make fuzz`, or `python -m tools.fuzz SECONDS [SEED]`.

A seed determines the damage of each file: bytes are changed, removed and repeated, and parts of its container
(segments, chunks, boxes, directory entries) are repeated, swapped, or replaced by those of another file. Some damaged
PNGs get valid checksums, so that the damage reaches the decoder. The file then passes through admission and the engine
under a time limit and a memory limit of the operating system. The result must be renditions or a rejection, the same
with and without libvips, and admission must stay within the budget of the file. For every other result, this tool
prints the seed, stores the file in `.fuzz/`, and exits with code 1.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from unittest.mock import patch

from image_pipeline.errors import RejectedError
from image_pipeline.imaging import engine, libvips
from image_pipeline.imaging.containers import chunks, jpeg, tiff
from image_pipeline.imaging.containers.boxes import boxes
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import BAD, GOOD, HERE, animations, noisy

SLOWEST_SECONDS = 5.0
"""CPU time, so that the result does not depend on other load of the machine."""
MOST_MEMORY = 600_000_000
MOST_ADMISSION_BYTES = 5_000_000
"""Memory that admission may use in addition to the file."""
LIMITS = Limits(max_pixels=20_000_000, memory_bytes=300_000_000)
RECIPES = (
    Recipe("small", 64, 64),
    Recipe("cover", 40, 40, fit="cover", formats=("png", "webp"), animated=True),
    *(Recipe(f"set-{width}", width, 64, set_name="set") for width in (20, 60)),
    Recipe("smart", 40, 20, fit="cover", focus="smart"),
)
_MOST_PARTS = 200
_MOST_FILE = 2_000_000

Span = tuple[int, int]
"""(start, end) of one part of a file."""


@cache
def sources() -> tuple[bytes, ...]:
    """Return valid and invalid files of every kind."""
    files = [good.make() for good in GOOD] + [bad.make() for bad in BAD]
    files += [make() for make in animations.ALL.values()]
    files += [path.read_bytes() for path in sorted((HERE / "cases").rglob("*.*"))]
    files = [data for data in files if 0 < len(data) < 300_000]
    return (*files, *map(noisy, ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP")))


# Damage ---------------------------------------------------------------------------------------------------------------


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Damage a file as a faulty transfer would: changed, missing and repeated bytes, extreme numbers."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        # Most of the structure is at the beginning.
        at = chance.randrange(min(len(out), chance.choice((64, 600, len(out))))) if out else 0
        kind = chance.randrange(6)
        if kind == 0:
            out[at : at + 1] = bytes((chance.randrange(256),))
        elif kind == 1:
            out[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
        elif kind == 2:
            del out[at : at + chance.choice((1, 2, 8, 500))]
        elif kind == 3:
            out[at:at] = out[at : at + chance.choice((1, 4, 64, 4000))]
        elif kind == 4:
            out[at:at] = chance.randbytes(chance.choice((1, 2, 16)))
        else:
            del out[max(1, at) :]
    return bytes(out)


def damaged_structure(data: bytes, donor: bytes, chance: random.Random) -> bytes:
    """Damage a file as an attacker would: repeat, remove, swap or replace whole parts of its container."""
    spans = parts(data)
    if not spans:
        return damaged_bytes(data, chance)
    start, end = chance.choice(spans)
    part = data[start:end]
    kind = chance.randrange(6)
    if kind == 0:  # a second, changed copy of a part that may occur once
        return data[:end] + damaged_bytes(part, chance) + data[end:]
    if kind == 1:
        count = min(chance.choice((3, 50, 5_000, 200_000)), _MOST_FILE // max(1, len(part)))
        return data[:end] + part * count + data[end:]
    if kind == 2:
        return data[:start] + data[end:]
    if kind == 3:
        first, second = sorted((chance.choice(spans), (start, end)))
        if first[1] <= second[0]:
            middle = data[first[1] : second[0]]
            return data[: first[0]] + data[slice(*second)] + middle + data[slice(*first)] + data[second[1] :]
        return data[:start] + part[::-1] + data[end:]
    if kind == 4 and (donor_parts := parts(donor)):
        return data[:end] + donor[slice(*chance.choice(donor_parts))] + data[end:]
    return data[:start] + damaged_bytes(part, chance) + data[end:]


def sealed(data: bytes) -> bytes:
    """Correct the checksums of a PNG's chunks; return other files unchanged."""
    if not data.startswith(b"\x89PNG"):
        return data
    out = bytearray(data)
    for start, end in parts(data):
        out[end - 4 : end] = zlib.crc32(out[start + 4 : end - 4]).to_bytes(4, "big")
    return bytes(out)


def parts(data: bytes) -> list[Span]:
    """Return the parts of a file's container, including nested boxes; none if its structure is unknown."""
    spans: list[Span] = []
    with suppress(BrokenContainerError, IndexError):
        spans.extend(islice(_spans(Reader.of(data)), _MOST_PARTS))
    return [span for span in spans if 0 <= span[0] < span[1] <= len(data)]


def _spans(reader: Reader) -> Iterator[Span]:
    head = reader.up_to(0, 12)
    if head[:3] == b"\xff\xd8\xff":
        yield from ((part.start - 4, part.end) for part in jpeg.segments(reader))
    elif head[:8] == b"\x89PNG\r\n\x1a\n":
        yield from ((chunk.start - 8, chunk.end + 4) for chunk in chunks.png_chunks(reader))
    elif head[:4] == b"RIFF":
        yield from ((chunk.start - 8, chunk.end + chunk.length % 2) for chunk in chunks.riff_chunks(reader))
    elif head[:4] == b"GIF8":
        yield from _block_spans(reader)
    elif head[4:8] == b"ftyp":
        yield from _box_spans(reader, 0)
    elif head[:2] in (b"II", b"MM"):
        yield from _entry_spans(reader)


def _block_spans(reader: Reader) -> Iterator[Span]:
    at = 13 + _table_length(reader.number(10, 1))
    yield 13, at
    while (kind := reader.number(at, 1)) in (0x21, 0x2C):
        start = at
        at += 2 if kind == 0x21 else 11 + _table_length(reader.number(at + 9, 1))
        while length := reader.number(at, 1):
            at += 1 + length
        at += 1
        yield start, at


def _table_length(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_FULL_BOXES = frozenset({b"meta", b"iinf", b"iref"})
_BOXES = frozenset({b"iprp", b"ipco", *_FULL_BOXES})


def _box_spans(reader: Reader, offset: int) -> Iterator[Span]:
    """Yield the boxes in the part of the file that starts at `offset`."""
    for box in boxes(reader):
        yield offset + box.start, offset + box.end
        if box.kind in _BOXES:
            inner = {b"meta": 4, b"iinf": 6, b"iref": 4}.get(box.kind, 0)
            start = offset + box.end - box.body.size + inner
            yield from _box_spans(box.body.part(inner, box.body.size - inner), start)


def _entry_spans(reader: Reader) -> Iterator[Span]:
    file = tiff.Tiff(reader)
    count_bytes, entry_bytes = (8, 20) if file.big else (2, 12)
    count = reader.number(file.first, count_bytes, little=file.little)
    yield file.first, file.first + count_bytes
    first = file.first + count_bytes
    yield from ((first + index * entry_bytes, first + (index + 1) * entry_bytes) for index in range(min(count, 100)))


# Checks ---------------------------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """The statistics of a run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Number of files by outcome: "rendered", or the name of the error."""
    failures: list[tuple[int, str, bytes]] = field(default_factory=list)
    """(seed, problem, data) of every outcome that is not allowed."""
    reads: int = 0
    """Largest number of reads of one admission."""
    structure_bytes: int = 0
    """Largest number of bytes that one admission read."""
    admission_bytes: int = 0
    """Largest memory of one admission, in addition to the file."""
    admission_seconds: float = 0.0
    """Largest CPU time of one admission."""


def check_admission(data: bytes, figures: Figures) -> None:
    """Admit a file as the validating function does: from its parts, within the budget.

    Raises:
        AssertionError: admission uses too much memory.
    """
    budget = Budget()
    reader = Reader.fetched(lambda start, length: data[start : start + length], len(data), budget)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    started = time.process_time()
    try:
        admit(reader, LIMITS)
    except RejectedError as error:
        assert error.message and error.hint, "an error without message or hint"
    figures.admission_seconds = max(figures.admission_seconds, time.process_time() - started)
    memory = tracemalloc.get_traced_memory()[1] - before if tracemalloc.is_tracing() else 0
    figures.admission_bytes = max(figures.admission_bytes, memory)
    figures.reads = max(figures.reads, Budget().reads - budget.reads)
    figures.structure_bytes = max(figures.structure_bytes, min(Budget().bytes, Budget().bytes - budget.bytes))
    assert memory < MOST_ADMISSION_BYTES + len(data), f"admission took {memory / 1e6:.1f} MB"


def run(data: bytes) -> str:
    """Render a file and return the outcome: "rendered" or the name of the error.

    Raises:
        AssertionError: the outcome is not allowed.
    """
    started = time.process_time()
    try:
        rendered = engine.render(data, RECIPES, LIMITS)
        outcome = "rendered"
        for rendition in rendered.renditions:
            assert rendition.data, "an empty rendition"
            assert max(rendition.width, rendition.height) <= 64, "a rendition outside its box"
    except RejectedError as error:
        assert error.message and error.hint, "an error without message or hint"
        outcome = type(error).__name__
    seconds = time.process_time() - started
    assert seconds < SLOWEST_SECONDS, f"took {seconds:.1f} s"
    return outcome


def check_decoders(data: bytes, outcome: str) -> None:
    """Render a PNG or JPEG without libvips, too.

    Raises:
        AssertionError: the outcome differs.
    """
    if data.startswith((b"\x89PNG", b"\xff\xd8")):
        with patch.object(libvips, "_library", lambda: None):
            own_outcome = run(data)
        assert own_outcome == outcome, f"{outcome}, but {own_outcome} without libvips"


def fuzz(seconds: float, seed: int, most: int = sys.maxsize) -> Figures:
    """Run for some seconds, or until `most` files were tried."""
    files = sources()
    figures = Figures()
    deadline = time.monotonic() + seconds
    damages: tuple[Callable[[bytes, random.Random], bytes], ...] = (
        damaged_bytes,
        lambda data, chance: damaged_structure(data, chance.choice(files), chance),
        lambda data, chance: damaged_bytes(damaged_structure(data, chance.choice(files), chance), chance),
        lambda data, chance: sealed(damaged_bytes(data, chance)),
        lambda data, chance: sealed(damaged_structure(data, chance.choice(files), chance)),
    )
    while time.monotonic() < deadline and sum(figures.outcomes.values()) < most:
        chance = random.Random(seed)
        data = chance.choice(damages)(chance.choice(files), chance)
        try:
            check_admission(data, figures)
            outcome = run(data)
            check_decoders(data, outcome)
            figures.outcomes[outcome] += 1
        except Exception as error:
            figures.outcomes["FAILED"] += 1
            figures.failures.append((seed, f"{type(error).__name__}: {error}", data))
        seed += 1
    return figures


def main() -> int:
    """Run the command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9)
    resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_MEMORY, 4 * MOST_MEMORY))
    faulthandler.enable(os.fdopen(os.dup(2), "w"))  # if a decoder crashes the process, print where
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes its messages to standard error
    print(f"first seed: {seed}", flush=True)
    figures = fuzz(seconds, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{sum(figures.outcomes.values())} files, peak memory {peak / 1e6:.0f} MB")
    print(
        f"largest admission: {1000 * figures.admission_seconds:.0f} ms of CPU, {figures.reads:,} reads, "
        f"{figures.structure_bytes / 1e6:.1f} MB of structure"
    )
    for outcome, count in figures.outcomes.most_common():
        print(f"  {count:6} {outcome}")
    for number, problem, data in figures.failures:
        Path(".fuzz").mkdir(exist_ok=True)
        path = Path(".fuzz") / f"{number}.bin"
        path.write_bytes(data)
        print(f"seed {number}: {problem}; stored as {path}")
    if peak > MOST_MEMORY:
        print(f"peak memory exceeds {MOST_MEMORY / 1e6:.0f} MB")
    return 1 if figures.failures or peak > MOST_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())
