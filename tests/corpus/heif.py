"""AVIF and HEIF files from parts: items, properties and references in any combination, valid or not."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from tests.corpus import GREYS, HOLE, QUARTERS, SIZE, Bad, Good, changed, holed, quarters, saved

HERE = Path(__file__).parent
HEIC = (b"heic", b"mif1", b"miaf")
ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


def box(kind: bytes, *parts: bytes) -> bytes:
    """One box."""
    payload = b"".join(parts)
    return struct.pack(">I", 8 + len(payload)) + kind + payload


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """One box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


# Properties -----------------------------------------------------------------------------------------------------------


def ispe(width: int, height: int) -> bytes:
    """The box with the size."""
    return full(b"ispe", struct.pack(">II", width, height))


def clap(width: int, height: int, left: int, top: int, size: tuple[int, int]) -> bytes:
    """The crop of an image of `size` to `width` × `height` from (left, top) on, in halves of a pixel."""
    across, down = 2 * left + width - size[0], 2 * top + height - size[1]
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, across, 2, down, 2))


def irot(quarters: int) -> bytes:
    """A rotation anticlockwise."""
    return box(b"irot", bytes((quarters,)))


def imir(axis: int) -> bytes:
    """The box that swaps top and bottom (0) or left and right (1)."""
    return box(b"imir", bytes((axis,)))


