"""Read TIFF directories (TIFF 6.0, section 2; BigTIFF) of a file or an EXIF block.

A directory is a table of offsets. Values are read only on demand, so that a directory whose entries all point to the
same megabyte costs nothing.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import Any

from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
"""Bytes of one value, by type; 129 is the UTF-8 of Exif 3.0."""
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_RATIONALS = {5: "I", 10: "i"}
_FLOATS = {11: "f", 12: "d"}
_TABLES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_TEXTS = frozenset({2, 7, 129})
_MOST_ENTRIES = 4096
_MOST_TEXT = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """The location of the values of one tag."""

    kind: int
    """TIFF's number for the type of the values."""
    count: int
    start: int
    """Offset of the first value."""

    @property
    def length(self) -> int:
        """Bytes of all values; 0 if the type is unknown."""
        return _UNITS.get(self.kind, 0) * self.count


class Directory:
    """One directory: its tags, whose values are read on demand, and the offset of the next one."""

    def __init__(
        self,
        reader: Reader,
        little: bool,
        entries: dict[int, Entry],
        following: int,
        repeated: frozenset[int] = frozenset(),
    ) -> None:
        self._reader = reader
        self._order = "<" if little else ">"
        self.little = little
        """Whether numbers are little-endian."""
        self.entries = entries
        """The first entry of each tag, by tag."""
        self.following = following
        """Offset of the next directory; 0 at the end."""
        self.repeated = repeated
        """Tags that occur more than once."""

    def __contains__(self, tag: int) -> bool:
        """Return whether the directory has this tag."""
        return tag in self.entries

    def integers(self, tag: int, most: int = 16) -> tuple[int, ...]:
        """Return the first `most` integers of a tag; none if it is missing, cut off or of another type."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return ()
        return self._unpack(entry, f"{min(entry.count, most)}{_INTEGERS[entry.kind]}")

    def integer(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag, or `default`."""
        return next(iter(self.integers(tag, 1)), default)

    def text(self, tag: int) -> bytes | None:
        """Return the bytes of a text or of undefined data.

        None if the tag is missing, cut off, of another type or longer than 64 KiB.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _TEXTS or not 0 < entry.length <= _MOST_TEXT:
            return None
        try:
            return self._reader.take(entry.start, entry.length)
        except BrokenContainerError:
            return None

    def rationals(self, tag: int, most: int = 4) -> tuple[tuple[int, int], ...]:
        """Return the first `most` rationals of a tag as (numerator, denominator)."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _RATIONALS:
            return ()
        numbers = self._unpack(entry, f"{2 * min(entry.count, most)}{_RATIONALS[entry.kind]}")
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))

    def numbers(self, tag: int, most: int = 8) -> tuple[float, ...]:
        """Return the first `most` numbers of a tag of any numeric type; none if a denominator is zero."""
        entry = self.entries.get(tag)
        if entry is None:
            return ()
        if entry.kind in _RATIONALS:
            pairs = self.rationals(tag, most)
            if not all(denominator for _, denominator in pairs):
                return ()
            return tuple(numerator / denominator for numerator, denominator in pairs)
        if entry.kind in _FLOATS:
            return self._unpack(entry, f"{min(entry.count, most)}{_FLOATS[entry.kind]}")
        return self.integers(tag, most)

    def table(self, tag: int, most: int) -> array[int]:
        """Return all unsigned integers of a tag as a compact array; empty if it is missing or of another type.

        Raises:
            BrokenContainerError: there are more than `most` values, or they are cut off.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _TABLES:
            return array("I")
        if entry.count > most:
            raise BrokenContainerError(f"tag {tag} has {entry.count} values")
        values = array(_TABLES[entry.kind], self._reader.take(entry.start, entry.length))
        if self.little != (sys.byteorder == "little"):
            values.byteswap()
        return values

    def block(self, tag: int) -> Reader:
        """Return a reader of the bytes of a tag, which are not read yet; of size 0 if the tag is missing."""
        entry = self.entries.get(tag)
        return self._reader.part(entry.start, entry.length) if entry else self._reader.part(0, 0)

    def _unpack(self, entry: Entry, codes: str) -> tuple[Any, ...]:
        layout = self._order + codes
        try:
            return struct.unpack(layout, self._reader.take(entry.start, struct.calcsize(layout)))
        except BrokenContainerError:
            return ()


class Tiff:
    """A TIFF structure.

    Raises:
        BrokenContainerError: at construction, if the reader does not start with a TIFF header.
    """

    def __init__(self, reader: Reader) -> None:
        head = reader.take(0, 8)
        if head[:2] not in (b"II", b"MM"):
            raise BrokenContainerError("it has no TIFF byte order")
        self._reader = reader
        self.little = head[:2] == b"II"
        """Whether numbers are little-endian."""
        self.big = self._number(2, 2) == 43
        """Whether it is BigTIFF, which has offsets of eight bytes."""
        if not self.big and self._number(2, 2) != 42:
            raise BrokenContainerError("it has no TIFF version")
        if self.big and self._number(4, 4) != (8 if self.little else 8 << 16):
            raise BrokenContainerError("it is a BigTIFF whose offsets do not have eight bytes")
        self.first = self._number(8, 8) if self.big else self._number(4, 4)
        """Offset of the first directory."""

    def directory(self, offset: int) -> Directory:
        """Read the directory at `offset`.

        Raises:
            CutOffError: its table extends beyond the end of the reader.
            BrokenContainerError: it has more entries than any real file.
        """
        count, start, entry_bytes, _ = self._table(offset)
        table = self._reader.take(start, count * entry_bytes)
        entries: dict[int, Entry] = {}
        repeated = set()
        for at in range(0, len(table), entry_bytes):
            tag, entry = self._entry(table[at : at + entry_bytes], start + at)
            if entries.setdefault(tag, entry) is not entry:
                repeated.add(tag)
        return Directory(self._reader, self.little, entries, self.following(offset), frozenset(repeated))

    def following(self, offset: int) -> int:
        """Return the offset of the directory after the one at `offset`, which is not read; 0 at the end.

        Raises:
            BrokenContainerError: as `directory`.
        """
        count, start, entry_bytes, link_bytes = self._table(offset)
        try:
            return self._number(start + count * entry_bytes, link_bytes)
        except CutOffError:  # EXIF blocks often end without the link
            return 0

    def _table(self, offset: int) -> tuple[int, int, int, int]:
        """Return (number of entries, offset of the first, bytes of an entry, bytes of the link after them)."""
        count_bytes, entry_bytes, link_bytes = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._number(offset, count_bytes)
        if count > _MOST_ENTRIES:
            raise BrokenContainerError(f"its TIFF directory has {count} entries")
        return count, offset + count_bytes, entry_bytes, link_bytes

    def _entry(self, row: bytes, at: int) -> tuple[int, Entry]:
        order = "<" if self.little else ">"
        tag, kind, count = struct.unpack(order + ("HHQ" if self.big else "HHI"), row[: 12 if self.big else 8])
        inline_bytes = 8 if self.big else 4
        inline = at + len(row) - inline_bytes
        pointer = struct.unpack(order + ("Q" if self.big else "I"), row[-inline_bytes:])[0]
        entry = Entry(kind, count, inline)
        return tag, entry if entry.length <= inline_bytes else Entry(kind, count, pointer)

    def _number(self, at: int, count: int) -> int:
        return self._reader.number(at, count, self.little)
