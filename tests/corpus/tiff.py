"""TIFF files of any kind, written by hand: nothing that decodes them takes part in making them.

The picture is four quarters. Their samples are given as the file shall hold them.
"""

from __future__ import annotations

import io
import lzma
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

NONE, RLE, FAX3, FAX4, LZW, OLD_JPEG, JPEG, DEFLATE = range(1, 9)
PACKBITS, OLD_DEFLATE, LZMA, ZSTD = 32773, 32946, 34925, 50000
LOSSLESS = (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA, ZSTD)

Sample = int | float
Quarters = Sequence[Sequence[Sample]]
"""Samples of the upper left, upper right, lower left and lower right quarter."""

_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "b": 6, "u": 7, "h": 8, "i": 9, "f": 11, "d": 12, "Q": 16}


@dataclass(frozen=True)
class Tiff:
    """A file to be written: `data()` gives its bytes."""

    quarters: Quarters
    photometric: int = 2
    bits: int = 8
    number: str = "uint"
    """uint, int or float."""
    size: tuple[int, int] = (64, 48)
    """Of the stored pixels."""
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
        """Samples of a pixel."""
        return len(self.quarters[0])

    def pixel(self, x: int, y: int) -> Sequence[Sample]:
        """Samples at a place; beyond the picture, as in the last row and column."""
        x, y = min(x, self.size[0] - 1), min(y, self.size[1] - 1)
        if self.noise:
            chance = random.Random(f"{self.noise} {x} {y}")
            if self.number == "float":
                return [round(chance.random() * 1024) / 1024 for _ in range(self.channels)]
            return [chance.getrandbits(self.bits) for _ in range(self.channels)]
        return self.holes.get((x, y)) or self.quarters[(x >= self.size[0] // 2) + 2 * (y >= self.size[1] // 2)]

    def data(self) -> bytes:
        """The file."""
        return document([(self.directory(), self.chunks())], self.little, self.big)

    def directory(self) -> dict[int, tuple[str, Sequence[Any]]]:
        """Its tags, without those that say where strips or tiles are."""
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
        return {tag: value for tag, value in {**tags, **self.tags}.items() if value[0]}

    def chunks(self) -> list[bytes]:
        """Its strips or tiles, compressed."""
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
            rows = [
                [self.pixel(x, y)[channel] for x in range(left, left + width) for channel in plane]
                for y in range(top, top + height)
            ]
        if self.compression in (RLE, FAX3, FAX4):
            return fax(rows, self.compression)
        raw = b"".join(self._packed(row, len(plane)) for row in rows)
        return COMPRESSORS[self.compression](raw)

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
        image = Image.new(mode, (width, height))
        for x in range(width):
            for y in range(height):
                values = tuple(self.pixel(left + x, top + y)[channel] for channel in plane)
                image.putpixel((x, y), values if len(values) > 1 else values[0])  # type: ignore[arg-type]
        if mode == "CMYK":  # Pillow inverts what it writes, as Adobe does; TIFF does not
            image = image.point(lambda value: 255 - value)
        out = io.BytesIO()
        if self.photometric == 6:  # the encoder makes YCbCr of RGB: give it what comes out as these samples
            image = Image.merge("YCbCr", image.split()).convert("RGB")
        image.save(out, "JPEG", quality=98, **({} if self.photometric == 6 else {"keep_rgb": True}))
        return out.getvalue()


def document(
    pages: Sequence[tuple[Mapping[int, tuple[str, Sequence[Any]]], Sequence[bytes]]],
    little: bool = True,
    big: bool = False,
    last_link: int = 0,
) -> bytes:
    """A file of pages: the tags of each and its strips or tiles, which come before its directory."""
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
            raw = bytes(values) if kind in "su" else struct.pack(f"{order}{len(values)}{kind}", *values)
            table += struct.pack(f"{order}HH{word}", tag, _TYPES[kind], len(values))
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
    """The bits of each byte in reverse, as FillOrder 2 stores them."""
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
    bits, table, prefix = "", {bytes((value,)): value for value in range(256)}, b""
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
            table = {bytes((each,)): each for each in range(256)}
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
    out, at = bytearray(), 0
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
    """A Zstandard frame of blocks that are not compressed."""
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
    """Black and white rows, by the encoder of libtiff; 1 is black."""
    image = Image.new("1", (len(rows[0]), len(rows)))
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            image.putpixel((x, y), 255 * (1 - int(value)))
    out = io.BytesIO()
    name = {RLE: "tiff_ccitt", FAX3: "group3", FAX4: "group4"}[compression]
    image.save(out, "TIFF", compression=name, strip_size=1 << 24, tiffinfo={262: 0})
    saved = Image.open(io.BytesIO(out.getvalue()))
    tags = saved.tag_v2  # type: ignore[attr-defined]
    return out.getvalue()[tags[273][0] : tags[273][0] + tags[279][0]]
