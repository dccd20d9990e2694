"""Read the primary image of an HEIF or AVIF file: the coded items that it consists of, and how they are combined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.heif import HeifItems, Property, heif_items, main_boxes
from image_pipeline.imaging.containers.tracks import Track, image_tracks
from image_pipeline.imaging.formats.placement import STEPS, Placement
from image_pipeline.imaging.reader import BrokenContainerError, Reader

AV1, HEVC = b"av01", b"hvc1"
_CONFIGURATIONS = {AV1: b"av1C", HEVC: b"hvcC"}
"""The property that the decoder needs, by kind of coded item."""

_OTHER_KINDS = {
    b"avc1": "AVC (H.264)", b"vvc1": "VVC (H.266)", b"evc1": "EVC", b"lhv1": "layered HEVC", b"hvt1": "HEVC tiles",
    b"j2k1": "JPEG 2000", b"jpeg": "JPEG", b"jxl1": "JPEG XL", b"jxs1": "JPEG XS", b"unci": "uncompressed pixels",
    b"mski": "a mask", b"tili": "a tiled image", b"tmap": "a tone-mapped image", b"sato": "a sample transform",
    b"vp08": "VP8", b"vp09": "VP9",
}  # fmt: skip
"""Names of unsupported kinds of items."""

_SUPPORTED = frozenset(
    {b"ispe", b"pixi", b"colr", b"pasp", b"auxC", b"av1C", b"hvcC", *STEPS}  # decoding and display
    | {b"clli", b"mdcv", b"cclv", b"amve", b"reve", b"ndwt"}  # HDR displays
    | {b"udes", b"altt", b"aebr", b"afbr", b"wbbr", b"dobr", b"crtt", b"mdft", b"subs"}  # descriptions and editing
)
_SUPPORTED_FOR_AV1 = frozenset({b"a1op", b"a1lx", b"lsel"})

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_MOST_COPIES = 8
_MOST_DERIVATIONS = 2
"""Levels of derived items: an overlay of grids of coded images has two."""
_MOST_LEAVES = 65_536
"""Tiles of the largest grid, 256 × 256 (ISO/IEC 23008-12, 6.6.2.3)."""
_HINT = "Export the image again as JPEG, PNG, plain HEIC or AVIF and upload it."


@dataclass(frozen=True, slots=True)
class Item:
    """One image item of the file with its parts and its alpha."""

    number: int
    kind: bytes
    """`av01`, `hvc1`, `grid` or `iovl`."""
    size: tuple[int, int]
    """(width, height) in pixels, as stored."""
    properties: tuple[Property, ...]
    data: Reader
    parts: tuple[Item, ...] = ()
    """Tiles of a grid, row by row; layers of an overlay, from bottom to top."""
    leaves: int = 1
    """Coded images that the item shows; one that is shown twice counts twice."""
    alpha: Item | None = None
    premultiplied: bool = False
    """Whether the colours are multiplied by alpha."""

    def body_of(self, kind: bytes) -> Reader | None:
        """Return the body of a property; None if the item does not have it."""
        return next((entry.body for entry in self.properties if entry.kind == kind), None)

    def colours(self) -> Iterator[tuple[bytes, Reader]]:
        """Yield (type, data) of each `colr` property: an ICC profile in `prof` and `rICC`, code points in `nclx`."""
        for entry in self.properties:
            if entry.kind == b"colr":
                yield entry.body.take(0, 4), entry.body.part(4, entry.body.size - 4)

    @property
    def transparent(self) -> bool:
        """Whether the decoded image has alpha."""
        return self.alpha is not None or (self.kind == b"grid" and any(part.alpha for part in self.parts))

    def coded(self) -> Iterator[Item]:
        """Yield the coded images of the item, without those for alpha."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.coded()

    def alphas(self) -> Iterator[Item]:
        """Yield the coded images of the item for alpha."""
        if self.alpha is not None:
            yield from self.alpha.coded()
        for part in self.parts:
            yield from part.alphas()


@dataclass(frozen=True)
class HeifImage:
    """The primary image."""

    item: Item
    placement: Placement
    """The displayed part of the stored pixels."""
    frames: int = 1
    """Images of the sequence in the file; 1 without a sequence."""

    @property
    def codec(self) -> bytes:
        """`av01` or `hvc1`."""
        return next(self.item.coded()).kind


def read_image(reader: Reader) -> HeifImage:
    """Find the primary image and its parts, without reading coded data.

    The primary item is the image, even if the file also contains a sequence. Without a primary item, the first image of
    the sequence is used.

    Raises:
        BrokenContainerError: the primary image is missing or invalid.
        UnsupportedFormatError: the primary image is of a kind that cannot be decoded.
    """
    return reader.once(_read_image)


