"""Damages real files and feeds them to admission and engine: `make fuzz`, or `python -m tools.fuzz SECONDS [SEED]`.

A seed decides how each file is damaged: bytes are flipped, cut and doubled, and the parts of its container (segments,
chunks, boxes, directory entries) are repeated, swapped, flooded or exchanged with those of another file. The file then
goes through admission and the engine under a time and a memory limit of the operating system. Allowed ends: renditions,
or a rejection. Admission must stay within the budget of the file. Everything else is printed with its seed and kept
in `.fuzz/`, and the exit code is 1.
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from image_pipeline.errors import RejectedError
from image_pipeline.imaging import engine
from image_pipeline.imaging.containers import chunks, jpeg, tiff
from image_pipeline.imaging.containers.boxes import boxes
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, Budget, Reader
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import BAD, GOOD, HERE, noisy

SLOWEST_SECONDS = 5.0
"""CPU time, so that a busy machine fails nothing."""
MOST_MEMORY = 600_000_000
MOST_ADMISSION_BYTES = 5_000_000
"""Memory that admission may take beyond the file."""
LIMITS = Limits(max_pixels=20_000_000, memory_bytes=300_000_000)
RECIPES = (Recipe("small", 64, 64), Recipe("cover", 40, 40, fit="cover", formats=("png", "webp")))
_MOST_PARTS = 200
_MOST_FILE = 2_000_000

Span = tuple[int, int]
"""(start, end) of one part of a file."""


def sources() -> list[bytes]:
    """Files of every kind, good and bad."""
    files = [good.make() for good in GOOD] + [bad.make() for bad in BAD]
    files += [path.read_bytes() for path in sorted((HERE / "cases").rglob("*.*"))]
    return [data for data in files if 0 < len(data) < 300_000] + [
        noisy(name) for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP")
    ]


# Damage ---------------------------------------------------------------------------------------------------------------


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Damage as it happens in a transfer: flips, cuts, doubles, extreme numbers."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        # Most of the meaning is in the head.
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


def damaged_structure(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Damage as an attacker does it: whole parts of the container are repeated, flooded, swapped, or another file's."""
    spans = parts(data)
    if not spans:
        return damaged_bytes(data, chance)
    start, end = chance.choice(spans)
    part = data[start:end]
    kind = chance.randrange(6)
    if kind == 0:  # one that may appear once appears twice, the second one changed
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
    if kind == 4 and (strangers := parts(other)):
        return data[:end] + other[slice(*chance.choice(strangers))] + data[end:]
    # Its numbers become extreme ones.
    return data[:start] + damaged_bytes(part, chance) + data[end:]


def parts(data: bytes) -> list[Span]:
    """Parts of a file's container, boxes within boxes included; none where it has no structure that is known."""
    found: list[Span] = []
    with suppress(BrokenContainerError, IndexError):
        found.extend(islice(_spans(Reader.of(data)), _MOST_PARTS))
    return [span for span in found if 0 <= span[0] < span[1] <= len(data)]


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
    """Boxes in a part of the file that starts at `offset`."""
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
    """What a run has seen."""

    ends: Counter[str] = field(default_factory=Counter)
    """How often a file was rendered, or rejected by which error."""
    wrong: list[tuple[int, str, bytes]] = field(default_factory=list)
    """(seed, what went wrong, data) of every end that is not allowed."""
    reads: int = 0
    """Most reads of one admission."""
    structure_bytes: int = 0
    """Most bytes of structure that one admission has read."""
    admission_bytes: int = 0
    """Most memory that one admission took beyond the file."""
    admission_seconds: float = 0.0
    """Most CPU time of one admission."""


def check_admission(data: bytes, figures: Figures) -> None:
    """Admit a file as the validating function does, from parts of it, within its budget.

    Raises:
        AssertionError: it costs more than it may.
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
    """How it ended: 'rendered' or the name of a rejection.

    Raises:
        AssertionError: an end that is not allowed.
    """
    started = time.process_time()
    try:
        rendered = engine.render(data, RECIPES, LIMITS)
        end = "rendered"
        for rendition in rendered.renditions:
            assert rendition.data, "an empty rendition"
            assert max(rendition.width, rendition.height) <= 64, "a rendition outside its box"
    except RejectedError as error:
        end = type(error).__name__ if error.message and error.hint else "no words"
    assert end != "no words", "an error without message or hint"
    seconds = time.process_time() - started
    assert seconds < SLOWEST_SECONDS, f"took {seconds:.1f} s"
    return end


def fuzz(seconds: float, seed: int, most: int = sys.maxsize) -> Figures:
    """Run until the time is over, or so many files were tried."""
    files, figures = sources(), Figures()
    until = time.monotonic() + seconds
    damages: tuple[Callable[[bytes, random.Random], bytes], ...] = (
        damaged_bytes,
        lambda data, chance: damaged_structure(data, chance.choice(files), chance),
        lambda data, chance: damaged_bytes(damaged_structure(data, chance.choice(files), chance), chance),
    )
    while time.monotonic() < until and sum(figures.ends.values()) < most:
        chance = random.Random(seed)
        data = chance.choice(damages)(chance.choice(files), chance)
        try:
            check_admission(data, figures)
            figures.ends[run(data)] += 1
        except Exception as error:
            figures.ends["WRONG"] += 1
            figures.wrong.append((seed, f"{type(error).__name__}: {error}", data))
        seed += 1
    return figures


def main() -> int:
    """Fuzz from the command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**9)
    resource.setrlimit(resource.RLIMIT_AS, (4 * MOST_MEMORY, 4 * MOST_MEMORY))
    faulthandler.enable(os.fdopen(os.dup(2), "w"))  # a decoder that crashes takes the process with it: say where
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes its complaints past Python
    print(f"files from seed {seed} on", flush=True)
    figures = fuzz(seconds, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{sum(figures.ends.values())} files, peak memory {peak / 1e6:.0f} MB")
    print(
        f"admission at most: {1000 * figures.admission_seconds:.0f} ms of CPU, {figures.reads:,} reads, "
        f"{figures.structure_bytes / 1e6:.1f} MB of structure"
    )
    for end, count in figures.ends.most_common():
        print(f"  {count:6} {end}")
    for number, what, data in figures.wrong:
        Path(".fuzz").mkdir(exist_ok=True)
        path = Path(".fuzz") / f"{number}.bin"
        path.write_bytes(data)
        print(f"seed {number}: {what}; kept as {path}")
    if peak > MOST_MEMORY:
        print(f"more than {MOST_MEMORY / 1e6:.0f} MB of memory")
    return 1 if figures.wrong or peak > MOST_MEMORY else 0


if __name__ == "__main__":
    sys.exit(main())