def nclx(primaries: int, transfer: int, matrix: int = 6, full_range: bool = True) -> bytes:
    """The box with the code points."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, full_range << 7))


def icc(profile: bytes) -> bytes:
    """An ICC profile."""
    return box(b"colr", b"prof", profile)


def auxc(urn: bytes = ALPHA) -> bytes:
    """The purpose of an auxiliary image."""
    return full(b"auxC", urn)


# Files ----------------------------------------------------------------------------------------------------------------

ESSENTIAL = (b"av1C", b"hvcC", b"clap", b"irot", b"imir", b"a1op", b"lsel")


@dataclass(frozen=True)
class Item:
    """One item; its number is its place in the file, from 1."""

    kind: bytes
    data: bytes = b""
    properties: tuple[bytes, ...] = ()
    references: tuple[tuple[bytes, tuple[int, ...]], ...] = ()
    essential: tuple[bytes, ...] = ESSENTIAL
    """Kinds of properties that are marked as essential."""
    method: int = 0
    """The place of the data: 0 for the file, 1 for `idat`."""
    extents: tuple[tuple[int, int], ...] = ()
    """(start, length) in the data, where it is not in one piece."""
    name: bytes = b"\0"

    def having(self, *properties: bytes) -> Item:
        """The item with more properties."""
        return replace(self, properties=(*self.properties, *properties))


@dataclass(frozen=True)
class HeifFile:
    """A file, with options for deviations from an ordinary one."""

    items: tuple[Item, ...]
    primary: int = 1
    brands: tuple[bytes, ...] = (b"avif", b"mif1", b"miaf")
    instead: dict[bytes, bytes] = field(default_factory=dict)
    """Bytes in the place of a box inside `meta`, by kind."""
    more_in_meta: bytes = b""
    more_in_iprp: bytes = b""
    more_properties: tuple[bytes, ...] = ()
    """Properties of no item, before all others."""
    before: bytes = b""
    """Boxes between `ftyp` and `meta`."""
    after: bytes = b""
    """Boxes after the last one."""
    meta_last: bool = False

    @property
    def data(self) -> bytes:
        """The file."""
        head = box(b"ftyp", self.brands[0], bytes(4), *self.brands) + self.before
        mdat = box(b"mdat", *(item.data for item in self.items if item.method == 0))
        if self.meta_last:
            return head + mdat + self._meta(len(head) + 8) + self.after
        meta = self._meta(len(head) + 8 + len(self._meta(0)))
        return head + meta + mdat + self.after

    def _meta(self, data_start: int) -> bytes:
        parts = {
            b"hdlr": full(b"hdlr", bytes(4), b"pict", bytes(13)),
            b"pitm": full(b"pitm", struct.pack(">H", self.primary)),
            b"iloc": self._iloc(data_start),
            b"iinf": self._iinf(),
            b"iref": self._iref(),
            b"iprp": box(b"iprp", *self._iprp(), self.more_in_iprp),
        }
        if inside := b"".join(item.data for item in self.items if item.method == 1):
            parts[b"idat"] = box(b"idat", inside)
        return full(b"meta", *({**parts, **self.instead}).values(), self.more_in_meta)

    def _iloc(self, data_start: int) -> bytes:
        ends = {0: data_start, 1: 0}
        rows = []
        for number, item in enumerate(self.items, 1):
            extents = item.extents or ((0, len(item.data)),)
            base = ends.get(item.method, 0)
            rows.append(struct.pack(">HHHIH", number, item.method, 0, base, len(extents)))
            rows += [struct.pack(">II", *extent) for extent in extents]
            ends[item.method] = base + len(item.data)
        return full(b"iloc", b"\x44\x40", struct.pack(">H", len(self.items)), *rows, version=1)

    def _iinf(self) -> bytes:
        parts = {
            number for item in self.items for kind, targets in item.references if kind == b"dimg" for number in targets
        }
        hidden = parts - {self.primary}  # writers mark parts of an image as hidden
        entries = (
            full(b"infe", struct.pack(">HH", number, 0), item.kind, item.name, version=2, flags=number in hidden)
            for number, item in enumerate(self.items, 1)
        )
        return full(b"iinf", struct.pack(">H", len(self.items)), *entries)

    def _iref(self) -> bytes:
        boxes = (
            box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets))
            for number, item in enumerate(self.items, 1)
            for kind, targets in item.references
        )
        return full(b"iref", *boxes)

    def _iprp(self) -> tuple[bytes, bytes]:
        properties = list(self.more_properties)
        rows = []
        for number, item in enumerate(self.items, 1):
            properties += (entry for entry in item.properties if entry not in properties)
            marked = ((properties.index(entry) + 1, entry[4:8] in item.essential) for entry in item.properties)
            indices = b"".join(struct.pack(">H", index | essential << 15) for index, essential in marked)
            rows.append(struct.pack(">HB", number, len(item.properties)) + indices)
        return box(b"ipco", *properties), full(b"ipma", struct.pack(">I", len(self.items)), *rows, flags=1)


def grid(rows: int, columns: int, width: int, height: int, tiles: tuple[int, ...], *properties: bytes) -> Item:
    """An image made of tiles."""
    data = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    return Item(b"grid", data, (ispe(width, height), *properties), ((b"dimg", tiles),), method=1)


# Coded images -------------------------------------------------------------------------------------------------------


@cache
def av1(colour: Any = (255, 0, 0), size: tuple[int, int] = (120, 80), **options: Any) -> Item:
    """An image of one colour as AV1; a number stands for grey without colours."""
    image = Image.new("L" if isinstance(colour, int) else "RGB", size, colour)
    return av1_of(image, **options)


def av1_of(image: Image.Image, **options: Any) -> Item:
    """An image as AV1."""
    out = io.BytesIO()
    sampling = "4:0:0" if image.mode == "L" else "4:4:4"
    image.save(out, "AVIF", **{"quality": 90, "subsampling": sampling, **options})
    data = out.getvalue()
    payload = data[data.index(b"mdat") + 4 :]
    return Item(b"av01", payload, (property_of(data, b"av1C"), ispe(*image.size)))


PARTS = HERE / "parts"
TILE = (120, 80)
"""(width, height) of the coded images of one colour: a quarter of the corpus' image."""
_WHOLE = {"chroma": 444}
HEVC_PARTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "red": ((255, 0, 0), _WHOLE),
    "green": ((0, 255, 0), _WHOLE),
    "blue": ((0, 0, 255), _WHOLE),
    "white": ((255, 255, 255), _WHOLE),
    "subsampled": ((200, 30, 30), {"chroma": 420}),
    "half-subsampled": ((200, 30, 30), {"chroma": 422}),
    "limited": ((200, 30, 30), {"chroma": 444, "full_range_flag": 0}),
    "identity": ((200, 30, 30), {"chroma": 444, "matrix_coefficients": 0}),
    "full": (255, {}),
    "dark": ((128, 0, 0), _WHOLE),
    "half": (128, {}),
    "clear": (0, {}),
}
"""Tiles of one colour, which `make_heif.py` wrote, by the name of the file."""


@cache
def hevc(name: str = "red") -> Item:
    """An image of one colour as HEVC, by a name of `HEVC_PARTS`."""
    data = (PARTS / f"{name}.heic").read_bytes()
    payload = data[data.index(b"mdat") + 4 :]
    return Item(b"hvc1", payload, (property_of(data, b"hvcC"), ispe(*TILE), property_of(data, b"colr")))


def property_of(data: bytes, kind: bytes) -> bytes:
    """The first box of this kind in a whole file."""
    at = data.index(kind) - 4
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


def whole(name: str) -> bytes:
    """A stored file of this folder."""
    return (HERE / name).read_bytes()


# Changed codings ------------------------------------------------------------------------------------------------------


def units(payload: bytes) -> list[tuple[int, bytes]]:
    """(kind, content) of the OBUs of an AV1 item."""
    units = []
    at = 0
    while at < len(payload):
        kind = payload[at] >> 3 & 15
        length = 0
        shift = 0
        more = True
        while more:
            at += 1
            length = length | (payload[at] & 127) << shift
            more = payload[at] > 127
            shift = shift + 7
        units.append((kind, payload[at + 1 : at + 1 + length]))
        at += 1 + length
    return units