def _read_image(reader: Reader) -> HeifImage:
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
            "The content is a low-overhead image file (mini box, brand mif3), which is not supported.", _HINT
        )
    elif b"moov" in main:
        raise UnsupportedFormatError(
            "The content is a video without a still image.", "Export one frame as JPEG or PNG and upload it."
        )
    else:
        raise BrokenContainerError("it has no primary image" if items else "it has no meta box")
    if len({coded.kind for coded in (*item.coded(), *item.alphas())}) > 1:
        raise UnsupportedFormatError("The image combines AV1 and HEVC, which is not supported.", _HINT)
    return HeifImage(item, placement, max(1, frames))


def _primary_item(items: HeifItems, primary: int) -> tuple[Item, Placement]:
    """Return the primary item, which may be a copy (`iden`) of another, and the placement after all of their steps."""
    copies: list[int] = []
    number = primary
    while items.kinds.get(number) == b"iden" and len(copies) < _MOST_COPIES:
        copies.append(number)
        number = _only(tuple(items.targets(b"dimg", number)))
    item = _item(items, number, alpha_of=(primary, number))
    placement = _apply_steps(Placement(0, 0, *item.size), item.properties)
    for copy in reversed(copies):
        properties = _properties(items, copy)
        if _size(properties) != placement.shown_size:
            raise BrokenContainerError(_two_sizes(_size(properties), placement.shown_size))
        placement = _apply_steps(placement, properties)
    return item, placement


def _apply_steps(placement: Placement, properties: tuple[Property, ...]) -> Placement:
    for entry in properties:
        if entry.kind in STEPS:
            placement = placement.then(entry)
    return placement


def _tracks(moov: Reader | None) -> Iterator[Track]:
    """Yield the image tracks up to the first broken one; an image with a primary item does not need them."""
    if moov is not None:
        with suppress(BrokenContainerError):
            yield from image_tracks(moov)


def _first_of_sequence(reader: Reader, tracks: list[Track]) -> Item:
    image_track = next((track for track in tracks if track.handler == b"pict"), tracks[0])
    item = _item_of_track(reader, image_track)
    alpha_track = next((track for track in tracks if image_track.number in track.auxiliary_of), None)
    return item if alpha_track is None else _with_alpha_item(item, _item_of_track(reader, alpha_track))


def _item_of_track(reader: Reader, track: Track) -> Item:
    if track.kind not in _CONFIGURATIONS:
        raise _unsupported(track.kind)
    item = Item(0, track.kind, track.size, track.properties, reader.joined([track.first]))
    _check_configuration(item)
    return item


def _only(targets: tuple[int, ...]) -> int:
    if len(targets) != 1:
        raise BrokenContainerError(f"an image item is a copy of {len(targets)} other items")
    return targets[0]


def _item(items: HeifItems, number: int, alpha_of: tuple[int, ...] = (), depth: int = 0) -> Item:
    """Read one item and its parts.

    Args:
        items: all items of the file.
        number: number of the item.
        alpha_of: numbers that its alpha item may refer to; none for an alpha item.
        depth: number of derived items that contain it.
    """
    kind = items.kinds.get(number)
    if kind is None:
        raise BrokenContainerError(f"item {number} of the image is missing")
    if kind not in (*_CONFIGURATIONS, b"grid", b"iovl"):
        raise _unsupported(kind)
    properties = _properties(items, number)
    item = Item(number, kind, _size(properties), properties, items.data(number))
    if kind in _CONFIGURATIONS:
        _check_configuration(item)
    elif depth == _MOST_DERIVATIONS:
        raise BrokenContainerError("its items are nested too deeply")
    else:
        numbers = tuple(items.targets(b"dimg", number))
        _check_count(item, len(numbers))
        # A grid may show one tile in many places: it is read once, and its copies have the same number.
        part_of = {part: _part(items, part, depth + 1, with_alpha=bool(alpha_of)) for part in dict.fromkeys(numbers)}
        leaves = sum(part_of[part].leaves for part in numbers)
        if leaves > _MOST_LEAVES:
            raise BrokenContainerError(f"it consists of {leaves:,} coded images")
        item = replace(item, parts=tuple(replace(part_of[part]) for part in numbers), leaves=leaves)
        _check_parts(item)
    return _with_alpha(items, item, alpha_of)


def _part(items: HeifItems, number: int, depth: int, with_alpha: bool) -> Item:
    part = _item(items, number, (number,) if with_alpha else (), depth)
    if any(entry.kind in STEPS for entry in part.properties):
        raise UnsupportedFormatError("Parts of the image are cropped or rotated, which is not supported.", _HINT)
    return part


