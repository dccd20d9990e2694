"""Random access to the bytes of one file within a budget. All parsers of untrusted structures read through it.

A hostile file can repeat, nest and point so that a small header costs a parser gigabytes or minutes. Therefore all
parsers of a file share one budget, and each read and each byte is charged to it, even if it was read before.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

FIRST_BYTES = 64 * 1024
"""Bytes of the first request: contains the header of nearly every camera file, including its thumbnail."""

_MOST_AHEAD = 1024 * 1024
_WINDOWS = 3

Fetch = Callable[[int, int], bytes]
"""Returns the part of the file at (start, length)."""

T = TypeVar("T")


class BrokenContainerError(ValueError):
    """The structure is invalid, or larger than that of any real file."""


class CutOffError(BrokenContainerError):
    """The structure extends beyond the end of the file or of the part that contains it."""


class BudgetExceededError(BrokenContainerError):
    """Reading the structure takes more reads, bytes or requests than allowed."""


@dataclass
class Budget:
    """The remaining budget for the structure of one file. The defaults keep admission below 200 ms of CPU time."""

    reads: int = 50_000
    """Reads: one for each segment, chunk, box, directory or value."""
    bytes: int = 4 * 1024 * 1024
    """Bytes returned to parsers; repeated ones count each time."""
    requests: int = 64
    """Requests that fetch a part of a stored file."""

    def spend(self, count: int) -> None:
        """Charge one read of `count` bytes.

        Raises:
            BudgetExceededError: the budget does not cover it.
        """
        self.reads -= 1
        self.bytes -= count
        if self.reads < 0 or self.bytes < 0:
            raise BudgetExceededError("its structure has more parts than that of any real file")

    def spend_request(self) -> None:
        """Charge one request.

        Raises:
            BudgetExceededError: no request is left.
        """
        self.requests -= 1
        if self.requests < 0:
            raise BudgetExceededError("its structure is scattered over more places than that of any real file")


class Reader:
    """A file, or a part of one, read through its budget."""

    __slots__ = ("_parsed", "_start", "_window", "budget", "size")  # a file may have thousands of parts

    def __init__(self, window: _Window, start: int, size: int, budget: Budget) -> None:
        self._window = window
        self._start = start
        self.size = size
        """Declared size in bytes of the file or part, even if some of the bytes are missing."""
        self.budget = budget
        self._parsed: dict[Callable[[Reader], Any], Any] | None = None

    @classmethod
    def of(cls, data: bytes, budget: Budget | None = None) -> Reader:
        """Read a file that is completely in memory."""
        return cls(_Memory(data), 0, len(data), budget or Budget())

    @classmethod
    def fetched(cls, fetch: Fetch, size: int, budget: Budget | None = None) -> Reader:
        """Read a stored file in parts, with as few requests as possible.

        Args:
            fetch: returns a part of the file.
            size: size of the whole file in bytes.
            budget: the budget; by default a new one.
        """
        budget = budget or Budget()
        return cls(_Windows(fetch, size, budget), 0, size, budget)

    @property
    def in_memory(self) -> bool:
        """Whether all bytes are in memory, so that `data` returns them."""
        return self._window.in_memory

    @property
    def data(self) -> bytes:
        """All bytes of a file or part that is in memory; not charged to the budget."""
        return self._window.read(self._start, self.size)

    def take(self, at: int, count: int) -> bytes:
        """Read `count` bytes from offset `at`.

        Raises:
            CutOffError: some of the bytes are missing.
            BudgetExceededError: the budget does not cover them.
        """
        if at < 0 or count < 0 or at + count > self.size:
            raise CutOffError("it is cut off")
        self.budget.spend(count)
        out = self._window.read(self._start + at, count)
        if len(out) < count:
            raise CutOffError("it is cut off")
        return out

    def number(self, at: int, count: int, little: bool = False) -> int:
        """Read an unsigned integer of `count` bytes; big-endian unless `little`.

        Raises:
            CutOffError, BudgetExceededError: as `take`.
        """
        return int.from_bytes(self.take(at, count), "little" if little else "big")

    def up_to(self, at: int, count: int) -> bytes:
        """Read as `take`, but return fewer bytes if the file ends earlier."""
        return self.take(at, max(0, min(count, self.size - at)))

    def once(self, parse: Callable[[Reader], T]) -> T:
        """Return the cached result of `parse`: admission, metadata and decoder share it, and it is charged once."""
        if self._parsed is None:
            self._parsed = {}
        if parse not in self._parsed:
            self._parsed[parse] = parse(self)
        return self._parsed[parse]  # type: ignore[no-any-return]

    def part(self, at: int, count: int) -> Reader:
        """Return a reader of a part, with the same budget; nothing is read yet."""
        return Reader(self._window, self._start + at, min(count, max(0, self.size - at)), self.budget)

    def joined(self, extents: Sequence[tuple[int, int]]) -> Reader:
        """Return one reader of several parts (start, length), with the same budget; nothing is read or copied yet.

        Raises:
            CutOffError: a part ends after the end of this reader.
        """
        if any(start + length > self.size for start, length in extents):
            raise CutOffError("it is cut off")
        if len(extents) == 1:
            return self.part(*extents[0])
        absolute = [(self._start + start, length) for start, length in extents]
        return Reader(_Joined(self._window, absolute), 0, sum(length for _, length in absolute), self.budget)


class _Memory:
    in_memory = True

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, start: int, count: int) -> bytes:
        return self.data[start : start + count]


class _Joined:
    """Concatenated parts of a file."""

    def __init__(self, window: _Window, extents: Sequence[tuple[int, int]]) -> None:
        self.in_memory: bool = window.in_memory
        self._window = window
        self._extents = extents
        self._ends = list(accumulate(length for _, length in extents))

    def read(self, start: int, count: int) -> bytes:
        pieces = []
        for index in range(bisect_right(self._ends, start), len(self._extents)):
            at, length = self._extents[index]
            offset = start - (self._ends[index] - length)
            piece_length = min(count, length - offset)
            pieces.append(self._window.read(at + offset, piece_length))
            start += piece_length
            count -= piece_length
            if count == 0 or len(pieces[-1]) < piece_length:
                break
        return b"".join(pieces)


class _Windows:
    """Fetched parts of a file: its beginning, and the few most recent ones."""

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
            self._ahead = min(_MOST_AHEAD, 2 * self._ahead)  # the parser walks through a long header
        at = start - start % FIRST_BYTES
        length = min(max(start + count - at, self._ahead), self._size - at)
        window = at, self._fetch(at, length)
        if self._windows:
            first, *recent = self._windows
            self._windows = [first, *recent[-(_WINDOWS - 1) :], window]
        else:
            self._windows = [window]
        return window


_Window = _Memory | _Joined | _Windows