def unit(kind: int, content: bytes) -> bytes:
    """One OBU."""
    length = b""
    remaining = len(content)
    while True:
        length += bytes((remaining & 127 | (remaining > 127) << 7,))
        remaining >>= 7
        if not remaining:
            return bytes((kind << 3 | 2,)) + length + content


def moving_av1(size: tuple[int, int] = (120, 80)) -> Item:
    """An AV1 image whose header is not the reduced one of still images."""
    image = Image.new("RGB", size, (255, 0, 0))
    data = saved(image, "AVIF", save_all=True, append_images=[Image.new("RGB", size)], subsampling="4:4:4")
    payload = b"".join(unit(kind, content) for kind, content in units(_first_sample(data)))
    return Item(b"av01", payload, (property_of(data, b"av1C"), ispe(*size)))


def _first_sample(data: bytes) -> bytes:
    location = property_of(data, b"iloc")
    start, length = struct.unpack(">II", location[-8:])
    return data[start : start + length]


def with_own_frame_size(item: Item, size: tuple[int, int]) -> Item:
    """`moving_av1` with a frame of another size than its sequence (frame_size_override_flag)."""
    payload = b""
    for kind, content in units(item.data):
        bits = "".join(f"{byte:08b}" for byte in content)
        if kind == 1:  # sizes of 16 bits instead of as few as possible
            across, down = int(bits[29:33], 2) + 1, int(bits[33:37], 2) + 1
            width, height = bits[37 : 37 + across], bits[37 + across : 37 + across + down]
            bits = bits[:29] + "1" * 8 + width.rjust(16, "0") + height.rjust(16, "0") + bits[37 + across + down :]
            content = _bytes(bits.rstrip("0"))
        elif kind == 6:
            flag = 6 + (bits[5] == "1")  # after allow_screen_content_tools and its dependent fields
            content = _bytes(bits[:flag] + "1" + bits[flag + 1 : flag + 8] + _sixteen(size) + bits[flag + 8 :])
        payload += unit(kind, content)
    return replace(item, data=payload)


def with_decoder_model(item: Item, is_equal_interval: bool) -> Item:
    """`moving_av1` with all fields about the time of decoding (AV1 specification, 5.5.3 to 5.5.5, 5.9.2).

    Frames have a time only if intervals differ. The lengths add whole bytes to the frame, because tiles are aligned.
    """
    delay, removal, time = (17, 22, 15)  # bits of these fields, minus 1
    payload = b""
    for kind, content in units(item.data):
        bits = "".join(f"{byte:08b}" for byte in content)
        if kind == 1:
            timing = f"1{1:032b}{30:032b}" + ("1" + _golomb(0) if is_equal_interval else "0")
            model = f"1{delay:05b}{1:032b}{removal:05b}{time:05b}"
            parameters = "1" + "01" * (delay + 1) + "0"
            content = _bytes((bits[:5] + timing + model + bits[6:29] + parameters + bits[29:]).rstrip("0"))
        elif kind == 6:
            flag = 6 + (bits[5] == "1")
            shown_at = "" if is_equal_interval else "1" * (time + 1)
            removed_at = "1" + "1" * (removal + 1)
            content = _bytes(bits[:4] + shown_at + bits[4 : flag + 8] + removed_at + bits[flag + 8 :])
        payload += unit(kind, content)
    return replace(item, data=payload)


