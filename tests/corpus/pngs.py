"""PNG files from chunks, in any combination, valid or not (PNG 3rd edition)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

from image_pipeline.errors import CorruptImageError, UnsupportedFormatError
from tests.corpus import GREYS, HOLE, QUARTERS, SIZE, Bad, Good

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
KINDS = [(GREY, bits) for bits in (1, 2, 4, 8, 16)] + [(PALETTE, bits) for bits in (1, 2, 4, 8)]
KINDS += [(kind, bits) for kind in (RGB, GREY_ALPHA, RGBA) for bits in (8, 16)]
"""Every (colour type, bits)."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""(left, top, columns apart, rows apart) of the passes of an interlaced image."""

Samples = Callable[[int, int], Sequence[int]]
"""(x, y) → the samples of a pixel."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, payload: bytes = b"", *, length: int | None = None, checksum: int | None = None) -> bytes:
    """One chunk; `length` and `checksum` replace the correct ones."""
    length = len(payload) if length is None else length
    checksum = zlib.crc32(kind + payload) if checksum is None else checksum
    return struct.pack(">I", length) + kind + payload + struct.pack(">I", checksum)


def header(
    size: tuple[int, int], bits: int, kind: int, interlaced: int = 0, compression: int = 0, filtering: int = 0
) -> bytes:
    """The chunk IHDR."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, kind, compression, filtering, interlaced))


