"""Read the items of HEIF and AVIF from the `meta` box (ISO/IEC 14496-12, 8.11, and 23008-12).

Each table is scanned once, to detect duplicates and to record the offsets of its entries. An entry is read only when it
is needed, so that a table of thousands of items costs no more than the entries in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.boxes import IsoBox, boxes, children
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_IN_META = frozenset({b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"meta"})
_REFERENCES = (b"dimg", b"auxl", b"prem", b"cdsc")
_MOST_TABLES = 8
"""Largest number of `ipma` boxes of a file. Each of the four combinations of version and flags may have one."""
_EXTENT_COST = 256
"""Bytes that are charged for each extent of an item, because its position is kept in memory."""
_ALL, _ONE_ROW = 4096, 32
"""Bytes of a table that are read at once: to scan all of it, and to read one entry."""
_MEMORY = 100
"""Memory for recording an entry, in bytes; charged to the budget like bytes that are read."""
_MAIN = frozenset({b"meta", b"moov", b"mini"})
_IN_FILE, _IN_IDAT, _IN_ITEM = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an item, for example its size."""

    kind: bytes
    """Four letters."""
    body: Reader
    """The content after the size and the kind of the box."""
    essential: bool
    """Whether a reader that does not support the property must not show the item."""


class HeifItems:
    """The items of a file.

    Args:
        reader: the file.
        meta: the body of its `meta` box.

    Raises:
        BrokenContainerError: at construction and by every method, if a table is cut off or invalid.
    """

    def __init__(self, reader: Reader, meta: Reader) -> None:
        self._reader = reader
        tables = children(meta, 4, _IN_META)
        if b"meta" in tables:
            raise BrokenContainerError("it has two meta boxes")
        if b"hdlr" in tables and tables[b"hdlr"].body.take(8, 4) != b"pict":
            raise BrokenContainerError("its meta box does not describe images")
        self.primary = _primary(tables.get(b"pitm"))
        """Number of the primary item; None if the file has none."""
        self.kinds = _kinds(tables.get(b"iinf"))
        """Four letters, by item number."""
        self._iref = tables[b"iref"].body if b"iref" in tables else None
        self._number_bytes = 4 if self._iref is not None and self._iref.number(0, 1) else 2
        self._references = _references(self._iref, self._number_bytes)
        self._locations = _Locations(tables.get(b"iloc"))
        self._idat = tables[b"idat"].body if b"idat" in tables else None
        self._properties = _Properties(tables.get(b"iprp"))
        self._auxiliaries: dict[int, list[int]] | None = None

    def targets(self, kind: bytes, item: int) -> Iterator[int]:
        """Yield the items to which an item has references of a kind, in order."""
        start = self._references[kind].get(item)
        if start is None or self._iref is None:
            return
        entry = next(boxes(self._iref, start)).body
        width = self._number_bytes
        numbers = entry.take(width + 2, width * entry.number(width, 2))
        for at in range(0, len(numbers), width):
            yield int.from_bytes(numbers[at : at + width], "big")

    def auxiliaries(self, item: int) -> list[int]:
        """Return the items that are auxiliary images of an item, for example its alpha."""
        if self._auxiliaries is None:
            self._auxiliaries = {}
            for source in self._references[b"auxl"]:
                for target in self.targets(b"auxl", source):
                    self._reader.budget.spend(2 * _MEMORY)
                    self._auxiliaries.setdefault(target, []).append(source)
        return self._auxiliaries.get(item, [])

    def properties(self, item: int) -> tuple[Property, ...]:
        """Return the properties of an item, in the order in which they apply."""
        return tuple(self._properties.of(item))

    def data(self, item: int) -> Reader:
        """Return the bytes of an item.

        Raises:
            UnsupportedFormatError: the item is a part of another item.
        """
        method, extents = self._locations.of(item)
        if method == _IN_ITEM:
            raise UnsupportedFormatError(
                f"Item {item} of the file is a part of another item (construction method 2), which is not supported.",
                "Export the image again as JPEG, PNG, plain HEIC or AVIF and upload it.",
            )
        source = self._reader if method == _IN_FILE else self._idat
        if method not in (_IN_FILE, _IN_IDAT) or source is None:
            raise BrokenContainerError(f"item {item} has no location")
        if len(extents) == 1 and extents[0][1] == 0:  # up to the end (ISO/IEC 14496-12, 8.11.3)
            extents = [(extents[0][0], max(0, source.size - extents[0][0]))]
        if sum(length for _, length in extents) > source.size:
            raise BrokenContainerError(f"item {item} repeats the same bytes")
        return source.joined(extents)

    def exif(self) -> Reader | None:
        """Return the Exif item of the primary image, else the first Exif item; None without a readable one."""
        items = [item for item, kind in self.kinds.items() if kind == b"Exif"]
        try:
            items_of_primary = (item for item in items if self.primary in tuple(self.targets(b"cdsc", item)))
            item = next(items_of_primary, items[0] if items else None)
            return None if item is None else self.data(item)
        except (BrokenContainerError, UnsupportedFormatError):
            return None