def _bytes(bits: str, fill: str = "0") -> bytes:
    count = -(-len(bits) // 8)
    return int(bits.ljust(8 * count, fill), 2).to_bytes(count, "big")


def _sixteen(size: tuple[int, int]) -> str:
    return "".join(f"{side - 1:016b}" for side in size)


def nal(content: bytes) -> bytes:
    """One NAL unit of an HEVC item."""
    return struct.pack(">I", len(content)) + content


def sequence_set(width: int, height: int) -> bytes:
    """A sequence parameter set up to its size, which a decoder reads first."""
    bits = "0000" + "000" + "1" + "0" * 96 + "1" + "010" + _golomb(width) + _golomb(height) + "0" + "1" * 12
    return b"\x42\x01" + _bytes(bits, "1")


def _golomb(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


# The cases ------------------------------------------------------------------------------------------------------------


def having(item: Item, *properties: bytes) -> Item:
    """The item with these properties instead of its own of the same kinds."""
    kinds = {entry[4:8] for entry in properties}
    return replace(item, properties=(*(entry for entry in item.properties if entry[4:8] not in kinds), *properties))


def alpha_of(number: int, item: Item) -> Item:
    """The item as the alpha of another one."""
    return replace(item.having(auxc()), references=(*item.references, (b"auxl", (number,))))


def four(codec: str) -> tuple[Item, ...]:
    """The quarters of the image."""
    if codec == "AVIF":
        return tuple(av1(colour) for colour in QUARTERS)
    return tuple(hevc(name) for name in ("red", "green", "blue", "white"))


def opacity(codec: str) -> tuple[Item, ...]:
    """Alpha that makes the last quarter transparent."""
    full_tile, none = (av1(255), av1(0)) if codec == "AVIF" else (hevc("full"), hevc("clear"))
    return full_tile, full_tile, full_tile, none


def brands(codec: str) -> tuple[bytes, ...]:
    """The brands of a file."""
    return (b"avif", b"mif1", b"miaf") if codec == "AVIF" else HEIC


def tiled(codec: str, *properties: bytes, **changes: Any) -> HeifFile:
    """The image as a grid of four tiles."""
    return HeifFile((grid(2, 2, *SIZE, (2, 3, 4, 5), *properties), *four(codec)), brands=brands(codec), **changes)


def tiled_with_alpha(codec: str) -> HeifFile:
    """A grid for colours and one for alpha."""
    alpha = alpha_of(1, grid(2, 2, *SIZE, (7, 8, 9, 10)))
    items = (grid(2, 2, *SIZE, (2, 3, 4, 5)), *four(codec), alpha, *opacity(codec))
    return HeifFile(items, brands=brands(codec))


def tiles_with_alpha(codec: str) -> HeifFile:
    """A grid whose tiles have their own alpha."""
    alphas = (alpha_of(number, item) for number, item in enumerate(opacity(codec), 2))
    return HeifFile((grid(2, 2, *SIZE, (2, 3, 4, 5)), *four(codec), *alphas), brands=brands(codec))


def cropped(codec: str, *more: bytes) -> HeifFile:
    """A grid that is larger than the image, which is its centre."""
    tiles = four(codec)
    spread = (tiles[(row > 1) * 2 + (column > 1)] for row in range(4) for column in range(4))
    numbers = tuple(range(2, 18))
    crop = clap(*SIZE, 120, 80, (480, 320))
    return HeifFile((grid(4, 4, 480, 320, numbers, crop, *more), *spread), brands=brands(codec))


def overlay(size: tuple[int, int], places: tuple[tuple[int, int], ...], layers: tuple[int, ...]) -> Item:
    """Images on a canvas."""
    offsets = b"".join(struct.pack(">hh", *place) for place in places)
    head = struct.pack(">BBHHHHHH", 0, 0, 0, 0, 0, 0xFFFF, *size)
    return Item(b"iovl", head + offsets, (ispe(*size),), ((b"dimg", layers),), method=1)


def exif_item(data: bytes, **changes: Any) -> Item:
    """Metadata of the first item."""
    return Item(b"Exif", data, references=((b"cdsc", (1,)),), **changes)


def one_av1(**changes: Any) -> HeifFile:
    """The image as one AV1 item, with other parts of the file."""
    return HeifFile((av1_of(quarters()),), **changes)


def sequence(*missing: bytes, alpha: bool = False) -> bytes:
    """A sequence of three images without some of its boxes."""
    first = holed() if alpha else quarters()
    more = [Image.new(first.mode, SIZE, "black")] * 2
    more[1] = Image.new(first.mode, SIZE, "grey")
    data = saved(first, "AVIF", save_all=True, append_images=more, quality=95)
    for kind in missing:
        at = data.index(kind)
        data = changed(data, at, b"free")
    return data


def _properties(*tables: bytes) -> bytes:
    """An `iprp` box for `one_av1` and a second item without properties, with these `ipma` boxes."""
    properties, _ = one_av1()._iprp()
    return box(b"iprp", properties, *tables)


def associations(*rows: bytes, version: int = 0, flags: int = 0) -> bytes:
    """An `ipma` box of these rows."""
    return full(b"ipma", struct.pack(">I", len(rows)), *rows, version=version, flags=flags)


_HOLED = (*QUARTERS[:3], HOLE)
_ROW = b"\0\1\2\x81\2"
_EXTRA = Item(b"mime", b"<x/>", name=b"\0text/xml\0")

ODD_ITEMS = {
    "an item of no type": b"\2\0\0\1\0\2\0\0Ex\xd0f\0",
    "an item of no content type": b"\2\0\0\1\0\2\0\0mime\xff",
    "an old item of no content type": b"\0\0\0\1\0\2\0\0\0\xff\xff\xff\0",
}
"""The entry of an item that is not an image: version, flags, id, protection, type, name and content type."""


def with_item(entry: bytes) -> bytes:
    """A HEIC whose EXIF is another item; libheif's Python wrapper ends the process if it gets this item."""
    data = whole("turned-1.heic")
    return changed(data, data.index(b"infe", data.index(b"infe") + 4) + 4, entry)


def _good() -> Any:
    for codec, image_format in (("AVIF", "AVIF"), ("HEIC", "HEIF")):
        yield Good(f"{codec} grid", lambda codec=codec: tiled(codec).data, image_format)  # type: ignore[misc]
        yield Good(f"{codec} grid, alpha grid", lambda codec=codec: tiled_with_alpha(codec).data, image_format, _HOLED)  # type: ignore[misc]
        yield Good(
            f"{codec} grid, alpha by tile",
            lambda codec=codec: tiles_with_alpha(codec).data,  # type: ignore[misc]
            image_format,
            _HOLED,
        )
        yield Good(f"{codec} cropped", lambda codec=codec: cropped(codec).data, image_format)  # type: ignore[misc]
        yield Good(
            f"{codec} with meta at its end",
            lambda codec=codec: tiled(codec, meta_last=True).data,  # type: ignore[misc]
            image_format,
        )
    yield Good("AVIF grey", lambda: saved(quarters("L"), "AVIF", subsampling="4:0:0", quality=95), "AVIF", GREYS)
    for sampling in ("4:2:0", "4:2:2", "4:4:4"):
        yield Good(
            f"AVIF {sampling}",
            lambda sampling=sampling: saved(quarters(), "AVIF", subsampling=sampling),  # type: ignore[misc]
            "AVIF",
        )
    for name in ("AVIF, 10 bits", "AVIF, 12 bits"):
        yield Good(name, lambda name=name: whole(f"deep-{name[6:8]}.avif"), "AVIF")  # type: ignore[misc]
    yield Good("AVIF, 10 bits with alpha", lambda: whole("deep-alpha.avif"), "AVIF", _HOLED)
    yield Good("AVIF in extents", lambda: _in_extents().data, "AVIF")
    yield Good("AVIF in idat", lambda: HeifFile((replace(av1_of(quarters()), method=1),)).data, "AVIF")
    yield Good("AVIF behind a uuid box", lambda: one_av1(before=box(b"uuid", bytes(70_000))).data, "AVIF")
    yield Good("AVIF with bytes behind its end", lambda: one_av1(after=b"left over bytes").data, "AVIF")
    yield Good("AVIF as a copy", lambda: _copied().data, "AVIF")
    yield Good("AVIF without a handler", lambda: one_av1(instead={b"hdlr": b""}).data, "AVIF")
    for words, data in {"cut off": b"\0\0\0\xffII", "no TIFF": b"\0\0\0\0garbage", "short": b"ab"}.items():
        yield Good(f"AVIF with EXIF that is {words}", lambda data=data: _beside(exif_item(data)).data, "AVIF")  # type: ignore[misc]
    nowhere = ((0, 99_999),)
    yield Good("AVIF with EXIF outside", lambda: _beside(exif_item(b"x", extents=nowhere)).data, "AVIF")
    yield Good("AVIF with XMP outside", lambda: _beside(replace(_EXTRA, extents=nowhere)).data, "AVIF")
    yield Good(
        "AVIF with two ipma boxes of different flags",
        lambda: (
            _beside(
                _EXTRA, instead={b"iprp": _properties(associations(_ROW), associations(b"\0\2\1\0\2", flags=1))}
            ).data
        ),
        "AVIF",
    )
    yield Good(
        "AVIF with two ipma boxes of the same flags",
        lambda: _beside(_EXTRA, instead={b"iprp": _properties(associations(_ROW), associations(b"\0\2\1\2"))}).data,
        "AVIF",
    )
    yield Good("AVIF animated", sequence, "AVIF", frames=3, tolerance=16)
    yield Good("AVIF animated with alpha", lambda: sequence(alpha=True), "AVIF", _HOLED, 16, 3)
    yield Good("AVIF animated without pitm", lambda: sequence(b"pitm"), "AVIF", frames=3, tolerance=16)
    yield Good("AVIF animated without meta", lambda: sequence(b"meta", alpha=True), "AVIF", _HOLED, 16, 3)
    yield Good("AVIF in a HEIF brand", lambda: replace(tiled("AVIF"), brands=HEIC).data, "AVIF")
    yield Good("HEIC in an AVIF brand", lambda: HeifFile(tiled("HEIC").items).data, "HEIF")
    yield Good("HEIC overlay", lambda: _overlaid().data, "HEIF")
    yield Good("HEIC with a thumbnail", lambda: _with_thumbnail().data, "HEIF")
    for words, entry in ODD_ITEMS.items():
        yield Good(f"HEIC with {words}", lambda entry=entry: with_item(entry), "HEIF")  # type: ignore[misc]


def _in_extents() -> HeifFile:
    item = av1_of(quarters())
    length = len(item.data)
    return HeifFile((replace(item, extents=((0, 7), (7, 100), (107, length - 107))),))


def _copied() -> HeifFile:
    """A rotated copy of an image that is rotated the other way."""
    copy = Item(b"iden", b"", (ispe(*SIZE[::-1]), irot(1)), ((b"dimg", (2,)),))
    return HeifFile((copy, av1_of(quarters()).having(irot(3))))


def _beside(item: Item, **changes: Any) -> HeifFile:
    return HeifFile((av1_of(quarters()), item), **changes)


def _overlaid() -> HeifFile:
    places = (0, 0), (120, 0), (0, 80), (120, 80)
    return HeifFile((overlay(SIZE, places, (2, 3, 4, 5)), *four("HEIC")), brands=HEIC)


def _with_thumbnail() -> HeifFile:
    file = tiled("HEIC")
    return replace(file, items=(*file.items, replace(hevc("white"), references=((b"thmb", (1,)),))))


def _bad() -> Any:
    once = (b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref")
    for kind in once:
        yield Bad(
            f"AVIF with two {kind.decode()} boxes",
            lambda kind=kind: one_av1(more_in_meta=full(kind, bytes(40))).data,  # type: ignore[misc]
            CorruptImageError,
            f"two {kind.decode()} boxes",
        )
    yield Bad(
        "AVIF with two meta boxes", lambda: one_av1(after=full(b"meta")).data, CorruptImageError, "two meta boxes"
    )
    yield Bad(
        "AVIF with a meta box in its meta box",
        lambda: one_av1(more_in_meta=full(b"meta")).data,
        CorruptImageError,
        "two meta boxes",
    )
    yield Bad(
        "AVIF with two ipco boxes",
        lambda: one_av1(more_in_iprp=box(b"ipco", ispe(9, 9))).data,
        CorruptImageError,
        "two ipco boxes",
    )
    yield Bad(
        "AVIF with two ipma boxes for one item",
        lambda: one_av1(instead={b"iprp": _properties(associations(_ROW), associations(_ROW, flags=0))}).data,
        CorruptImageError,
        "item 1",
    )
    yield Bad(
        "AVIF with an item twice in ipma",
        lambda: one_av1(instead={b"iprp": _properties(associations(_ROW, _ROW))}).data,
        CorruptImageError,
        "item 1",
    )
    yield Bad(
        "AVIF with an unknown property",
        lambda: one_av1(instead={b"iprp": _properties(associations(b"\0\1\3\x81\2\7"))}).data,
        CorruptImageError,
        "property 7",
    )
    yield Bad(
        "AVIF with an item of two types",
        lambda: one_av1(instead={b"iinf": full(b"iinf", b"\0\2", *[_entry(1)] * 2)}).data,
        CorruptImageError,
        "two items with the number 1",
    )
    yield Bad(
        "AVIF with an item in two places",
        lambda: _in_two_places().data,
        CorruptImageError,
        "item 1",
    )
    yield Bad(
        "AVIF that names no primary picture",
        lambda: one_av1(instead={b"pitm": b""}).data,
        CorruptImageError,
        "primary",
    )
    yield Bad("AVIF whose primary item is missing", lambda: one_av1(primary=9).data, CorruptImageError, "item 9")
    yield Bad("AVIF without a size", lambda: _one(properties=_red().properties[:1]), CorruptImageError, "ispe")
    yield Bad("AVIF with two sizes", lambda: _one(_red().having(ispe(9, 9))), CorruptImageError, "ispe")
    yield Bad(
        "AVIF about something else",
        lambda: one_av1(instead={b"hdlr": full(b"hdlr", bytes(4), b"ID32", bytes(13))}).data,
        CorruptImageError,
        "meta box",
    )
    # Sizes that contradict the coded image.
    for codec in ("AVIF", "HEIC"):
        tile = four(codec)[0]
        for words, size in {"small": (60, 40), "large": (240, 160), "narrow": (119, 80), "long": (60, 160)}.items():
            yield Bad(
                f"{codec} that calls itself too {words}",
                lambda tile=tile, size=size, codec=codec: _one(having(tile, ispe(*size)), codec=codec),  # type: ignore[misc]
                CorruptImageError,
                f"{size[0]} × {size[1]}",
            )
        yield Bad(
            f"{codec} with a tile that calls itself too small",
            lambda codec=codec: _with_tile(codec, having(four(codec)[3], ispe(60, 40))),  # type: ignore[misc]
            CorruptImageError,
            "tiles",
        )
        yield Bad(
            f"{codec} with too few tiles",
            lambda codec=codec: _with_grid(codec, grid(2, 2, *SIZE, (2, 3, 4))),  # type: ignore[misc]
            CorruptImageError,
            "3 tiles",
        )
        for size in ((120, 160), (241, 160), (240, 80), (240, 161)):
            yield Bad(
                f"{codec} of {size[0]} × {size[1]} with tiles for 240 × 160",
                lambda codec=codec, size=size: _with_grid(codec, grid(2, 2, size[0], size[1], (2, 3, 4, 5))),  # type: ignore[misc]
                CorruptImageError,
                "120 × 80",
            )
        yield Bad(
            f"{codec} with a grid of two sizes",
            lambda codec=codec: _with_grid(codec, having(grid(2, 2, *SIZE, (2, 3, 4, 5)), ispe(200, 160))),  # type: ignore[misc]
            CorruptImageError,
            "200 × 160 and 240 × 160",
        )
        yield Bad(
            f"{codec} with a grid that is its own tile",
            lambda codec=codec: _with_grid(codec, grid(2, 2, *SIZE, (1, 1, 1, 1))),  # type: ignore[misc]
            CorruptImageError,
            "nested",
        )
        yield Bad(
            f"{codec} cut to nothing",
            lambda codec=codec: tiled(codec, clap(10, 10, 300, 0, SIZE)).data,  # type: ignore[misc]
            CorruptImageError,
            "crop",
        )
        yield Bad(
            f"{codec} with a crop of no pixels",
            lambda codec=codec: tiled(codec, box(b"clap", bytes(32))).data,  # type: ignore[misc]
            CorruptImageError,
            "crop",
        )
    yield Bad(
        "AVIF with alpha of another size",
        lambda: HeifFile((*tiled("AVIF").items, alpha_of(1, opacity("AVIF")[0]))).data,
        CorruptImageError,
        "120 × 80",
    )
    yield Bad(
        "AVIF as a copy of another size",
        lambda: HeifFile((Item(b"iden", b"", (ispe(9, 9),), ((b"dimg", (2,)),)), av1())).data,
        CorruptImageError,
        "9 × 9 and 120 × 80",
    )
    yield Bad(
        "AVIF with alpha that lies about its size",
        lambda: HeifFile((_red(), alpha_of(1, having(av1(9, (480, 320)), ispe(120, 80))))).data,
        CorruptImageError,
        "480 × 320",
    )
    yield Bad(
        "AVIF whose frame is not of the size of its sequence",
        lambda: _one(with_own_frame_size(moving_av1(), (16_000, 9_000))),
        CorruptImageError,
        "16000 × 9000",
    )
    yield Bad(
        "AVIF whose configuration is of another size",
        lambda: _one(having(_red(), configured((64, 64)))),
        CorruptImageError,
        "configuration",
    )
    yield Bad(
        "AVIF of two sequence headers",
        lambda: _one(replace(_red(), data=_red().data + av1((0, 0, 0), (64, 64)).data)),
        CorruptImageError,
        "different sequence headers",
    )
    yield Bad("AVIF of no frame", lambda: _one(replace(_red(), data=unit(5, b"x"))), CorruptImageError, "no coded")
    yield Bad(
        "HEIC that brings another size along",
        lambda: _one(replace(hevc(), data=nal(sequence_set(16_000, 9_000)) + hevc().data), codec="HEIC"),
        CorruptImageError,
        "16000 × 9000",
    )
    yield Bad(
        "HEIC of two pictures in one item",
        lambda: _one(replace(hevc(), data=hevc().data * 2), codec="HEIC"),
        CorruptImageError,
        "2 coded",
    )
    yield Bad(
        "HEIC of no picture, with a thumbnail",
        lambda: replace(_with_thumbnail(), items=(_garbage(), replace(hevc(), references=((b"thmb", (1,)),)))).data,
        CorruptImageError,
        "0 coded",
    )
    yield Bad(
        "HEIC of damaged pixels, with a thumbnail",
        lambda: (
            replace(
                _with_thumbnail(), items=(_garbage(b"\x28\x01\xff"), replace(hevc(), references=((b"thmb", (1,)),)))
            ).data
        ),
        CorruptImageError,
        "HEIF",
        in_header=False,
    )
    yield Bad(
        "HEIC without a sequence parameter set",
        lambda: _one(having(hevc(), box(b"hvcC", bytes(21), b"\3\0")), codec="HEIC"),
        CorruptImageError,
        "no sequence parameter set",
    )
    # Kinds without a decoder.
    for kind, words in {
        b"avc1": "AVC",
        b"vvc1": "VVC",
        b"evc1": "EVC",
        b"j2k1": "JPEG 2000",
        b"jpeg": "JPEG",
        b"unci": "uncompressed",
        b"mski": "mask",
        b"tmap": "tone-mapped",
        b"abcd": "abcd",
    }.items():
        yield Bad(
            f"HEIF of {words}",
            lambda kind=kind: _one(replace(hevc(), kind=kind), codec="HEIC"),  # type: ignore[misc]
            UnsupportedFormatError,
            words,
        )
        yield Bad(
            f"HEIF with tiles of {words}",
            lambda kind=kind: _with_tile("HEIC", replace(hevc(), kind=kind)),  # type: ignore[misc]
            UnsupportedFormatError,
            words,
        )
    yield Bad("AVIF and HEIC mixed", lambda: _with_tile("AVIF", hevc()), UnsupportedFormatError, "AV1 and HEVC")
    yield Bad(
        "AVIF overlay",
        lambda: HeifFile((overlay((120, 80), ((0, 0),), (2,)), _red())).data,
        UnsupportedFormatError,
        "overlay",
    )
    yield Bad(
        "AVIF with a property that must be known",
        lambda: _one(replace(_red().having(box(b"abcd", b"x")), essential=(*ESSENTIAL, b"abcd"))),
        UnsupportedFormatError,
        "abcd",
    )
    yield Bad(
        "AVIF with turned tiles", lambda: _with_tile("AVIF", _red().having(irot(1))), UnsupportedFormatError, "cropped"
    )
    yield Bad("AVIF inside another item", lambda: _one(replace(_red(), method=2)), UnsupportedFormatError, "method 2")
    yield Bad(
        "AVIF nowhere", lambda: _one(replace(_red(), method=1), instead={b"idat": b""}), CorruptImageError, "item 1"
    )
    for brand in (b"mif3", b"avif"):
        yield Bad(
            f"low-overhead image file, brand {brand.decode()}",
            lambda brand=brand: box(b"ftyp", brand, b"avif") + box(b"mini", bytes(30)),  # type: ignore[misc]
            UnsupportedFormatError,
            "mini",
        )
    yield Bad(
        "video in a HEIF brand",
        lambda: box(b"ftyp", b"mif1", bytes(4), b"mif1") + box(b"moov", box(b"mvhd", bytes(100))),
        UnsupportedFormatError,
        "video",
    )
    yield Bad(
        "AVIF that repeats its bytes",
        lambda: _one(replace(_red(), extents=((0, 100),) * 20)),
        CorruptImageError,
        "repeats",
    )
    yield Bad(
        "AVIF in the memory of thousands",
        lambda: _repeated_tiles().data,
        ImageTooLargeError,
        "MB",
    )


def _red() -> Item:
    return av1((255, 0, 0))


def _one(
    item: Item | None = None, codec: str = "AVIF", instead: dict[bytes, bytes] | None = None, **changes: Any
) -> bytes:
    """A file of one item, which is red by default."""
    return HeifFile((replace(item or _red(), **changes),), brands=brands(codec), instead=instead or {}).data


def _with_tile(codec: str, tile: Item) -> bytes:
    """The image as a grid whose last tile is another one."""
    file = tiled(codec)
    return replace(file, items=(*file.items[:-1], tile)).data


def _with_grid(codec: str, other: Item) -> bytes:
    """The image's tiles under another grid."""
    file = tiled(codec)
    return replace(file, items=(other, *file.items[1:])).data


def configured(size: tuple[int, int]) -> bytes:
    """An `av1C` box with the sequence header of an image of this size."""
    header = next(content for kind, content in units(av1((9, 9, 9), size).data) if kind == 1)
    return box(b"av1C", property_of(one_av1().data, b"av1C")[8:12], unit(1, header))


def _garbage(start: bytes = b"\x46\x01\xff") -> Item:
    return replace(hevc(), data=nal(start + bytes(range(200))))


def _entry(number: int) -> bytes:
    return full(b"infe", struct.pack(">HH", number, 0), b"av01\0", version=2)


def _in_two_places() -> HeifFile:
    item = _red()
    rows = struct.pack(">HHHIH", 1, 0, 0, 0, 1) + struct.pack(">II", 0, len(item.data))
    return HeifFile((item,), instead={b"iloc": full(b"iloc", b"\x44\x40\0\2", rows, rows, version=1)})


def _repeated_tiles() -> HeifFile:
    """A grid of 2,500 tiles, each of which has two megabytes that all of them share."""
    tile = replace(_red(), data=_red().data + unit(15, bytes(2_000_000)))
    file = HeifFile((grid(50, 50, 6000, 4000, tuple(range(2, 2502))), tile, *[replace(tile, data=b"")] * 2499))
    start = len(box(b"ftyp", file.brands[0], bytes(4), *file.brands)) + 8
    length = len(tile.data)
    rows = [struct.pack(">HHHIHII", 1, 1, 0, 0, 1, 0, 8)]
    rows += [struct.pack(">HHHIHII", number, 0, 0, start, 1, 0, length) for number in range(2, 2502)]
    table = full(b"iloc", b"\x44\x40", struct.pack(">H", 2501), *rows, version=1)
    return replace(file, meta_last=True, instead={b"iloc": table})


GOOD: tuple[Good, ...] = tuple(_good())
BAD: tuple[Bad, ...] = tuple(_bad())
