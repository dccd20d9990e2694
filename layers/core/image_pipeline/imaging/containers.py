"""Walks the containers that pictures come in: JPEG segments, PNG chunks, RIFF chunks, ISO boxes, TIFF directories.

Plain Python over bytes, so that a header can be judged without starting a decoder on a hostile file. Everything is
bounded: no length in a file is trusted, no loop is longer than the bytes that are there.

Sources: ITU-T T.81 annex B (JPEG); PNG 3rd edition, section 5; RFC 9649 (WebP); ISO/IEC 14496-12 and 23008-12 (boxes,
HEIF items); TIFF 6.0 section 2 and BigTIFF.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field


class BrokenContainerError(ValueError):
    """The structure contradicts itself; more bytes would not help."""


class NeedMoreBytesError(Exception):
    """The structure goes on after the bytes that were given."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"{needed} bytes are needed")
        self.needed = needed
        """Length of the prefix that would do, in bytes."""


def take(data: bytes, start: int, count: int) -> bytes:
    """`count` bytes from `start`.

    Raises:
        NeedMoreBytesError: the data ends before.
    """
    if start + count > len(data):
        raise NeedMoreBytesError(start + count)
    return data[start : start + count]


# JPEG ---------------------------------------------------------------------------------------------------------------

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_FILL = re.compile(rb"\xff+")
_MARKER = re.compile(rb"\xff+[^\x00\x01\xd0-\xd7\xff]")


MOST_PARTS = 20_000
"""Segments, chunks or boxes of one header. Cameras write dozens; a million empty ones would take seconds to walk."""


def _too_many(parts: str) -> BrokenContainerError:
    return BrokenContainerError(f"more than {MOST_PARTS:,} {parts} in its header")


@dataclass(frozen=True)
class Segment:
    """One JPEG marker segment."""

    marker: int
    """Second byte of the marker: 0xC0 for SOF0."""
    start: int
    """Where the payload starts, after the length."""
    end: int


def jpeg_segments(data: bytes) -> Iterator[Segment]:
    """Segments from SOI up to and including the first SOS.

    Raises:
        NeedMoreBytesError, BrokenContainerError
    """
    at = 2
    for _ in range(MOST_PARTS):
        if take(data, at, 1) != b"\xff":
            raise BrokenContainerError(f"no JPEG marker at byte {at}")
        filled = _FILL.match(data, at)  # any number of fill bytes may precede a marker
        at = filled.end() if filled else at
        marker = take(data, at, 1)[0]
        at += 1
        if marker in _STANDALONE:
            continue
        if marker in (0x00, 0xD8, 0xD9):
            raise BrokenContainerError(f"marker FF{marker:02X} before the first scan")
        length = int.from_bytes(take(data, at, 2), "big")
        if length < 2:
            raise BrokenContainerError(f"JPEG segment of {length} bytes at byte {at}")
        yield Segment(marker, at + 2, at + length)
        if marker == 0xDA:
            return
        at += length
    raise _too_many("segments")


def jpeg_scans(data: bytes, enough: int) -> int:
    """Number of scans of the first picture in `data`; counting stops after `enough` + 1.

    Thumbnails inside segments and further pictures after the end marker do not count. Where the quick count of the
    two bytes, which can only be too high, is not above `enough`, it is the answer.
    """
    quick = data.count(b"\xff\xda")
    if quick <= enough:
        return quick
    scans = 0
    try:
        at = next(each.end for each in jpeg_segments(data) if each.marker == 0xDA)
        while scans <= enough:
            scans += 1
            at = _next_marker(data, at)
            while data[at + 1] != 0xDA:
                if data[at + 1] == 0xD9:
                    return scans
                at = _next_marker(data, at + 2 + int.from_bytes(take(data, at + 2, 2), "big"))
            at += 2 + int.from_bytes(take(data, at + 2, 2), "big")
    except (NeedMoreBytesError, BrokenContainerError, StopIteration):
        pass
    return scans


def _next_marker(data: bytes, at: int) -> int:
    found = _MARKER.search(data, at)
    if found is None:
        raise NeedMoreBytesError(len(data) + 2)
    return found.end() - 2


