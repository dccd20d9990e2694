"""Write the primary image as a new file in memory, which is all that a decoder gets.

libheif and libavif would read the whole upload in their own way: choose another of two contradicting boxes, fail on
broken metadata, end the process on a name that is not UTF-8, or refuse an image that they could show. The new file
contains the items that admission checked, with the properties that decoding needs. It has no crops and rotations,
because these are applied after decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from image_pipeline.imaging.formats.heif_image import AV1, Item

_DECODING = frozenset({b"av1C", b"hvcC", b"a1op", b"a1lx", b"lsel"})
_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


def write(item: Item) -> bytes:
    """Write a file with this primary item. The whole source must be in memory."""
    items = list(_with_parts(item))
    numbers = {id(entry): number for number, entry in enumerate(items, 1)}
    brand = b"avif" if next(item.coded()).kind == AV1 else b"heic"
    head = _box(b"ftyp", brand, bytes(4), brand, b"mif1", b"miaf")
    payloads = [entry.data.data for entry in items]
    lengths = [len(payload) for payload in payloads]
    tables = (
        _full(b"hdlr", bytes(4), b"pict", bytes(13)),
        _full(b"pitm", struct.pack(">H", 1)),
        _full(b"iinf", struct.pack(">H", len(items)), *(_entry(entry, numbers) for entry in items)),
        _full(b"iref", *(reference for entry in items for reference in _references(entry, numbers))),
        _properties(items),
    )
    size = len(head) + 12 + sum(map(len, tables)) + len(_locations(lengths, 0))
    meta = _full(b"meta", *tables, _locations(lengths, size + 8))
    return b"".join((head, meta, struct.pack(">I", 8 + sum(lengths)) + b"mdat", *payloads))


def _box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _with_parts(item: Item) -> Iterator[Item]:
    """Yield an item, its parts and their alpha, in the order of their numbers in the new file."""
    yield item
    for part in item.parts:
        yield from _with_parts(part)
    if item.alpha is not None:
        yield from _with_parts(item.alpha)


def _entry(item: Item, numbers: dict[int, int]) -> bytes:
    return _box(b"infe", struct.pack(">IHH", 2 << 24, numbers[id(item)], 0), item.kind, b"\0")


def _references(item: Item, numbers: dict[int, int]) -> Iterator[bytes]:
    if item.parts:
        yield _reference(b"dimg", numbers[id(item)], *(numbers[id(part)] for part in item.parts))
    if item.alpha is not None:
        yield _reference(b"auxl", numbers[id(item.alpha)], numbers[id(item)])
        if item.premultiplied:
            yield _reference(b"prem", numbers[id(item)], numbers[id(item.alpha)])


def _reference(kind: bytes, source: int, *targets: int) -> bytes:
    return _box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))


def _properties(items: list[Item]) -> bytes:
    """Write the `iprp` box. A property that several items share is written once."""
    indices_by_body: dict[bytes, int] = {}
    alphas = {id(item.alpha) for item in items}
    rows = []
    for item in items:
        bodies = [_full(b"ispe", struct.pack(">II", *item.size))]
        bodies += (_box(entry.kind, entry.body.data) for entry in item.properties if entry.kind in _DECODING)
        bodies += (_box(b"colr", kind, body.data) for kind, body in item.colours() if kind == b"nclx")
        if id(item) in alphas:
            bodies.append(_full(b"auxC", _ALPHA))
        indices = [indices_by_body.setdefault(body, len(indices_by_body) + 1) | _essential_bit(body) for body in bodies]
        rows.append(struct.pack(">B", len(indices)) + struct.pack(f">{len(indices)}H", *indices))
    associations = (struct.pack(">H", number) + row for number, row in enumerate(rows, 1))
    table = _full(b"ipma", struct.pack(">I", len(items)), *associations, flags=1)
    return _box(b"iprp", _box(b"ipco", *indices_by_body), table)


def _essential_bit(body: bytes) -> int:
    return 0x8000 if body[4:8] in (b"av1C", b"hvcC", b"a1op", b"lsel") else 0


def _locations(lengths: list[int], start: int) -> bytes:
    """Write the `iloc` box: the data of the items follow each other from `start` on."""
    rows = []
    for number, length in enumerate(lengths, 1):
        rows.append(struct.pack(">HHHII", number, 0, 1, start, length))
        start += length
    return _full(b"iloc", b"\x44\0", struct.pack(">H", len(lengths)), *rows)
