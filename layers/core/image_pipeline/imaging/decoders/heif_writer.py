"""The primary picture as a file of its own, which is all that a decoder is given.

libheif and libavif would otherwise read the whole upload in their own way: choose another of two contradicting boxes,
stumble over broken metadata, end the process over a name that is not UTF-8, or refuse what they could show. The new
file has the items that admission has judged, and of their properties those that decoding needs. Cropping and turning
are left out, as they are done afterwards.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from image_pipeline.imaging.formats.heif_picture import AV1, Item

_DECODING = frozenset({b"av1C", b"hvcC", b"a1op", b"a1lx", b"lsel"})
_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


def write(item: Item) -> bytes:
    """A file with this item as its primary one. All of the source must be in memory."""
    items = list(_numbered(item))
    numbers = {id(each): number for number, each in enumerate(items, 1)}
    brand = b"avif" if next(item.coded()).kind == AV1 else b"heic"
    head = _box(b"ftyp", brand, bytes(4), brand, b"mif1", b"miaf")
    payloads = [each.data.data for each in items]
    lengths = [len(payload) for payload in payloads]
    tables = (
        _full(b"hdlr", bytes(4), b"pict", bytes(13)),
        _full(b"pitm", struct.pack(">H", 1)),
        _full(b"iinf", struct.pack(">H", len(items)), *(_entry(each, numbers) for each in items)),
        _full(b"iref", *(part for each in items for part in _references(each, numbers))),
        _properties(items),
    )
    size = len(head) + 12 + sum(map(len, tables)) + len(_locations(lengths, 0))
    meta = _full(b"meta", *tables, _locations(lengths, size + 8))
    return b"".join((head, meta, struct.pack(">I", 8 + sum(lengths)) + b"mdat", *payloads))


def _box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _numbered(item: Item) -> Iterator[Item]:
    yield item
    for part in item.parts:
        yield from _numbered(part)
    if item.alpha is not None:
        yield from _numbered(item.alpha)


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
    """Properties that items share are written once."""
    known: dict[bytes, int] = {}
    alphas = {id(item.alpha) for item in items}
    rows = []
    for item in items:
        wanted = [each for each in item.properties if each.kind in _DECODING]
        bodies = [_full(b"ispe", struct.pack(">II", *item.size))]
        bodies += (_box(each.kind, each.body.data) for each in wanted)
        bodies += (_box(b"colr", kind, body.data) for kind, body in item.colours() if kind == b"nclx")
        if id(item) in alphas:
            bodies.append(_full(b"auxC", _ALPHA))
        indices = [known.setdefault(body, len(known) + 1) | _essential(body) for body in bodies]
        rows.append(struct.pack(">B", len(indices)) + struct.pack(f">{len(indices)}H", *indices))
    associations = (struct.pack(">H", number) + row for number, row in enumerate(rows, 1))
    table = _full(b"ipma", struct.pack(">I", len(items)), *associations, flags=1)
    return _box(b"iprp", _box(b"ipco", *known), table)


def _essential(body: bytes) -> int:
    return 0x8000 if body[4:8] in (b"av1C", b"hvcC", b"a1op", b"lsel") else 0


def _locations(lengths: list[int], start: int) -> bytes:
    """Where each item's data is, in the order of the items from `start` on."""
    rows = []
    for number, length in enumerate(lengths, 1):
        rows.append(struct.pack(">HHHII", number, 0, 1, start, length))
        start += length
    return _full(b"iloc", b"\x44\0", struct.pack(">H", len(lengths)), *rows)