def _with_alpha(items: HeifItems, item: Item, alpha_of: tuple[int, ...]) -> Item:
    for number in dict.fromkeys(alpha_of):
        for source in items.auxiliaries(number):
            urn = next((entry.body for entry in items.properties(source) if entry.kind == b"auxC"), None)
            if urn is None or urn.up_to(4, 64).split(b"\0")[0] not in _ALPHA:
                continue
            return _with_alpha_item(item, _item(items, source), source in items.targets(b"prem", number))
    return item


def _with_alpha_item(item: Item, alpha: Item, premultiplied: bool = False) -> Item:
    # libheif scales alpha, libavif does not.
    if alpha.size != item.size and any(coded.kind == AV1 for coded in alpha.coded()):
        raise BrokenContainerError(
            f"it has {item.size[0]} × {item.size[1]} pixels, but its alpha has {alpha.size[0]} × {alpha.size[1]}"
        )
    return replace(item, alpha=alpha, premultiplied=premultiplied)


def _properties(items: HeifItems, number: int) -> tuple[Property, ...]:
    """Return the properties of an item after checking them.

    Raises:
        BrokenContainerError: a property that may occur once occurs twice.
        UnsupportedFormatError: an essential property is not supported.
    """
    properties = items.properties(number)
    supported = _SUPPORTED | _SUPPORTED_FOR_AV1 if items.kinds.get(number) == AV1 else _SUPPORTED
    names = set()
    for entry in properties:
        if entry.essential and entry.kind not in supported:
            raise UnsupportedFormatError(
                f"The image has the essential property {_text(entry.kind)}, which is not supported.", _HINT
            )
        name = entry.kind
        if name == b"colr":
            name += b"nclx" if entry.body.take(0, 4) == b"nclx" else b"prof"
        if name in names and entry.kind in _SUPPORTED | _SUPPORTED_FOR_AV1:
            raise BrokenContainerError(f"an image item has two {_text(entry.kind)} properties")
        names.add(name)
    return properties


def _size(properties: tuple[Property, ...]) -> tuple[int, int]:
    body = next((entry.body for entry in properties if entry.kind == b"ispe"), None)
    if body is None:
        raise BrokenContainerError("an image item has no ispe property (size)")
    size = body.take(4, 8)
    return int.from_bytes(size[:4], "big"), int.from_bytes(size[4:], "big")


def _check_configuration(item: Item) -> None:
    if item.body_of(_CONFIGURATIONS[item.kind]) is None:
        raise BrokenContainerError("a coded image has no decoder configuration")


def _check_count(item: Item, count: int) -> None:
    """Compare the number of parts with the declaration of a grid or an overlay, before the parts are read."""
    if item.kind == b"grid":
        rows, columns = (stored + 1 for stored in item.data.take(2, 2))
        if count != rows * columns:
            raise BrokenContainerError(f"a grid of {rows} × {columns} tiles has {count} tiles")
    elif not count:
        raise BrokenContainerError("an overlay has no layers")


def _check_parts(item: Item) -> None:
    """Compare a grid or an overlay with its parts and with its own size (ISO/IEC 23008-12, 6.6.2)."""
    start = 4 if item.kind == b"grid" else 10
    field_bytes = 4 if item.data.number(1, 1) & 1 else 2
    output_size = item.data.number(start, field_bytes), item.data.number(start + field_bytes, field_bytes)
    if output_size != item.size:
        raise BrokenContainerError(_two_sizes(item.size, output_size))
    if item.kind == b"grid":
        _check_tiles(item)
    elif any(part.kind == AV1 for part in item.coded()):
        raise UnsupportedFormatError("The image is an overlay of AV1 images, which is not supported.", _HINT)


def _check_tiles(grid: Item) -> None:
    """Check that all tiles have one size, and extend beyond the edges by less than a tile (6.6.2.3)."""
    rows, columns = (stored + 1 for stored in grid.data.take(2, 2))
    sizes = {part.size for part in grid.parts}
    if len(sizes) > 1 or any(part.parts for part in grid.parts):
        raise BrokenContainerError("the tiles of a grid have different sizes")
    tile = sizes.pop()
    for count, tile_side, grid_side in zip((columns, rows), tile, grid.size, strict=True):
        if not (count - 1) * tile_side < grid_side <= count * tile_side:
            raise BrokenContainerError(
                f"{rows} × {columns} tiles of {tile[0]} × {tile[1]} pixels do not fit a grid of "
                f"{grid.size[0]} × {grid.size[1]} pixels"
            )


def _two_sizes(one: tuple[int, int], other: tuple[int, int]) -> str:
    return f"it declares both {one[0]} × {one[1]} and {other[0]} × {other[1]} pixels for one image"


def _unsupported(kind: bytes) -> UnsupportedFormatError:
    description = _OTHER_KINDS.get(kind)
    name = f"{description} ({_text(kind)})" if description else _text(kind)
    return UnsupportedFormatError(f"The primary image is of an unsupported kind: {name}.", _HINT)


def _text(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
