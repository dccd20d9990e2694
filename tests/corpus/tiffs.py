"""TIFF files of any kind, written by hand, so that no decoder takes part."""

from __future__ import annotations

import io
import lzma
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from PIL import Image

from image_pipeline.errors import CorruptImageError, ImageTooLargeError, UnsupportedFormatError
from tests.corpus import HOLE, SIZE, Bad, Good, quarters, saved

NONE, RLE, FAX3, FAX4, LZW, OLD_JPEG, JPEG, DEFLATE = range(1, 9)
PACKBITS, OLD_DEFLATE, LZMA, ZSTD = 32773, 32946, 34925, 50000
LOSSLESS = (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA, ZSTD)

Sample = int | float
Quarters = Sequence[Sequence[Sample]]
"""Samples of the upper left, upper right, lower left and lower right quarter."""

_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "r": 5, "b": 6, "u": 7, "h": 8, "i": 9, "f": 11, "d": 12, "Q": 16}


@dataclass(frozen=True, eq=False)
class Tiff:
    """A file to write; `data()` returns its bytes."""

    quarters: Quarters
    photometric: int = 2
    bits: int = 8
    number: str = "uint"
    """uint, int or float."""
    size: tuple[int, int] = (64, 48)
    """Size of the stored pixels."""
    compression: int = NONE
    predictor: int = 1
    planar: bool = False
    tile: tuple[int, int] | None = None
    rows_per_strip: int | None = None
    little: bool = True
    big: bool = False
    reversed_bits: bool = False
    extra_samples: tuple[int, ...] = ()
    subsampling: tuple[int, int] = (1, 1)
    noise: int = 0
    """A seed: samples are random instead of those of the quarters."""
    holes: Mapping[tuple[int, int], Sequence[Sample]] = field(default_factory=dict)
    """Samples of single pixels, by (x, y)."""
    tags: Mapping[int, tuple[str, Sequence[Any]]] = field(default_factory=dict)
    """Further tags, as (type, values); an empty type leaves the tag out."""

    @property
    def channels(self) -> int:
        """Channels of a pixel."""
        return len(self.quarters[0])

    def pixel(self, x: int, y: int) -> Sequence[Sample]:
        """The samples at a place; places beyond the image equal the last row or column."""
        x, y = min(x, self.size[0] - 1), min(y, self.size[1] - 1)
        if self.noise:
            samples = _noise(self.noise, self.size[0] * self.size[1] * self.channels, self.bits, self.number)
            at = (y * self.size[0] + x) * self.channels
            return samples[at : at + self.channels]
        return self.holes.get((x, y)) or self.quarters[(x >= self.size[0] // 2) + 2 * (y >= self.size[1] // 2)]

    def data(self) -> bytes:
        """The bytes of the file."""
        return document([(self.directory(), self.chunks())], self.little, self.big)

    def directory(self) -> dict[int, tuple[str, Sequence[Any]]]:
        """The tags of the file, without the places of strips or tiles."""
        number = {"uint": 1, "int": 2, "float": 3}[self.number]
        tags: dict[int, tuple[str, Sequence[Any]]] = {
            256: ("I", [self.size[0]]),
            257: ("I", [self.size[1]]),
            258: ("H", [self.bits] * self.channels),
            259: ("H", [self.compression]),
            262: ("H", [self.photometric]),
            277: ("H", [self.channels]),
            284: ("H", [2 if self.planar else 1]),
        }
        if self.tile:
            tags |= {322: ("I", [self.tile[0]]), 323: ("I", [self.tile[1]])}
        else:
            tags[278] = ("I", [self.rows_per_strip or self.size[1]])
        if number != 1:
            tags[339] = ("H", [number] * self.channels)
        if self.predictor != 1:
            tags[317] = ("H", [self.predictor])
        if self.extra_samples:
            tags[338] = ("H", self.extra_samples)
        if self.reversed_bits:
            tags[266] = ("H", [2])
        if self.photometric == 6:
            tags[530] = ("H", self.subsampling)
        return {**tags, **self.tags}

    def chunks(self) -> list[bytes]:
        """The compressed strips or tiles of the file."""
        width, height = self.tile or (self.size[0], self.rows_per_strip or self.size[1])
        planes = [(channel,) for channel in range(self.channels)] if self.planar else [tuple(range(self.channels))]
        chunks = []
        for plane in planes:
            for top in range(0, self.size[1], height):
                rows = height if self.tile else min(height, self.size[1] - top)
                for left in range(0, self.size[0], width):
                    chunks.append(self._chunk((left, top, width, rows), plane))
        return [reverse(chunk) for chunk in chunks] if self.reversed_bits and self.compression != JPEG else chunks

    def _chunk(self, box: tuple[int, int, int, int], plane: tuple[int, ...]) -> bytes:
        left, top, width, height = box
        if self.compression == JPEG:
            return self._jpeg(box, plane)
        if self.subsampling != (1, 1):
            rows = list(self._subsampled(box))
        else:
            rows = [self._row(left, y, width, plane) for y in range(top, top + height)]
        if self.compression in (RLE, FAX3, FAX4):
            return fax(rows, self.compression)
        packed: dict[int, bytes] = {}  # most rows are one object
        raw = b"".join(packed.get(id(row)) or packed.setdefault(id(row), self._packed(row, len(plane))) for row in rows)
        return COMPRESSORS[self.compression](raw)

    def _row(self, left: int, y: int, width: int, plane: tuple[int, ...]) -> list[Sample]:
        if self.noise:
            return self._noise_row(left, min(y, self.size[1] - 1), width, plane)
        if any(row == y for _, row in self.holes):
            return [self.pixel(x, y)[channel] for x in range(left, left + width) for channel in plane]
        return _plain_row(self, left, y >= self.size[1] // 2, width, plane)

    def _noise_row(self, left: int, y: int, width: int, plane: tuple[int, ...]) -> list[Sample]:
        samples = _noise(self.noise, self.size[0] * self.size[1] * self.channels, self.bits, self.number)
        row_length = self.size[0] * self.channels
        row = samples[y * row_length : (y + 1) * row_length]
        missing = max(0, left + width - self.size[0])
        part = row[left * self.channels : (left + width) * self.channels] + row[-self.channels :] * missing
        return part if len(plane) == self.channels else part[plane[0] :: self.channels]

    def _packed(self, row: Sequence[Sample], channels: int) -> bytes:
        order = "<" if self.little else ">"
        if self.bits % 8:
            text = "".join(f"{int(value):0{self.bits}b}" for value in row)
            text = text.ljust(-(-len(text) // 8) * 8, "0")
            return int(text, 2).to_bytes(len(text) // 8, "big")
        if self.number == "float":
            code = {16: "e", 32: "f", 64: "d"}[self.bits]
        else:
            code = {8: "B", 16: "H", 32: "I", 64: "Q"}[self.bits]
            row = [int(value) % (1 << self.bits) for value in row]
        if self.predictor == 3:
            return _float_differences(row, code, channels)
        packed = struct.pack(f"{order}{len(row)}{code}", *row)
        return _differences(packed, self.bits // 8, channels, self.little) if self.predictor == 2 else packed

    def _subsampled(self, box: tuple[int, int, int, int]) -> Iterator[list[Sample]]:
        left, top, width, height = box
        across, down = self.subsampling
        for y in range(top, top + height, down):
            row: list[Sample] = []
            for x in range(left, left + width, across):
                row += [self.pixel(x + i, y + j)[0] for j in range(down) for i in range(across)]
                row += self.pixel(x, y)[1:]
            yield row

    def _jpeg(self, box: tuple[int, int, int, int], plane: tuple[int, ...]) -> bytes:
        left, top, width, height = box
        mode = {1: "L", 3: "RGB", 4: "CMYK"}[len(plane)]
        rows = (self._row(left, y, width, plane) for y in range(top, top + height))
        image = Image.frombytes(mode, (width, height), b"".join(bytes(map(int, row)) for row in rows))
        if mode == "CMYK":  # Pillow inverts the values, as Adobe does; TIFF does not
            image = image.point(lambda value: 255 - value)
        out = io.BytesIO()
        if self.photometric == 6:  # the encoder converts RGB to YCbCr: pass the RGB values of these samples
            image = Image.merge("YCbCr", image.split()).convert("RGB")
        image.save(out, "JPEG", quality=98, **({} if self.photometric == 6 else {"keep_rgb": True}))
        return out.getvalue()


@lru_cache(maxsize=8)
def _noise(seed: int, count: int, bits: int, number: str) -> list[Sample]:
    chance = random.Random(seed)
    if number == "float":
        return [chance.getrandbits(10) / 1024 for _ in range(count)]
    return [chance.getrandbits(bits) for _ in range(count)]


@lru_cache(maxsize=64)
def _plain_row(tiff: Tiff, left: int, lower: bool, width: int, plane: tuple[int, ...]) -> list[Sample]:
    y = tiff.size[1] - 1 if lower else 0
    return [tiff.pixel(x, y)[channel] for x in range(left, left + width) for channel in plane]


def document(
    pages: Sequence[tuple[Mapping[int, tuple[str, Sequence[Any]]], Sequence[bytes]]],
    little: bool = True,
    big: bool = False,
    last_link: int = 0,
) -> bytes:
    """A file of pages: for each page its tags, and its strips or tiles, which are stored before its directory."""
    order = "<" if little else ">"
    word, table_row, count_bytes = ("Q", 20, 8) if big else ("I", 12, 2)
    out = bytearray(b"II" if little else b"MM")
    out += struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0)
    link = len(out) - struct.calcsize(word)
    for tags, chunks in pages:
        offsets = []
        for chunk in chunks:
            offsets.append(len(out))
            out += chunk
        if chunks:
            places = (324, 325) if 322 in tags else (273, 279)
            counts = [len(chunk) for chunk in chunks]
            tags = {places[0]: (word, offsets), places[1]: (word, counts), **tags}
            tags = {tag: value for tag, value in tags.items() if value[0]}
        out += b"\0" * (len(out) % 2)
        start = len(out)
        struct.pack_into(f"{order}{word}", out, link, start)
        table, outside = bytearray(), bytearray()
        after = start + count_bytes + table_row * len(tags) + struct.calcsize(word)
        for tag, (kind, values) in sorted(tags.items()):
            raw = (
                bytes(values) if kind in "su" else struct.pack(f"{order}{len(values)}{kind.replace('r', 'I')}", *values)
            )
            count = len(values) // 2 if kind == "r" else len(values)  # a rational is two numbers
            table += struct.pack(f"{order}HH{word}", tag, _TYPES[kind], count)
            if len(raw) <= struct.calcsize(word):
                table += raw.ljust(struct.calcsize(word), b"\0")
            else:
                table += struct.pack(f"{order}{word}", after + len(outside))
                outside += raw
        out += len(tags).to_bytes(count_bytes, "little" if little else "big") + table
        link = len(out)
        out += bytes(struct.calcsize(word)) + outside
    struct.pack_into(f"{order}{word}", out, link, last_link)
    return bytes(out)


def reverse(data: bytes) -> bytes:
    """Reverse the bits of each byte, as FillOrder 2 stores them."""
    return bytes(int(f"{value:08b}"[::-1], 2) for value in data)


def _differences(packed: bytes, item: int, step: int, little: bool) -> bytes:
    order = "little" if little else "big"
    numbers = [int.from_bytes(packed[at : at + item], order) for at in range(0, len(packed), item)]  # type: ignore[arg-type]
    before = [0] * step + numbers
    return b"".join(
        ((now - then) % (1 << 8 * item)).to_bytes(item, order)  # type: ignore[arg-type]
        for now, then in zip(numbers, before, strict=False)
    )


def _float_differences(row: Sequence[Sample], code: str, step: int) -> bytes:
    packed = struct.pack(f">{len(row)}{code}", *row)
    item = struct.calcsize(code)
    planes = b"".join(packed[place::item] for place in range(item))
    return _differences(planes, 1, step, True)


# Compressions ---------------------------------------------------------------------------------------------------------


def lzw(data: bytes) -> bytes:
    """TIFF's LZW: codes of 9 to 12 bits, most significant bit first, one bit more one code early."""
    bits = ""
    table = {bytes((value,)): value for value in range(256)}
    prefix = b""
    width, following = 9, 258
    bits += f"{256:09b}"
    for value in data:
        longer = prefix + bytes((value,))
        if longer in table:
            prefix = longer
            continue
        bits += f"{table[prefix]:0{width}b}"
        table[longer] = following
        following += 1
        if following > 4094:
            bits += f"{256:0{width}b}"
            table = {bytes((value,)): value for value in range(256)}
            following = 258
        width = max(9, (following).bit_length())
        prefix = bytes((value,))
    if prefix:
        bits += f"{table[prefix]:0{width}b}"
        following += 1
        width = max(9, min(12, following.bit_length()))
    bits += f"{257:0{width}b}"
    bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packbits(data: bytes) -> bytes:
    """Runs of equal bytes, and literal bytes between them."""
    out = bytearray()
    at = 0
    while at < len(data):
        run = 1
        while at + run < len(data) and run < 128 and data[at + run] == data[at]:
            run += 1
        if run > 1:
            out += bytes((257 - run, data[at]))
            at += run
            continue
        end = at + 1
        while end < len(data) and end - at < 128 and data[end] != data[end - 1]:
            end += 1
        out += bytes((end - at - 1,)) + data[at:end]
        at = end
    return bytes(out)


def zstd(data: bytes) -> bytes:
    """A Zstandard frame of uncompressed blocks."""
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    blocks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    for index, block in enumerate(blocks):
        frame += (len(block) << 3 | (index == len(blocks) - 1)).to_bytes(3, "little") + block
    return frame


COMPRESSORS: dict[int, Callable[[bytes], bytes]] = {
    NONE: bytes,
    LZW: lzw,
    DEFLATE: zlib.compress,
    OLD_DEFLATE: zlib.compress,
    PACKBITS: packbits,
    LZMA: lzma.compress,
    ZSTD: zstd,
}


def fax(rows: Sequence[Sequence[Sample]], compression: int) -> bytes:
    """Encode black and white rows with libtiff; 1 is black."""
    raw = b"".join(bytes(255 * (1 - int(value)) for value in row) for row in rows)
    image = Image.frombytes("L", (len(rows[0]), len(rows)), raw).convert("1")
    out = io.BytesIO()
    name = {RLE: "tiff_ccitt", FAX3: "group3", FAX4: "group4"}[compression]
    image.save(out, "TIFF", compression=name, strip_size=1 << 24, tiffinfo={262: 0})
    saved = Image.open(io.BytesIO(out.getvalue()))
    tags = saved.tag_v2  # type: ignore[attr-defined]
    return out.getvalue()[tags[273][0] : tags[273][0] + tags[279][0]]


# Kinds ----------------------------------------------------------------------------------------------------------------

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128))
"""The colours of the four quarters."""
SHADES = (20, 100, 180, 240)
SHOWN_SHADES = tuple((shade, shade, shade) for shade in SHADES)
STRETCHED_SHADES = tuple((shade, shade, shade) for shade in (0, 93, 185, 255))
"""The shades after they were stretched from black to white."""
BILEVEL = ((0, 0, 0), (255, 255, 255), (255, 255, 255), (0, 0, 0))
NAN, INF = float("nan"), float("inf")


def grey(change: Callable[[int], Sample] = int, **options: Any) -> Tiff:
    """Shades of grey; `change` converts each of them to a sample of the file."""
    return Tiff(tuple((change(shade),) for shade in SHADES), **{"photometric": 1, **options})


def rgb(change: Callable[[int], Sample] = int, *more: Sample, **options: Any) -> Tiff:
    """Colours with further channels; `change` converts each channel to a sample of the file."""
    return Tiff(tuple((*map(change, colour), *more) for colour in COLOURS), **options)


def cmyk(change: Callable[[int], Sample] = int, *more: Sample, **options: Any) -> Tiff:
    """Colours of cyan, magenta and yellow alone."""
    inks = tuple((*(change(255 - value) for value in colour), 0, *more) for colour in COLOURS)
    return Tiff(inks, **{"photometric": 5, **options})


def palette(bits: int, scale: int, *more: Sample, **options: Any) -> Tiff:
    """Indices into a colour map whose values are multiplied by `scale`."""
    columns = ([colour[channel] * scale for colour in COLOURS][: 1 << bits] for channel in range(3))
    entries = [value for column in columns for value in (*column, *[0] * ((1 << bits) - len(column)))]
    indices = tuple((index % (1 << bits), *more) for index in range(4))
    return Tiff(indices, photometric=3, bits=bits, **options, tags={320: ("H", entries)})


def with_hole(tiff: Tiff) -> Tiff:
    """The image with an additional channel, which makes its last quarter transparent."""
    opaque = (1 << tiff.bits) - 1
    *corners, last = tiff.quarters
    return replace(tiff, quarters=[*((*quarter, opaque) for quarter in corners), [0] * (len(last) + 1)])


def bilevel(**options: Any) -> Tiff:
    """Black, white, white, black."""
    values = (0, 1, 1, 0) if options.get("photometric", 1) == 1 else (1, 0, 0, 1)
    return Tiff(tuple((value,) for value in values), **{"photometric": 1, "bits": 1, **options})


def ycbcr(
    weights: tuple[float, float] = (0.299, 0.114),
    luma: tuple[int, int] = (0, 255),
    chroma: int = 255,
    scale: int = 1,
    **options: Any,
) -> Tiff:
    """Colours as luminance and two differences (ITU-T T.871, or with other weights of red and blue and ranges)."""
    quarters = []
    for red, green, blue in COLOURS:
        luminance = weights[0] * red + (1 - sum(weights)) * green + weights[1] * blue
        differences = (blue - luminance) / (2 - 2 * weights[1]), (red - luminance) / (2 - 2 * weights[0])
        level = luma[0] + luminance * (luma[1] - luma[0]) / 255
        quarters.append(
            [round(scale * level), *(round(scale * (128 + difference * chroma / 255)) for difference in differences)]
        )
    return Tiff(quarters, **{"photometric": 6, "subsampling": (2, 2), **options})


def lab(lightness: float, difference: float, signed: bool, bits: int, *more: Sample, **options: Any) -> Tiff:
    """Colours in CIELAB (D50); the arguments scale lightness and both differences to samples."""
    values = ((44.0, 63.7, 47.0), (70.7, -63.7, 63.5), (25.9, 48.8, -86.7), (53.6, 0, 0))
    centre = 0 if signed else 128 * difference
    quarters = [
        (round(light * lightness), *(round(factor * difference + centre) % (1 << bits) for factor in rest), *more)
        for light, *rest in values
    ]
    return Tiff(quarters, bits=bits, **options)


def _half(value: float) -> int:
    return round(value * 128 / 255)


@dataclass(frozen=True)
class Kind:
    """A kind of TIFF and its expected colours."""

    name: str
    tiff: Tiff
    colours: Sequence[Sequence[int]] = COLOURS
    """The colours of the quarters; four values if they have transparency."""
    tolerance: int = 2
    organised: bool = True
    """Whether it may be organised and compressed in every way."""

    def __str__(self) -> str:
        return self.name


def scaled(bits: int) -> Callable[[int], int]:
    """Convert 8-bit values to the same fraction of white in another number of bits, rounded down."""
    return lambda value: value * 0x1010101 >> 32 - bits


def _as_shown(shades: Sequence[int], bits: int) -> list[tuple[int, int, int]]:
    """The greys that remain of shades with so few bits."""
    most = (1 << min(bits, 8)) - 1
    greys = [round((shade >> max(0, 8 - bits)) * 255 / most) for shade in shades]
    return [(shade, shade, shade) for shade in greys]


def _see_through(colours: Sequence[Sequence[int]], alpha: int = 128) -> tuple[tuple[int, ...], ...]:
    return tuple((*colour, alpha) for colour in colours)


_COARSE = 16
"""8 bits of CIELAB leave that much open in saturated colours."""
_INFINITE = {(0, 0): (NAN,), (9, 9): (INF,), (12, 40): (-INF,)}

KINDS: tuple[Kind, ...] = (
    *(Kind(f"grey, {bits} bits", grey(scaled(bits), bits=bits), _as_shown(SHADES, bits))
      for bits in (2, 4, 6, 8, 9, 10, 12, 14, 16)),
    *(Kind(f"grey where white is zero, {bits} bits", Tiff([(scaled(bits)(255 - v),) for v in SHADES], 0, bits),
           _as_shown(SHADES, bits)) for bits in (2, 4, 8, 12, 16)),
    Kind("black and white", bilevel(), BILEVEL),
    Kind("black and white where white is zero", bilevel(photometric=0), BILEVEL),
    *(Kind(f"palette, {bits} bits, map of {name}", palette(bits, scale), COLOURS[: 1 << bits] * (2 if bits == 1 else 1))
      for bits in (1, 2, 4, 8) for name, scale in (("8 bits", 1), ("16 bits", 257))),
    Kind("palette of 1 bit and something", palette(1, 257, 1, extra_samples=(0,)), COLOURS[:2] * 2),
    Kind("palette and alpha", palette(8, 257, 128, extra_samples=(2,)), _see_through(COLOURS)),
    Kind("grey and alpha", Tiff([(v, 128) for v in SHADES], 1, extra_samples=(2,)), _see_through(SHOWN_SHADES)),
    Kind("grey, premultiplied", Tiff([(_half(v), 128) for v in SHADES], 1, extra_samples=(1,)),
         _see_through(SHOWN_SHADES), 3),
    Kind("grey, premultiplied, 16 bits", Tiff([(v * 129, 33024) for v in SHADES], 1, 16, extra_samples=(1,)),
         _see_through(SHOWN_SHADES, 129), 3),
    Kind("grey and something", Tiff([(v, 77) for v in SHADES], 1, extra_samples=(0,)), SHOWN_SHADES),
    *(Kind(f"RGB, {bits} bits", rgb(scaled(bits), bits=bits), tolerance=tolerance)
      for bits, tolerance in ((5, 8), (8, 2), (10, 2), (12, 2), (16, 2), (32, 2))),
    Kind("RGBA", rgb(int, 128, extra_samples=(2,)), _see_through(COLOURS)),
    Kind("RGBA of which nothing is said", rgb(int, 128), _see_through(COLOURS)),
    Kind("RGBA, 16 bits", rgb(lambda v: v * 257, 0x8000, bits=16, extra_samples=(2,)), _see_through(COLOURS)),
    Kind("RGB, premultiplied", rgb(_half, 128, extra_samples=(1,)), _see_through(COLOURS), 3),
    Kind("RGB, premultiplied, 16 bits", rgb(lambda v: v * 129, 33024, bits=16, extra_samples=(1,)),
         _see_through(COLOURS, 129), 3),
    Kind("RGB and something", rgb(int, 77, extra_samples=(0,))),
    Kind("RGB, something and alpha", rgb(int, 77, 128, extra_samples=(0, 2)), _see_through(COLOURS)),
    Kind("CMYK", cmyk()),
    Kind("CMYK, 16 bits", cmyk(lambda v: v * 257, bits=16)),
    Kind("CMYK and alpha", cmyk(int, 128, extra_samples=(2,)), _see_through(COLOURS)),
    Kind("CMYK, premultiplied", cmyk(_half, 128, extra_samples=(1,)), _see_through(COLOURS), 4),
    *(Kind(f"YCbCr, {across} × {down}", ycbcr(subsampling=(across, down)), tolerance=3, organised=False)
      for across in (1, 2, 4) for down in (1, 2, 4)),
    Kind("YCbCr, 16 bits", ycbcr(scale=257, bits=16), tolerance=3, organised=False),
    Kind("YCbCr of video", ycbcr(luma=(16, 235), chroma=224, tags={532: ("H", [16, 235, 128, 240, 128, 240])}),
         tolerance=3, organised=False),
    Kind("YCbCr of ITU-R BT.709", ycbcr((0.2126, 0.0722), tags={529: ("f", [0.2126, 0.7152, 0.0722])}),
         tolerance=3, organised=False),
    Kind("YCbCr of ITU-R BT.709, in fractions",
         ycbcr((0.2126, 0.0722), tags={529: ("r", [2126, 10000, 7152, 10000, 722, 10000])}), tolerance=3,
         organised=False),
    Kind("CIELab", lab(2.55, 1, True, 8, photometric=8), tolerance=_COARSE),
    Kind("CIELab, 16 bits", lab(655.35, 256, True, 16, photometric=8), tolerance=_COARSE),
    Kind("ICCLab", lab(2.55, 1, False, 8, photometric=9), tolerance=_COARSE),
    Kind("ICCLab, 16 bits", lab(652.8, 256, False, 16, photometric=9), tolerance=_COARSE),
    Kind("CIELab and alpha", lab(2.55, 1, True, 8, 128, photometric=8, extra_samples=(2,)), _see_through(COLOURS),
         _COARSE),
    *(Kind(f"grey, floats of {bits} bits", grey(lambda v: v / 255, bits=bits, number="float"), SHOWN_SHADES)
      for bits in (16, 32, 64)),
    Kind("grey, floats, some without a value", grey(lambda v: v / 255, bits=32, number="float", holes=_INFINITE),
         SHOWN_SHADES),
    Kind("floats where white is zero",
         grey(lambda v: 1 - v / 255, bits=32, number="float", photometric=0, holes=_INFINITE), SHOWN_SHADES),
    Kind("floats without a scale", grey(float, bits=32, number="float", holes=_INFINITE), STRETCHED_SHADES),
    Kind("floats with a mark for no data",
         grey(float, bits=32, number="float", holes={(3, 3): (-9999.0,)}, tags={42113: ("s", b"-9999\0")}),
         STRETCHED_SHADES),
    Kind("floats with the highest number for no data",
         grey(float, bits=32, number="float", holes={(3, 3): (9999.0,)}, tags={42113: ("s", b"9999\0")}),
         STRETCHED_SHADES),
    Kind("floats with an empty stated scale",
         grey(float, bits=64, number="float", tags={340: ("d", [9]), 341: ("d", [9])}), STRETCHED_SHADES),
    Kind("floats with the least number for no data",
         grey(float, bits=32, number="float", holes={(3, 3): (-3.4028234e38,)}), STRETCHED_SHADES),
    Kind("floats with a stated scale", grey(float, bits=64, number="float", tags={340: ("d", [0]), 341: ("d", [255])}),
         SHOWN_SHADES),
    Kind("grey, 32 bits", grey(lambda v: v * 0x1010101, bits=32), STRETCHED_SHADES),
    *(Kind(f"grey, signed, {bits} bits", Tiff([((v - 128) << bits - 8,) for v in SHADES], 1, bits, "int"),
           STRETCHED_SHADES) for bits in (8, 16, 32)),
    Kind("grey, signed, with a mark for no data",
         grey(lambda v: v - 128, bits=16, number="int", holes={(3, 3): (-32768,)}, tags={42113: ("s", b"-32768 ")}),
         STRETCHED_SHADES),
    *(Kind(f"RGB, floats of {bits} bits", rgb(lambda v: v / 255, bits=bits, number="float")) for bits in (16, 32, 64)),
    Kind("RGBA, floats", rgb(lambda v: v / 255, 0.5, bits=32, number="float", extra_samples=(2,)),
         _see_through(COLOURS)),
    Kind("RGB, floats, premultiplied",
         rgb(lambda v: v / 510, 0.5, bits=32, number="float", extra_samples=(1,)), _see_through(COLOURS), 3),
)  # fmt: skip

_WAYS = (*LOSSLESS, LZW, DEFLATE)


def organised(tiff: Tiff, seed: int) -> Tiff:
    """The same image with another organisation and compression."""
    chance = random.Random(seed)
    compression = chance.choice(_WAYS)
    predictable = compression not in (NONE, PACKBITS) and tiff.bits in (8, 16, 32, 64)
    predictors = [1, 2, 3] if tiff.number == "float" else [1, 2]
    return replace(
        tiff,
        compression=compression,
        predictor=chance.choice(predictors) if predictable else 1,
        planar=chance.random() < 0.4,
        tile=chance.choice((None, None, (16, 16), (48, 32), (128, 64))),
        rows_per_strip=chance.choice((None, 1, 7, 16)),
        little=chance.random() < 0.5,
        big=chance.random() < 0.4,
        reversed_bits=chance.random() < 0.1,
    )


# Files of more than one page, and of tags that do not fit together ----------------------------------------------------


def thumbnail_first(sub_directory: bool = False) -> bytes:
    """A file whose first page is a small copy (NewSubfileType 1) of another page or the parent of it."""
    small = rgb(lambda value: 255 - value, size=(16, 12), tags={254: ("I", [1])})
    whole = rgb(size=SIZE, tags={254: ("I", [0])})
    pages = [(small.directory(), small.chunks()), (whole.directory(), whole.chunks())]
    if not sub_directory:
        return document(pages)
    alone = document([pages[1]])
    start = int.from_bytes(alone[4:8], "little")
    # The same offsets hold in a longer file: its first directory comes behind, with the small copy's strip.
    small_at = len(alone)
    tags = {**pages[0][0], 273: ("I", [small_at]), 279: ("I", [len(pages[0][1][0])]), 330: ("I", [start])}
    behind = document([(tags, [])])[8:]
    directory_at = small_at + len(pages[0][1][0])
    head = alone[:4] + directory_at.to_bytes(4, "little")
    return head + alone[8:] + pages[0][1][0] + _moved(behind, directory_at - 8)


def _moved(directory: bytes, by: int) -> bytes:
    """A little-endian directory that was written for offset 8, with its pointers for another place."""
    out = bytearray(directory)
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 11: 4, 12: 8}
    for row in range(2, 2 + 12 * int.from_bytes(out[:2], "little"), 12):
        kind, count = struct.unpack_from("<HI", out, row + 2)
        if sizes[kind] * count > 4:
            struct.pack_into("<I", out, row + 8, struct.unpack_from("<I", out, row + 8)[0] + by)
    return bytes(out)


def old_jpeg(pieces: bool = False) -> bytes:
    """Old-style JPEG: a tag points to one stream, or to the tables, and a strip contains the scan."""
    stream = saved(quarters(), "JPEG", quality=95, subsampling=0)
    scan = stream.index(b"\xff\xda")
    start = 8
    head, strip = (stream[:scan], stream[scan:]) if pieces else (stream, b"")
    tags = {
        **rgb(size=SIZE, photometric=6, compression=OLD_JPEG).directory(),
        513: ("I", [start]),
        514: ("I", [len(head)]),
        273: ("I", [start + len(head) if pieces else start]),
        279: ("I", [len(strip) or len(head)]),
    }
    behind = document([(tags, [])])[8:]
    return b"II*\0" + (8 + len(head + strip)).to_bytes(4, "little") + head + strip + _moved(behind, len(head + strip))


def twice(data: bytes, tag: int) -> bytes:
    """A little-endian file whose first directory contains a tag twice; data after the directory is lost."""
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    rows = [data[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    rows.insert(0, next(row for row in rows if row[:2] == tag.to_bytes(2, "little")))
    # Behind the file, so that every offset stays right.
    directory = struct.pack("<H", len(rows)) + b"".join(rows) + bytes(4)
    return data[:4] + len(data).to_bytes(4, "little") + data[8:] + directory


def giant_tile() -> bytes:
    """An image of 10 × 10 pixels in a tile of 20,000 × 20,000 that its bytes could hold."""
    tiff = rgb(size=(10, 10), compression=DEFLATE, tags={322: ("I", [20_000]), 323: ("I", [20_000])})
    tags = {tag: value for tag, value in tiff.directory().items() if tag != 278}
    return document([(tags, [random.Random(1).randbytes(1_300_000)])])


def strips(count: int, rows: int = 1, **options: Any) -> bytes:
    """A directory of many strips that share the same bytes."""
    tiff = grey(size=(1, count * rows), rows_per_strip=rows, **options)
    return document([({**tiff.directory(), 273: ("I", [8] * count), 279: ("I", [100] * count)}, [])])


def pages(count: int, circle: bool = False) -> bytes:
    """A file of many small pages; the last one may link to the first."""
    page = grey(size=(4, 4))
    single_page = (page.directory(), page.chunks())
    first = 8 + 16 if count else 0
    return document([single_page] * count, last_link=first if circle else 0)


_IN_CORPUS = frozenset(
    {
        "grey, 12 bits", "grey where white is zero, 16 bits", "palette, 8 bits, map of 8 bits",
        "RGB, 16 bits", "RGB, 32 bits", "CMYK, 16 bits", "CIELab, 16 bits",
        "grey, floats, some without a value", "floats with a mark for no data",
        "grey, 32 bits", "grey, signed, 16 bits", "RGB, floats of 32 bits", "RGB, floats of 16 bits",
    }
)  # fmt: skip
"""Kinds that are tried in every way that files of the corpus are."""

GOOD: tuple[Good, ...] = (
    *(
        Good(
            f"TIFF {kind.name}",
            lambda kind=kind: organised(replace(kind.tiff, size=SIZE), len(kind.name)).data(),  # type: ignore[misc]
            "TIFF",
            tuple(tuple(colour) for colour in kind.colours),  # type: ignore[misc]
            kind.tolerance,
        )
        for kind in KINDS
        if kind.name in _IN_CORPUS
    ),
    *(
        Good(f"TIFF {name}", lambda tiff=tiff: replace(tiff, size=SIZE).data(), "TIFF", (*colours[:3], HOLE))  # type: ignore[misc]
        for name, tiff, colours in (
            ("grey, premultiplied", with_hole(grey(bits=8, extra_samples=(1,))), SHOWN_SHADES),
            ("RGB, premultiplied", with_hole(rgb(lambda v: v * 257, bits=16, extra_samples=(1,))), COLOURS),
            ("CMYK and alpha", with_hole(cmyk(extra_samples=(2,))), COLOURS),
        )
    ),
    Good("TIFF YCbCr, 2 × 2", lambda: ycbcr(size=SIZE).data(), "TIFF", COLOURS),
    Good("TIFF after its thumbnail", lambda: thumbnail_first(), "TIFF", COLOURS, frames=2),
    Good("TIFF subordinate to its thumbnail", lambda: thumbnail_first(sub_directory=True), "TIFF", COLOURS),
    Good("TIFF with an old-style JPEG", old_jpeg, "TIFF"),
    Good("TIFF fax, group 3", lambda: bilevel(size=SIZE, compression=FAX3).data(), "TIFF", BILEVEL),
    Good("TIFF in JPEG tiles", lambda: rgb(size=SIZE, compression=JPEG, tile=(64, 48)).data(), "TIFF", COLOURS),
    Good("TIFF CMYK in JPEG", lambda: cmyk(size=SIZE, compression=JPEG).data(), "TIFF", COLOURS),
)
BAD: tuple[Bad, ...] = (
    Bad("TIFF with a tile of 20,000 × 20,000", giant_tile, ImageTooLargeError, "MB"),
    Bad("TIFF of a million strips", lambda: strips(1_000_000), ImageTooLargeError, "1,000,000 strips"),
    Bad("TIFF with its width twice", lambda: twice(rgb().data(), 256), CorruptImageError, "tag 256"),
    Bad("TIFF whose strips overlap", lambda: strips(4000, compression=PACKBITS), CorruptImageError, "overlap"),
    Bad("TIFF with strips of no rows", lambda: rgb(tags={278: ("I", [0])}).data(), CorruptImageError, "64 × 0"),
    Bad("TIFF LERC", lambda: rgb(tags={259: ("H", [34887])}).data(), UnsupportedFormatError,
        "RGB, 8 bits per channel, 3 channels, LERC"),
    Bad("TIFF of complex numbers", lambda: grey(bits=64, number="float", tags={339: ("H", [6])}).data(),
        UnsupportedFormatError, "complex"),
    Bad("TIFF of other inks", lambda: cmyk(tags={332: ("H", [2])}).data(), UnsupportedFormatError, "inks"),
    Bad("TIFF with a short colour map", lambda: replace(palette(8, 1), tags={320: ("H", [0] * 12)}).data(),
        CorruptImageError, "colour map"),
    Bad("TIFF with an old-style JPEG in pieces", lambda: old_jpeg(pieces=True), UnsupportedFormatError, "pieces",
        in_header=False),
)  # fmt: skip