def heif_items(reader: Reader) -> HeifItems | None:
    """Read the items of a file; None if it has no `meta` box.

    Raises:
        BrokenContainerError
    """
    return reader.once(_items)


def _items(reader: Reader) -> HeifItems | None:
    meta = main_boxes(reader).get(b"meta")
    return None if meta is None else HeifItems(reader, meta)


def main_boxes(reader: Reader) -> dict[bytes, Reader]:
    """Return the bodies of the boxes `meta`, `moov` and `mini` of a file, if it has them.

    A file that is fetched in parts is read up to the `mdat` box after its `meta` box. A file in memory is read to its
    end, to detect a second `meta` box. Bytes after the last box are ignored.

    Raises:
        BrokenContainerError: a kind occurs twice, or the file is cut off before the first of these boxes.
    """
    return reader.once(_main_boxes)


def _main_boxes(reader: Reader) -> dict[bytes, Reader]:
    bodies: dict[bytes, Reader] = {}
    try:
        for box in boxes(reader):
            if box.kind in bodies:
                raise BrokenContainerError(f"it has two {box.kind.decode('latin-1')} boxes")
            if box.kind in _MAIN:
                bodies[box.kind] = box.body
            elif box.kind == b"mdat" and b"meta" in bodies and not reader.in_memory:
                break
    except CutOffError:
        if not bodies:
            raise
    return bodies


def _primary(box: IsoBox | None) -> int | None:
    if box is None:
        return None
    return box.body.number(4, 4 if box.body.number(0, 1) else 2)


def _kinds(box: IsoBox | None) -> dict[int, bytes]:
    if box is None:
        return {}
    kinds: dict[int, bytes] = {}
    for entry in boxes(box.body, 6 if box.body.number(0, 1) == 0 else 8):
        head = entry.body.up_to(0, 14)
        if entry.kind != b"infe" or head[:1] < b"\2":  # older versions do not describe images
            continue
        number_end = 6 if head[0] == 2 else 8
        item = int.from_bytes(head[4:number_end], "big")
        kind = head[number_end + 2 : number_end + 6]
        if item in kinds:
            raise BrokenContainerError(f"it has two items with the number {item}")
        kinds[item] = kind
    return kinds


def _references(table: Reader | None, width: int) -> dict[bytes, dict[int, int]]:
    """Return the offset of each reference in an `iref` box, by its kind and its source item."""
    rows: dict[bytes, dict[int, int]] = {kind: {} for kind in _REFERENCES}
    for entry in boxes(table, 4) if table is not None else ():
        if entry.kind not in rows:
            continue
        source = entry.body.number(0, width)
        if source in rows[entry.kind]:
            raise BrokenContainerError(f"item {source} has two {entry.kind.decode()} reference boxes")
        rows[entry.kind][source] = entry.start
    return rows


class _Cursor:
    """Reads consecutive numbers of a table, which it fetches in pieces."""

    def __init__(self, table: Reader, at: int, ahead: int) -> None:
        self._table = table
        self._ahead = ahead
        self._piece = b""
        self._start = at
        self.at = at

    def number(self, width: int) -> int:
        """Read the next unsigned integer of `width` bytes."""
        first = self.at - self._start
        if first < 0 or first + width > len(self._piece):
            self._piece = self._table.up_to(self.at, self._ahead)
            self._start = self.at
            first = 0
            if width > len(self._piece):
                raise CutOffError("a table of its items is cut off")
        self.at += width
        return int.from_bytes(self._piece[first : first + width], "big")