def rows(size: tuple[int, int], bits: int, samples: Samples, interlaced: bool = False) -> bytes:
    """Rows of packed samples, each after a filter byte of 0."""
    out = b""
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        for y in range(top, size[1], down) if left < size[0] else ():
            values = [value for x in range(left, size[0], across) for value in samples(x, y)]
            number = 0
            for value in values:
                number = number << bits | value
            used = bits * len(values)
            out += b"\0" + (number << -used % 8).to_bytes((used + 7) // 8, "big")
    return out


def blank(size: tuple[int, int], bits: int, kind: int, interlaced: bool = False) -> bytes:
    """Rows of zeros, each after a filter byte of 0, which are fast to make for images of any size."""
    length = 0
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, lines = -(-(size[0] - left) // across), -(-(size[1] - top) // down)
        length += lines * (1 + -(-columns * bits * CHANNELS[kind] // 8)) if columns > 0 else 0
    return bytes(length)


def data(raw: bytes, pieces: int = 1) -> bytes:
    """The compressed image data in this number of IDAT chunks."""
    packed = zlib.compress(raw)
    step = max(1, -(-len(packed) // pieces))
    return b"".join(chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step))


def png(*chunks: bytes, end: bytes = chunk(b"IEND")) -> bytes:
    """A whole file."""
    return SIGNATURE + b"".join(chunks) + end


# The cases ------------------------------------------------------------------------------------------------------------


def quarter(x: int, y: int) -> int:
    """The quarter of the image that contains a pixel."""
    return 2 * (2 * y >= SIZE[1]) + (2 * x >= SIZE[0])


def quarters(kind: int, bits: int, colours: Sequence[Sequence[int]], *extra: bytes, interlaced: bool = False) -> bytes:
    """The image with these samples in its quarters, and with further chunks before its pixels."""
    if interlaced:
        raw = rows(SIZE, bits, lambda x, y: colours[quarter(x, y)], interlaced)
    else:  # two different rows
        row, half = (SIZE[0], 1), SIZE[1] // 2
        raw = b"".join(rows(row, bits, lambda x, _, y=y: colours[quarter(x, y)]) * half for y in (0, half))  # type: ignore[misc]
    return png(header(SIZE, bits, kind, interlaced), *extra, data(raw))


def key(*samples: int) -> bytes:
    """The chunk tRNS with the samples of a colour."""
    return chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))


_MUTED = ((200, 60, 40), (60, 180, 90), (40, 70, 200), (128, 128, 128))
_AS_P3 = ((217, 42, 23), (0, 183, 78), (29, 71, 208), (128, 128, 128))
_LINEAR = ((229, 133, 110), (133, 219, 160), (110, 143, 229), (188, 188, 188))
_GREYS_4 = [(round(grey[0] / 17),) for grey in GREYS]
_GREYS_16 = [(257 * grey[0],) for grey in GREYS]
_GREYS_AND_ALPHA_16 = [(*grey, alpha) for grey, alpha in zip(_GREYS_16, (65535, 65535, 65535, 0), strict=True)]
_DEEP = [tuple(257 * value for value in colour) for colour in QUARTERS]
_PALETTE = chunk(b"PLTE", bytes(value for colour in QUARTERS for value in colour))
_INDICES = [(0,), (1,), (2,), (3,)]
_GREYS_AND_HOLE = (*GREYS[:3], HOLE)
_COLOURS_AND_HOLE = (*QUARTERS[:3], HOLE)
_PLAIN_ROWS = rows(SIZE, 8, lambda x, y: QUARTERS[quarter(x, y)])
_WITH_WRONG_SUM = zlib.compress(_PLAIN_ROWS)[:-1] + b"x"

GOOD: tuple[Good, ...] = (
    Good("PNG grey, 4 bits", lambda: quarters(GREY, 4, _GREYS_4), "PNG", GREYS, 10),
    Good("PNG grey, 4 bits, with tRNS", lambda: quarters(GREY, 4, _GREYS_4, key(15)), "PNG", _GREYS_AND_HOLE, 10),
    Good("PNG grey, 16 bits, with tRNS", lambda: quarters(GREY, 16, _GREYS_16, key(65535)), "PNG", _GREYS_AND_HOLE),
    Good(
        "PNG grey and alpha, 16 bits, interlaced",
        lambda: quarters(GREY_ALPHA, 16, _GREYS_AND_ALPHA_16, interlaced=True),
        "PNG",
        _GREYS_AND_HOLE,
    ),
    Good("PNG RGB, 16 bits, with tRNS", lambda: quarters(RGB, 16, _DEEP, key(*_DEEP[3])), "PNG", _COLOURS_AND_HOLE),
    Good(
        "PNG palette, 4 bits, interlaced, with tRNS",
        lambda: quarters(PALETTE, 4, _INDICES, _PALETTE, chunk(b"tRNS", b"\xff\xff\xff\0"), interlaced=True),
        "PNG",
        _COLOURS_AND_HOLE,
    ),
    Good("PNG with cICP of P3", lambda: quarters(RGB, 8, _MUTED, chunk(b"cICP", b"\x0c\x0d\0\1")), "PNG", _AS_P3),
    Good("PNG with gAMA of 1", lambda: quarters(RGB, 8, _MUTED, chunk(b"gAMA", b"\0\1\x86\xa0")), "PNG", _LINEAR),
    Good("PNG with gAMA of sRGB", lambda: quarters(RGB, 8, _MUTED, chunk(b"gAMA", b"\0\0\xb1\x8f")), "PNG", _MUTED),
    Good(
        "PNG with damaged chunks",
        lambda: quarters(
            RGB, 8, QUARTERS, chunk(b"pHYs", b"short"), chunk(b"tIME", bytes(7), checksum=1), chunk(b"eXIf", b"oops")
        ),
        "PNG",
    ),
    Good(
        "PNG whose text has a wrong length",
        lambda: quarters(RGB, 8, QUARTERS, chunk(b"tEXt", b"Comment\0text", length=9)),
        "PNG",
    ),
)  # fmt: skip

BAD: tuple[Bad, ...] = (
    Bad(
        "PNG with two headers",
        lambda: quarters(RGB, 8, QUARTERS, header((60_000, 60_000), 8, RGB)),
        CorruptImageError,
        "two IHDR",
    ),
    Bad("PNG without palette", lambda: quarters(PALETTE, 8, _INDICES), CorruptImageError, "no palette"),
    Bad(
        "PNG with an unknown critical chunk",
        lambda: quarters(RGB, 8, QUARTERS, chunk(b"ABCD")),
        UnsupportedFormatError,
        "ABCD",
    ),
    Bad(
        "PNG in Apple's variant",
        lambda: png(chunk(b"CgBI", b"\x30\0\x20\2"), header(SIZE, 8, RGB), data(_PLAIN_ROWS)),
        UnsupportedFormatError,
        "CgBI",
    ),
    Bad(
        "PNG that lacks its last row",
        lambda: png(header(SIZE, 8, RGB), data(_PLAIN_ROWS[: -(1 + 3 * SIZE[0])])),
        CorruptImageError,
        "PNG",
        False,
    ),
    Bad(
        "PNG whose pixels have a wrong sum",
        lambda: png(header(SIZE, 8, RGB), chunk(b"IDAT", _WITH_WRONG_SUM)),
        CorruptImageError,
        "PNG",
        False,
    ),
)
