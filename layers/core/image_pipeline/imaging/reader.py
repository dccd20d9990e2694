"""Random access to the bytes of one file within a budget: what every parser of untrusted structure reads through.

A hostile file can repeat, nest and point so that a small header costs a parser gigabytes or minutes. Here each read and
each byte is paid for from one budget for the file, whichever parsers read it, and nothing is read twice for free.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

FIRST_BYTES = 64 * 1024
"""How much is fetched first: holds the header of nearly every camera file, thumbnail included."""

_MOST_AHEAD = 1024 * 1024
_WINDOWS = 3

Fetch = Callable[[int, int], bytes]
"""(start, length) → that part of the file."""

T = TypeVar("T")


class BrokenContainerError(ValueError):
    """The structure contradicts itself, or is larger than that of any real file."""


class CutOffError(BrokenContainerError):
    """The structure goes on after the end of the file, or of the part that holds it."""


class BudgetExceededError(BrokenContainerError):
    """The structure takes more reads, bytes or requests than the file may cost."""


@dataclass
class Budget:
    """What reading the structure of one file may still cost. The defaults hold admission below 200 ms of CPU."""

    reads: int = 50_000
    """Single reads: one for each segment, chunk, box, directory or value."""
    bytes: int = 4 * 1024 * 1024
    """Bytes handed out, however often the file repeats them."""
    requests: int = 64
    """Calls that fetch a part of the file from where it is stored."""

    def spend(self, count: int) -> None:
        """Pay for one read of `count` bytes.

        Raises:
            BudgetExceededError: it is more than what is left.
        """
        self.reads -= 1
        self.bytes -= count
        if self.reads < 0 or self.bytes < 0:
            raise BudgetExceededError("its structure has more parts than that of any real file")

    def spend_request(self) -> None:
        """Pay for one request.

        Raises:
            BudgetExceededError: none is left.
        """
        self.requests -= 1
        if self.requests < 0:
            raise BudgetExceededError("its structure is spread over more places than that of any real file")


class Reader:
    """A file, or a part of one, read through its budget."""

    __slots__ = ("_parsed", "_start", "_window", "budget", "size")  # there may be thousands of parts

    def __init__(self, window: _Window, start: int, size: int, budget: Budget) -> None:
        self._window = window
        self._start = start
        self.size = size
        """Bytes of the file or part, also when not all of them exist."""
        self.budget = budget
        self._parsed: dict[Callable[[Reader], Any], Any] | None = None

    @classmethod
    def of(cls, data: bytes, budget: Budget | None = None) -> Reader:
        """A file that is in memory as a whole."""
        return cls(_Memory(data), 0, len(data), budget or Budget())

    @classmethod
    def fetched(cls, fetch: Fetch, size: int, budget: Budget | None = None) -> Reader:
        """A file that is stored elsewhere and fetched in parts, as few as possible.

        Args:
            fetch: gives a part of the file.
            size: bytes of the whole file.
            budget: what reading it may cost.
        """
        budget = budget or Budget()
        return cls(_Windows(fetch, size, budget), 0, size, budget)

    @property
    def in_memory(self) -> bool:
        """Whether all bytes are at hand, so that `data` gives them."""
        return self._window.in_memory

    @property
    def data(self) -> bytes:
        """All bytes of a file, or part, that is in memory; they cost no budget."""
        return self._window.read(self._start, self.size)

    def take(self, at: int, count: int) -> bytes:
        """`count` bytes from offset `at`.

        Raises:
            CutOffError: they are not all there.
            BudgetExceededError: reading them costs more than is left.
        """
        if at < 0 or count < 0 or at + count > self.size:
            raise CutOffError("it is cut off")
        self.budget.spend(count)
        out = self._window.read(self._start + at, count)
        if len(out) < count:
            raise CutOffError("it is cut off")
        return out

    def number(self, at: int, count: int, little: bool = False) -> int:
        """An unsigned integer of `count` bytes; big-endian unless `little`.

        Raises:
            CutOffError, BudgetExceededError: as `take`.
        """
        return int.from_bytes(self.take(at, count), "little" if little else "big")

    def up_to(self, at: int, count: int) -> bytes:
        """As `take`, but fewer bytes where the file ends before."""
        return self.take(at, max(0, min(count, self.size - at)))

    def once(self, parse: Callable[[Reader], T]) -> T:
        """Result of `parse` for this file; admission, metadata and decoder share it and pay for it once."""
        if self._parsed is None:
            self._parsed = {}
        if parse not in self._parsed:
            self._parsed[parse] = parse(self)
        return self._parsed[parse]  # type: ignore[no-any-return]

    def part(self, at: int, count: int) -> Reader:
        """A part as a reader of its own, on the same budget; nothing is read yet."""
        return Reader(self._window, self._start + at, min(count, max(0, self.size - at)), self.budget)

    def joined(self, extents: Sequence[tuple[int, int]]) -> Reader:
        """Several parts, each (start, length), as one reader on the same budget; nothing is read or copied yet.

        Raises:
            CutOffError: one of them ends after this reader.
        """
        if any(start + length > self.size for start, length in extents):
            raise CutOffError("it is cut off")
        if len(extents) == 1:
            return self.part(*extents[0])
        moved = [(self._start + start, length) for start, length in extents]
        return Reader(_Joined(self._window, moved), 0, sum(length for _, length in moved), self.budget)


class _Memory:
    in_memory = True

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, start: int, count: int) -> bytes:
        return self.data[start : start + count]


class _Joined:
    """Parts of a file, one after another."""

    def __init__(self, window: _Window, extents: Sequence[tuple[int, int]]) -> None:
        self.in_memory: bool = window.in_memory
        self._window = window
        self._extents = extents
        self._ends = list(accumulate(length for _, length in extents))

    def read(self, start: int, count: int) -> bytes:
        pieces = []
        for index in range(bisect_right(self._ends, start), len(self._extents)):
            at, length = self._extents[index]
            skipped = start - (self._ends[index] - length)
            wanted = min(count, length - skipped)
            pieces.append(self._window.read(at + skipped, wanted))
            start, count = start + wanted, count - wanted
            if count == 0 or len(pieces[-1]) < wanted:
                break
        return b"".join(pieces)


class _Windows:
    """Fetched parts of a file: its beginning, and the few that were needed last."""

    in_memory = False

    def __init__(self, fetch: Fetch, size: int, budget: Budget) -> None:
        self._fetch = fetch
        self._size = size
        self._budget = budget
        self._windows: list[tuple[int, bytes]] = []
        self._ahead = FIRST_BYTES

    def read(self, start: int, count: int) -> bytes:
        for at, window in self._windows:
            if at <= start and start + count <= at + len(window):
                return window[start - at : start - at + count]
        at, window = self._load(start, count)
        return window[start - at : start - at + count]

    def _load(self, start: int, count: int) -> tuple[int, bytes]:
        self._budget.spend_request()
        if self._windows and start >= self._windows[-1][0]:
            self._ahead = min(_MOST_AHEAD, 2 * self._ahead)  # a long header is being walked
        at = start - start % FIRST_BYTES
        length = min(max(start + count - at, self._ahead), self._size - at)
        loaded = at, self._fetch(at, length)
        first, *recent = self._windows or [loaded]
        self._windows = [first, *recent[-(_WINDOWS - 1) :], loaded] if self._windows else [loaded]
        return loaded


_Window = _Memory | _Joined | _Windows