# PNG and RIFF -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunk:
    """One PNG or RIFF chunk."""

    kind: bytes
    """Four letters."""
    start: int
    """Where the payload starts."""
    length: int
    """Bytes of payload; they may end after the data given."""

    @property
    def end(self) -> int:
        """Where the payload ends."""
        return self.start + self.length


def png_chunks(data: bytes) -> Iterator[Chunk]:
    """Chunks whose head lies inside `data`."""
    at = 8
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at : at + 4], "big")
        yield Chunk(data[at + 4 : at + 8], at + 8, length)
        at += 12 + length
    raise _too_many("chunks")


def riff_chunks(data: bytes, start: int = 12) -> Iterator[Chunk]:
    """Chunks whose head lies inside `data`."""
    at = start
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield Chunk(data[at : at + 4], at + 8, length)
        at += 8 + length + length % 2


# ISO base media -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """One box: `kind`, and the payload between `start` and `end`."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Boxes between two offsets whose head lies inside `data`; the last one may end after it."""
    at = start
    for _ in range(MOST_PARTS):
        if at + 8 > min(end, len(data)):
            return
        size, head = int.from_bytes(data[at : at + 4], "big"), 8
        kind = data[at + 4 : at + 8]
        if size == 1:
            size, head = int.from_bytes(take(data, at + 8, 8), "big"), 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise BrokenContainerError(f"box {kind!r} of {size} bytes at byte {at}")
        yield Box(kind, at + head, at + size)
        at += size
    raise _too_many("boxes")


@dataclass
class HeifItems:
    """What the `meta` box says about the primary picture and its EXIF."""

    primary_type: bytes = b""
    """`av01`, `hvc1`, `grid` …"""
    types: frozenset[bytes] = frozenset()
    """Of all items."""
    properties: dict[bytes, bytes] = field(default_factory=dict)
    """Payloads of the primary picture's properties, by box type."""
    order: tuple[bytes, ...] = ()
    """Types of the properties in the order they apply."""
    alpha: bool = False
    exif: tuple[int, int] | None = None
    """Start and length in the file."""


def heif_items(data: bytes, size_bytes: int) -> HeifItems:
    """Read the `meta` box.

    Raises:
        NeedMoreBytesError, BrokenContainerError
    """
    meta = next((box for box in boxes(data, 0, size_bytes) if box.kind == b"meta"), None)
    if meta is None:
        top = 0
        for box in boxes(data, 0, size_bytes):
            top = box.end
        if top + 8 <= size_bytes:
            raise NeedMoreBytesError(top + 8)
        raise BrokenContainerError("no meta box")
    take(data, meta.start, meta.end - meta.start)
    try:
        return _items(data, meta)
    except (struct.error, IndexError, NeedMoreBytesError) as error:
        raise BrokenContainerError("meta box is cut off") from error


def _items(data: bytes, meta: Box) -> HeifItems:
    parts = {box.kind: box for box in boxes(data, meta.start + 4, meta.end)}
    types: dict[int, bytes] = {}
    primary = _primary_id(data, parts.get(b"pitm"))
    if b"iinf" in parts:
        types = dict(_item_types(data, parts[b"iinf"]))
    items = HeifItems(primary_type=types.get(primary, b""), types=frozenset(types.values()))
    if b"iprp" in parts:
        _properties(data, parts[b"iprp"], primary, items)
    exif_id = next((each for each, kind in types.items() if kind == b"Exif"), None)
    if exif_id is not None and b"iloc" in parts:
        items.exif = _location(data, parts[b"iloc"], exif_id)
    return items


def _primary_id(data: bytes, box: Box | None) -> int:
    if box is None:
        return -1
    wide = data[box.start] > 0
    return int.from_bytes(data[box.start + 4 : box.start + (8 if wide else 6)], "big")


def _item_types(data: bytes, box: Box) -> Iterator[tuple[int, bytes]]:
    first = box.start + (6 if data[box.start] == 0 else 8)
    for entry in boxes(data, first, box.end):
        if entry.kind != b"infe":
            continue
        version = data[entry.start]
        at = entry.start + 4
        wide = 4 if version >= 3 else 2
        kind, rest = b"", at + wide + 2
        if version >= 2:
            kind, rest = data[rest : rest + 4], rest + 4
            yield int.from_bytes(data[at : at + wide], "big"), kind
        _check_words(kind, data[rest : entry.end])