class _Locations:
    """The `iloc` box."""

    def __init__(self, box: IsoBox | None) -> None:
        self._rows: dict[int, int] = {}
        if box is None:
            return
        self._table = box.body
        cursor = _Cursor(self._table, 0, _ALL)
        self._version = cursor.number(4) >> 24
        sizes = cursor.number(2)
        self._offset_bytes, self._length_bytes, self._base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        self._index_bytes = sizes & 15 if self._version else 0
        id_bytes = 4 if self._version == 2 else 2
        for _ in range(cursor.number(id_bytes)):
            self._table.budget.spend(_MEMORY)
            item = cursor.number(id_bytes)
            if item in self._rows:
                raise BrokenContainerError(f"item {item} has two locations")
            self._rows[item] = cursor.at
            self._head(cursor)
            extents = cursor.number(2)
            cursor.at += extents * (self._index_bytes + self._offset_bytes + self._length_bytes)

    def _head(self, cursor: _Cursor) -> tuple[int, int]:
        """Read (construction method, base offset), which precede the number of extents."""
        method = cursor.number(2) & 15 if self._version else _IN_FILE
        cursor.number(2)  # a reference to another file, which image readers ignore
        return method, cursor.number(self._base_bytes)

    def of(self, item: int) -> tuple[int, list[tuple[int, int]]]:
        """Return (construction method, [(start, length) of each extent])."""
        if item not in self._rows:
            raise BrokenContainerError(f"item {item} has no location")
        cursor = _Cursor(self._table, self._rows[item], _ONE_ROW)
        method, base = self._head(cursor)
        extents = []
        for _ in range(cursor.number(2)):
            self._table.budget.spend(_EXTENT_COST)
            cursor.number(self._index_bytes)
            start = base + cursor.number(self._offset_bytes)
            extents.append((start, cursor.number(self._length_bytes)))
        return method, extents


class _Properties:
    """The `iprp` box: properties, and their associations with items."""

    def __init__(self, box: IsoBox | None) -> None:
        self._tables: list[tuple[Reader, int, dict[int, int]]] = []
        """(body, bytes of an association, offset of the row by item) of each `ipma` box."""
        self._starts: list[int] = []
        """Offset of each property in the `ipco` box."""
        self._cache: dict[int, IsoBox] = {}
        """Properties by number, so that items share them."""
        if box is None:
            return
        containers = children(box.body, 0, frozenset({b"ipco"}))
        if b"ipco" in containers:
            self._container = containers[b"ipco"].body
            self._starts = [entry.start for entry in boxes(self._container)]
        for part in boxes(box.body):
            if part.kind == b"ipma":
                self._add(part.body)

    def _add(self, body: Reader) -> None:
        """Record the rows of one `ipma` box; a file may have several, each for different items."""
        if len(self._tables) == _MOST_TABLES:
            raise BrokenContainerError(f"it has more than {_MOST_TABLES} ipma boxes")
        cursor = _Cursor(body, 0, _ALL)
        head = cursor.number(4)
        id_bytes = 4 if head >> 24 else 2
        index_bytes = 2 if head & 1 else 1
        rows: dict[int, int] = {}
        self._tables.append((body, index_bytes, rows))
        for _ in range(cursor.number(4)):
            body.budget.spend(_MEMORY)
            item = cursor.number(id_bytes)
            if any(item in earlier_rows for *_, earlier_rows in self._tables):
                raise BrokenContainerError(f"item {item} has two lists of properties")
            rows[item] = cursor.at
            count = cursor.number(1)
            cursor.at += count * index_bytes

    def of(self, item: int) -> Iterator[Property]:
        for body, index_bytes, rows in self._tables:
            if item not in rows:
                continue
            essential_bit = 0x8000 if index_bytes == 2 else 0x80
            cursor = _Cursor(body, rows[item], _ONE_ROW)
            for _ in range(cursor.number(1)):
                association = cursor.number(index_bytes)
                index = association & ~essential_bit
                if index:  # 0 means no property
                    box = self._property(index)
                    yield Property(box.kind, box.body, bool(association & essential_bit))

    def _property(self, index: int) -> IsoBox:
        if index > len(self._starts):
            raise BrokenContainerError(f"an item refers to property {index}, but there are only {len(self._starts)}")
        if index not in self._cache:
            self._cache[index] = next(boxes(self._container, self._starts[index - 1]))
        return self._cache[index]
