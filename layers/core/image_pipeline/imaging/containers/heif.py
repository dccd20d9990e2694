"""Boxes of ISO base media files and the items of HEIF and AVIF (ISO/IEC 14496-12 and 23008-12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader


@dataclass(frozen=True)
class Box:
    """One box: `kind`, and the payload between `start` and `end`."""

    kind: bytes
    start: int
    end: int


def boxes(reader: Reader, start: int, end: int) -> Iterator[Box]:
    """Boxes between two offsets whose head lies inside the file.

    Raises:
        BrokenContainerError
    """
    at = start
    while at + 8 <= min(end, reader.size):
        size, head = reader.number(at, 4), 8
        kind = reader.take(at + 4, 4)
        if size == 1:
            size, head = reader.number(at + 8, 8), 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise BrokenContainerError(f"box {kind!r} of {size} bytes at byte {at}")
        yield Box(kind, at + head, at + size)
        at += size


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


def heif_items(reader: Reader) -> HeifItems:
    """Read the `meta` box.

    Raises:
        BrokenContainerError
    """
    meta = next((box for box in boxes(reader, 0, reader.size) if box.kind == b"meta"), None)
    if meta is None:
        raise BrokenContainerError("no meta box")
    try:
        return _items(reader, meta)
    except IndexError as error:
        raise CutOffError("its meta box is cut off") from error


def _items(reader: Reader, meta: Box) -> HeifItems:
    parts = {box.kind: box for box in boxes(reader, meta.start + 4, meta.end)}
    types: dict[int, bytes] = {}
    primary = _primary_id(reader, parts.get(b"pitm"))
    if b"iinf" in parts:
        types = dict(_item_types(reader, parts[b"iinf"]))
    items = HeifItems(primary_type=types.get(primary, b""), types=frozenset(types.values()))
    if b"iprp" in parts:
        _properties(reader, parts[b"iprp"], primary, items)
    exif_id = next((item for item, kind in types.items() if kind == b"Exif"), None)
    if exif_id is not None and b"iloc" in parts:
        items.exif = _location(reader, parts[b"iloc"], exif_id)
    return items


def _primary_id(reader: Reader, box: Box | None) -> int:
    if box is None:
        return -1
    version = reader.number(box.start, 1)
    return reader.number(box.start + 4, 4 if version else 2)


def _item_types(reader: Reader, box: Box) -> Iterator[tuple[int, bytes]]:
    first = box.start + (6 if reader.number(box.start, 1) == 0 else 8)
    for entry in boxes(reader, first, box.end):
        if entry.kind != b"infe":
            continue
        data = reader.take(entry.start, entry.end - entry.start)
        wide = 4 if data[0] >= 3 else 2
        kind, words = b"", data[4 + wide + 2 :]
        if data[0] >= 2:
            kind, words = words[:4], words[4:]
            yield int.from_bytes(data[4 : 4 + wide], "big"), kind
        _check_words(kind, words)


def _check_words(kind: bytes, words: bytes) -> None:
    """Look at an item's type, and at its name and content type where it has one.

    pi_heif 1.4.0 makes Python text of them unchecked, and bytes that are not UTF-8 end the process.
    """
    if not kind.isascii():
        raise BrokenContainerError(f"an item of the type {kind!r}")
    if kind in (b"", b"mime"):
        try:
            words.decode()
        except UnicodeDecodeError as error:
            raise BrokenContainerError(f"an item with the words {words[:80]!r}, which are not UTF-8") from error


def _properties(reader: Reader, box: Box, primary: int, items: HeifItems) -> None:
    parts = {part.kind: part for part in boxes(reader, box.start, box.end)}
    if b"ipco" not in parts or b"ipma" not in parts:
        return
    known = list(boxes(reader, parts[b"ipco"].start, parts[b"ipco"].end))
    for prop in known:
        if prop.kind == b"auxC":
            name = reader.take(prop.start, min(256, prop.end - prop.start))
            items.alpha = items.alpha or b":alpha" in name or b"auxid:1" in name
    order = []
    for index in _associations(reader, parts[b"ipma"], primary):
        if 1 <= index <= len(known):
            prop = known[index - 1]
            order.append(prop.kind)
            items.properties.setdefault(prop.kind, reader.take(prop.start, prop.end - prop.start))
    items.order = tuple(order)


def _associations(reader: Reader, box: Box, item: int) -> Iterator[int]:
    data = reader.take(box.start, box.end - box.start)
    version, flags = data[0], data[3]
    id_bytes, index_bytes = (4 if version else 2), (2 if flags & 1 else 1)
    at = 8
    for _ in range(int.from_bytes(data[4:8], "big")):
        if at >= len(data):
            return
        this = int.from_bytes(data[at : at + id_bytes], "big")
        count = data[at + id_bytes]
        at += id_bytes + 1
        for _ in range(count):
            if this == item:
                essential = 0x8000 if index_bytes == 2 else 0x80
                yield int.from_bytes(data[at : at + index_bytes], "big") & ~essential
            at += index_bytes


def _location(reader: Reader, box: Box, item: int) -> tuple[int, int] | None:
    """First extent of an item that lies in the file itself (construction method 0)."""
    data = reader.take(box.start, box.end - box.start)
    version = data[0]
    offset_bytes, length_bytes = data[4] >> 4, data[4] & 15
    base_bytes, index_bytes = data[5] >> 4, data[5] & 15 if version else 0
    id_bytes = 4 if version == 2 else 2
    at = 6
    count = int.from_bytes(data[at : at + id_bytes], "big")
    at += id_bytes
    for _ in range(count):
        if at >= len(data):
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