def _check_words(kind: bytes, words: bytes) -> None:
    """Look at an item's type, and at its name and content type where it has one.

    pi_heif 1.4.0 makes Python text of them unchecked, and what is no UTF-8 ends the process.
    """
    if not kind.isascii():
        raise BrokenContainerError(f"an item of the type {kind!r}")
    if kind in (b"", b"mime"):
        try:
            words.decode()
        except UnicodeDecodeError as error:
            raise BrokenContainerError(f"an item with the words {words[:80]!r}, which are not UTF-8") from error


def _properties(data: bytes, box: Box, primary: int, items: HeifItems) -> None:
    parts = {each.kind: each for each in boxes(data, box.start, box.end)}
    if b"ipco" not in parts or b"ipma" not in parts:
        return
    known = list(boxes(data, parts[b"ipco"].start, parts[b"ipco"].end))
    items.alpha = any(each.kind == b"auxC" and b":alpha" in data[each.start : each.end] for each in known) or any(
        each.kind == b"auxC" and b"auxid:1" in data[each.start : each.end] for each in known
    )
    order = []
    for index in _associations(data, parts[b"ipma"], primary):
        if 1 <= index <= len(known):
            each = known[index - 1]
            order.append(each.kind)
            items.properties.setdefault(each.kind, data[each.start : each.end])
    items.order = tuple(order)


def _associations(data: bytes, box: Box, item: int) -> Iterator[int]:
    version, flags = data[box.start], data[box.start + 3]
    id_bytes, index_bytes = (4 if version else 2), (2 if flags & 1 else 1)
    at = box.start + 8
    for _ in range(int.from_bytes(data[box.start + 4 : box.start + 8], "big")):
        if at >= box.end:
            return
        this = int.from_bytes(data[at : at + id_bytes], "big")
        count = data[at + id_bytes]
        at += id_bytes + 1
        for _ in range(count):
            if this == item:
                essential = 0x8000 if index_bytes == 2 else 0x80
                yield int.from_bytes(data[at : at + index_bytes], "big") & ~essential
            at += index_bytes


def _location(data: bytes, box: Box, item: int) -> tuple[int, int] | None:
    """First extent of an item that lies in the file itself (construction method 0)."""
    version = data[box.start]
    sizes = data[box.start + 4], data[box.start + 5]
    offset_bytes, length_bytes = sizes[0] >> 4, sizes[0] & 15
    base_bytes, index_bytes = sizes[1] >> 4, sizes[1] & 15 if version else 0
    id_bytes = 4 if version == 2 else 2
    at = box.start + 6
    count = int.from_bytes(data[at : at + id_bytes], "big")
    at += id_bytes
    for _ in range(count):
        if at >= box.end:
            return None
        this = int.from_bytes(data[at : at + id_bytes], "big")
        at += id_bytes
        method = 0
        if version:
            method = data[at + 1] & 15
            at += 2
        at += 2
        base = int.from_bytes(data[at : at + base_bytes], "big")
        at += base_bytes
        extents = int.from_bytes(data[at : at + 2], "big")
        at += 2
        if this == item and extents and method == 0:
            at += index_bytes
            offset = int.from_bytes(data[at : at + offset_bytes], "big")
            length = int.from_bytes(data[at + offset_bytes : at + offset_bytes + length_bytes], "big")
            return base + offset, length
        at += extents * (index_bytes + offset_bytes + length_bytes)
    return None


# TIFF ---------------------------------------------------------------------------------------------------------------

_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MAX_ENTRIES = 4096
_MAX_VALUE_BYTES = 1 << 20

Value = bytes | tuple[int, ...] | tuple[tuple[int, int], ...]
"""Text and undefined data as bytes, integers as a tuple, rationals as pairs (numerator, denominator)."""


