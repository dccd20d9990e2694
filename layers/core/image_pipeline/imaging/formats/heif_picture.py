"""The primary picture of an HEIF or AVIF file: the coded items that it is made of, and how they are put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.heif import HeifItems, Property, heif_items, main_boxes
from image_pipeline.imaging.containers.tracks import Track, picture_tracks
from image_pipeline.imaging.formats.placement import STEPS, Placement
from image_pipeline.imaging.reader import BrokenContainerError, Reader

AV1, HEVC = b"av01", b"hvc1"
_CONFIGURATIONS = {AV1: b"av1C", HEVC: b"hvcC"}
"""The property that a decoder needs, by kind of coded picture."""

_OTHER_KINDS = {
    b"avc1": "AVC (H.264)", b"vvc1": "VVC (H.266)", b"evc1": "EVC", b"lhv1": "layered HEVC", b"hvt1": "HEVC tiles",
    b"j2k1": "JPEG 2000", b"jpeg": "JPEG", b"jxl1": "JPEG XL", b"jxs1": "JPEG XS", b"unci": "uncompressed pixels",
    b"mski": "a mask", b"tili": "a tiled image", b"tmap": "a tone-mapped picture", b"sato": "a sample transform",
    b"vp08": "VP8", b"vp09": "VP9",
}  # fmt: skip
"""Kinds of pictures without a decoder here, in words."""

_UNDERSTOOD = frozenset(
    {b"ispe", b"pixi", b"colr", b"pasp", b"auxC", b"av1C", b"hvcC", *STEPS}  # how to decode and show
    | {b"clli", b"mdcv", b"cclv", b"amve", b"reve", b"ndwt"}  # of HDR displays
    | {b"udes", b"altt", b"aebr", b"afbr", b"wbbr", b"dobr", b"crtt", b"mdft", b"subs"}  # for people and editors
)
_UNDERSTOOD_OF_AV1 = frozenset({b"a1op", b"a1lx", b"lsel"})

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_MOST_COPIES = 8
_MOST_DERIVATIONS = 2
"""An overlay of grids of coded pictures."""
_HINT = "Export the picture again as JPEG, PNG, plain HEIC or AVIF and upload it."


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of the file with everything that it is made of."""

    number: int
    kind: bytes
    """`av01`, `hvc1`, `grid` or `iovl`."""
    size: tuple[int, int]
    """(width, height) in pixels, as stored."""
    properties: tuple[Property, ...]
    data: Reader
    parts: tuple[Item, ...] = ()
    """Tiles of a grid, row by row; layers of an overlay from the lowest on."""
    alpha: Item | None = None
    premultiplied: bool = False
    """Whether colours are multiplied by alpha."""

    def body_of(self, kind: bytes) -> Reader | None:
        """The body of a property."""
        return next((each.body for each in self.properties if each.kind == kind), None)

    def colours(self) -> Iterator[tuple[bytes, Reader]]:
        """(type, data) of each `colr` property: `prof` or `rICC` has an ICC profile, `nclx` code points."""
        for each in self.properties:
            if each.kind == b"colr":
                yield each.body.take(0, 4), each.body.part(4, each.body.size - 4)

    @property
    def transparent(self) -> bool:
        """Whether it is decoded with alpha."""
        return self.alpha is not None or (self.kind == b"grid" and any(part.alpha for part in self.parts))

    def coded(self) -> Iterator[Item]:
        """The coded pictures in it, without those for alpha."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.coded()

    def alphas(self) -> Iterator[Item]:
        """The coded pictures for alpha in it."""
        if self.alpha is not None:
            yield from self.alpha.coded()
        for part in self.parts:
            yield from part.alphas()


@dataclass(frozen=True)
class Picture:
    """The primary picture."""

    item: Item
    placement: Placement
    """What is shown of its stored pixels."""
    frames: int = 1
    """Pictures of the sequence in the file; 1 where there is none."""

    @property
    def codec(self) -> bytes:
        """`av01` or `hvc1`."""
        return next(self.item.coded()).kind


def read_picture(reader: Reader) -> Picture:
    """Find the primary picture and all that belongs to it; no coded data is read.

    The primary item is the picture, also of a file that has a sequence besides. A sequence that names no primary item
    is represented by its first picture.

    Raises:
        BrokenContainerError: it is missing or contradicts itself.
        UnsupportedFormatError: it is of a kind that cannot be decoded.
    """
    return reader.once(_read_picture)


def _read_picture(reader: Reader) -> Picture:
    main = main_boxes(reader)
    tracks = list(_tracks(main.get(b"moov")))
    frames = max((track.samples for track in tracks if track.handler == b"pict"), default=1)
    items = heif_items(reader)
    if items is not None and items.primary is not None:
        item, placement = _primary_item(items, items.primary)
    elif tracks:
        item = _first_of_sequence(reader, tracks)
        placement = Placement(0, 0, *item.size)
    elif b"mini" in main:
        raise UnsupportedFormatError(
            "The content is a low-overhead image file (a mini box, brand mif3), which is not supported.", _HINT
        )
    elif b"moov" in main:
        raise UnsupportedFormatError(
            "The content is a video without a still picture.", "Export one frame as JPEG or PNG and upload it."
        )
    else:
        raise BrokenContainerError("it names no primary picture" if items else "no meta box")
    if len({each.kind for each in (*item.coded(), *item.alphas())}) > 1:
        raise UnsupportedFormatError("The picture mixes AV1 and HEVC, which is not supported.", _HINT)
    return Picture(item, placement, max(1, frames))


def _primary_item(items: HeifItems, primary: int) -> tuple[Item, Placement]:
    """The item that is shown, which copies (`iden`) may stand before, and where all their steps place it."""
    copies: list[int] = []
    number = primary
    while items.kinds.get(number) == b"iden" and len(copies) < _MOST_COPIES:
        copies.append(number)
        number = _only(tuple(items.targets(b"dimg", number)))
    item = _item(items, number, alpha_of=(primary, number))
    placement = _placed(Placement(0, 0, *item.size), item.properties)
    for copy in reversed(copies):
        properties = _properties(items, copy)
        if _size(properties) != placement.shown_size:
            raise BrokenContainerError(_two_sizes(_size(properties), placement.shown_size))
        placement = _placed(placement, properties)
    return item, placement


def _placed(placement: Placement, properties: tuple[Property, ...]) -> Placement:
    for each in properties:
        if each.kind in STEPS:
            placement = placement.then(each)
    return placement


def _tracks(moov: Reader | None) -> Iterator[Track]:
    """The tracks of pictures that can be read; others do not matter where there is a primary item."""
    if moov is not None:
        with suppress(BrokenContainerError):
            yield from picture_tracks(moov)


def _first_of_sequence(reader: Reader, tracks: list[Track]) -> Item:
    track = next((each for each in tracks if each.handler == b"pict"), tracks[0])
    item = _item_of_track(reader, track)
    alpha = next((each for each in tracks if track.number in each.auxiliary_of), None)
    return item if alpha is None else _with_alpha_item(item, _item_of_track(reader, alpha))


def _item_of_track(reader: Reader, track: Track) -> Item:
    if track.kind not in _CONFIGURATIONS:
        raise _unsupported(track.kind)
    item = Item(0, track.kind, track.size, track.properties, reader.joined([track.first]))
    _check_configuration(item)
    return item


def _only(targets: tuple[int, ...]) -> int:
    if len(targets) != 1:
        raise BrokenContainerError(f"a picture is a copy of {len(targets)} others")
    return targets[0]


def _item(items: HeifItems, number: int, alpha_of: tuple[int, ...] = (), depth: int = 0) -> Item:
    """Read one item and what it is made of.

    Args:
        items: all of the file.
        number: which one.
        alpha_of: the numbers that an item for its alpha may refer to; none for an alpha itself.
        depth: of derivations around it.
    """
    kind = items.kinds.get(number)
    if kind is None:
        raise BrokenContainerError(f"the picture needs item {number}, which is missing")
    if kind not in (*_CONFIGURATIONS, b"grid", b"iovl"):
        raise _unsupported(kind)
    properties = _properties(items, number)
    item = Item(number, kind, _size(properties), properties, items.data(number))
    if kind in _CONFIGURATIONS:
        _check_configuration(item)
    elif depth == _MOST_DERIVATIONS:
        raise BrokenContainerError("its pictures are made of each other")
    else:
        numbers = tuple(items.targets(b"dimg", number))
        _check_count(item, len(numbers))
        parts = tuple(_part(items, part, depth + 1, with_alpha=bool(alpha_of)) for part in numbers)
        item = replace(item, parts=parts)
        _check_parts(item)
    return _with_alpha(items, item, alpha_of)


def _part(items: HeifItems, number: int, depth: int, with_alpha: bool) -> Item:
    part = _item(items, number, (number,) if with_alpha else (), depth)
    if any(each.kind in STEPS for each in part.properties):
        raise UnsupportedFormatError("Parts of the picture are cropped or turned, which is not supported.", _HINT)
    return part


def _with_alpha(items: HeifItems, item: Item, alpha_of: tuple[int, ...]) -> Item:
    for number in dict.fromkeys(alpha_of):
        for source in items.auxiliaries(number):
            urn = next((each.body for each in items.properties(source) if each.kind == b"auxC"), None)
            if urn is None or urn.up_to(4, 64).split(b"\0")[0] not in _ALPHA:
                continue
            return _with_alpha_item(item, _item(items, source), source in items.targets(b"prem", number))
    return item


def _with_alpha_item(item: Item, alpha: Item, premultiplied: bool = False) -> Item:
    if alpha.size != item.size and AV1 in (
        each.kind for each in alpha.coded()
    ):  # libheif scales alpha, libavif does not
        raise BrokenContainerError(
            f"it has {item.size[0]} × {item.size[1]} pixels, and its alpha {alpha.size[0]} × {alpha.size[1]}"
        )
    return replace(item, alpha=alpha, premultiplied=premultiplied)


def _properties(items: HeifItems, number: int) -> tuple[Property, ...]:
    """The properties of an item, none of which may be one that it needs and we do not know.

    Raises:
        BrokenContainerError: it has one twice that it can have once.
        UnsupportedFormatError: it needs an unknown one.
    """
    properties = items.properties(number)
    understood = _UNDERSTOOD | _UNDERSTOOD_OF_AV1 if items.kinds.get(number) == AV1 else _UNDERSTOOD
    seen = set()
    for each in properties:
        if each.essential and each.kind not in understood:
            raise UnsupportedFormatError(
                f"The picture has the property {_word(each.kind)}, which must be understood to show it and is not.",
                _HINT,
            )
        name = each.kind
        if name == b"colr":
            name += b"nclx" if each.body.take(0, 4) == b"nclx" else b"prof"
        if name in seen and each.kind in _UNDERSTOOD | _UNDERSTOOD_OF_AV1:
            raise BrokenContainerError(f"a picture has two properties {_word(each.kind)}")
        seen.add(name)
    return properties


def _size(properties: tuple[Property, ...]) -> tuple[int, int]:
    body = next((each.body for each in properties if each.kind == b"ispe"), None)
    if body is None:
        raise BrokenContainerError("a picture has no size")
    size = body.take(4, 8)
    return int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")


def _check_configuration(item: Item) -> None:
    if item.body_of(_CONFIGURATIONS[item.kind]) is None:
        raise BrokenContainerError("a coded picture has no decoder configuration")


def _check_count(item: Item, count: int) -> None:
    """Compare the number of parts with what a grid or an overlay says, before they are read."""
    if item.kind == b"grid":
        rows, columns = (each + 1 for each in item.data.take(2, 2))
        if count != rows * columns:
            raise BrokenContainerError(f"a grid of {rows} × {columns} has {count} tiles")
    elif not count:
        raise BrokenContainerError("an overlay has no layers")


def _check_parts(item: Item) -> None:
    """Compare a grid or an overlay with its parts and with its own size (ISO/IEC 23008-12, 6.6.2)."""
    start = 4 if item.kind == b"grid" else 10
    wide = 4 if item.data.number(1, 1) & 1 else 2
    output = item.data.number(start, wide), item.data.number(start + wide, wide)
    if output != item.size:
        raise BrokenContainerError(_two_sizes(item.size, output))
    if item.kind == b"grid":
        _check_tiles(item)
    elif any(part.kind == AV1 for part in item.coded()):
        raise UnsupportedFormatError("The picture is an overlay of AV1 pictures, which is not supported.", _HINT)


def _check_tiles(grid: Item) -> None:
    """All tiles have one size, and the last row and column reach over the edge by less than a tile (6.6.2.3)."""
    rows, columns = (each + 1 for each in grid.data.take(2, 2))
    sizes = {part.size for part in grid.parts}
    if len(sizes) > 1 or any(part.parts for part in grid.parts):
        raise BrokenContainerError("the tiles of a grid differ in size")
    tile = sizes.pop()
    for count, side, whole in zip((columns, rows), tile, grid.size, strict=True):
        if not (count - 1) * side < whole <= count * side:
            raise BrokenContainerError(
                f"{rows} × {columns} tiles of {tile[0]} × {tile[1]} pixels do not make {grid.size[0]} × {grid.size[1]}"
            )


def _two_sizes(one: tuple[int, int], other: tuple[int, int]) -> str:
    return f"it says {one[0]} × {one[1]} and {other[0]} × {other[1]} pixels of one picture"


def _unsupported(kind: bytes) -> UnsupportedFormatError:
    words = _OTHER_KINDS.get(kind)
    name = f"{words} ({_word(kind)})" if words else _word(kind)
    return UnsupportedFormatError(f"The picture in the file is of a kind that cannot be decoded: {name}.", _HINT)


def _word(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