class Tiff:
    """A TIFF structure, be it a file or an EXIF block.

    Raises:
        NeedMoreBytesError, BrokenContainerError: at construction, when `data` does not start like TIFF.
    """

    def __init__(self, data: bytes) -> None:
        head = take(data, 0, 8)
        if head[:2] not in (b"II", b"MM"):
            raise BrokenContainerError("no TIFF byte order")
        self._data = data
        self._order = "<" if head[:2] == b"II" else ">"
        self.big = self._number(2, 2) == 43
        """BigTIFF, with offsets of eight bytes."""
        if not self.big and self._number(2, 2) != 42:
            raise BrokenContainerError("no TIFF version")
        self.first = self._number(8, 8) if self.big else self._number(4, 4)
        """Offset of the first directory."""

    def directory(self, offset: int) -> tuple[dict[int, Value], int]:
        """Tags at `offset` that can be read, and the offset of the next directory (0 at the end).

        Raises:
            NeedMoreBytesError: the directory itself, not a value, goes on after the data.
            BrokenContainerError: more entries than any real file has.
        """
        count_bytes, entry_bytes, link_bytes = (8, 20, 8) if self.big else (2, 12, 4)
        count = self._number(offset, count_bytes)
        if count > _MAX_ENTRIES:
            raise BrokenContainerError(f"TIFF directory with {count} entries")
        start = offset + count_bytes
        take(self._data, start, count * entry_bytes)
        tags: dict[int, Value] = {}
        for at in range(start, start + count * entry_bytes, entry_bytes):
            value = self._value(at)
            if value is not None:
                tags[self._number(at, 2)] = value
        try:
            link = self._number(start + count * entry_bytes, link_bytes)
        except NeedMoreBytesError:  # EXIF blocks often end without the link
            link = 0
        return tags, link

    def _number(self, at: int, count: int) -> int:
        return int.from_bytes(take(self._data, at, count), "little" if self._order == "<" else "big")

    def _value(self, at: int) -> Value | None:
        kind = self._number(at + 2, 2)
        count = self._number(at + 4, 8 if self.big else 4)
        inline_at, inline_bytes = (at + 12, 8) if self.big else (at + 8, 4)
        length = _UNITS.get(kind, 0) * count
        if not 0 < length <= _MAX_VALUE_BYTES:
            return None
        start = inline_at if length <= inline_bytes else self._number(inline_at, inline_bytes)
        raw = self._data[start : start + length]
        if len(raw) < length:
            return None
        if kind in (2, 7):
            return raw
        if kind in _INTEGERS:
            return struct.unpack(f"{self._order}{count}{_INTEGERS[kind]}", raw)
        if kind in (5, 10):
            flat = struct.unpack(f"{self._order}{2 * count}{'I' if kind == 5 else 'i'}", raw)
            return tuple(zip(flat[::2], flat[1::2], strict=True))
        return None


def whole(tags: dict[int, Value], tag: int, default: int = 0) -> int:
    """First integer of a tag, or `default` where it has none."""
    value = tags.get(tag, ())
    if isinstance(value, tuple) and value and isinstance(value[0], int):
        return value[0]
    return default


# Where EXIF lies ----------------------------------------------------------------------------------------------------


def find_exif(data: bytes) -> bytes:
    """The EXIF block (a TIFF structure) of a picture in any container; empty where there is none in `data`."""
    try:
        return _find_exif(data)
    except (NeedMoreBytesError, BrokenContainerError):
        return b""


def _find_exif(data: bytes) -> bytes:
    if data[:3] == b"\xff\xd8\xff":
        for segment in jpeg_segments(data):
            if segment.marker == 0xE1 and data[segment.start : segment.start + 6] == b"Exif\x00\x00":
                return data[segment.start + 6 : segment.end]
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        for chunk in png_chunks(data):
            if chunk.kind == b"eXIf":
                return data[chunk.start : chunk.end]
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        for chunk in riff_chunks(data):
            if chunk.kind == b"EXIF":
                return data[chunk.start : chunk.end].removeprefix(b"Exif\x00\x00")
    elif data[4:8] == b"ftyp":
        return _heif_exif(data)
    elif data[:2] in (b"II", b"MM"):
        return data
    return b""


def _heif_exif(data: bytes) -> bytes:
    where = heif_items(data, 1 << 62).exif
    if where is None:
        return b""
    block = data[where[0] : where[0] + where[1]]
    # ISO/IEC 23008-12 A.2.1: four bytes say how far after them the TIFF header starts.
    return block[4 + int.from_bytes(block[:4], "big") :]
