"""BMP files of any kind, valid or not, written by hand (Microsoft's and IBM's headers)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from image_pipeline.errors import CorruptImageError, UnsupportedFormatError
from tests.corpus import HOLE, SIZE, Bad, Good

COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128))
"""The colours of the four quarters."""
RGB, RLE8, RLE4, BITFIELDS, JPEG, PNG, ALPHA_BITFIELDS = range(7)
SRGB, WINDOWS, EMBEDDED, LINKED = b"BGRs", b" niW", b"DEBM", b"KNIL"

Masks = tuple[int, ...]


@dataclass(frozen=True)
class Bmp:
    """A file to write; `data()` returns its bytes."""

    bits: int = 24
    header: int = 40
    """Bytes of the header after that of the file."""
    compression: int = RGB
    size: tuple[int, int] = (64, 48)
    top_down: bool = False
    masks: Masks = ()
    """The masks of red, green, blue and, optionally, alpha."""
    alphas: tuple[int, int, int, int] = (255, 255, 255, 255)
    """The alpha of the quarters, 0 to 255; it is also stored in the unused byte of 32 bits."""
    palette: Sequence[tuple[int, int, int]] = COLOURS
    colours_used: int = 0
    offset: int | None = None
    """The offset of the pixels, instead of the correct one."""
    body: bytes | None = None
    """Coded pixels, in place of the quarters."""
    space: bytes = bytes(4)
    """Kind of colour space, of the longer headers."""
    endpoints: tuple[float, ...] = (0.0,) * 9
    gamma: float = 0
    profile: bytes = b""

    def data(self) -> bytes:
        """The bytes of the file."""
        info = self._info()
        entry = 3 if self.header == 12 else 4
        used = self.colours_used or 1 << self.bits
        entries = [bytes((blue, green, red)) + bytes(entry - 3) for red, green, blue in self.palette]
        table = b"".join(entries)[: entry * used].ljust(entry * used, b"\0") if self.bits <= 8 else b""
        if self.header == 40 and self.compression in (BITFIELDS, ALPHA_BITFIELDS):
            table = struct.pack(f"<{len(self.masks)}I", *self.masks)
        start = 14 + len(info) + len(table)
        body = self.rows() if self.body is None else self.body
        if self.header == 124 and self.profile:
            info = info[:112] + struct.pack("<II", start + len(body) - 14, len(self.profile)) + info[120:]
        total = start + len(body) + len(self.profile)
        head = b"BM" + struct.pack("<IHHI", total, 0, 0, start if self.offset is None else self.offset)
        return head + info + table + body + self.profile

    def _info(self) -> bytes:
        width, height = self.size
        if self.header == 12:
            return struct.pack("<IHHHH", 12, width, height, 1, self.bits)
        tall = -height if self.top_down else height
        short = struct.pack("<IiiHH", self.header, width, tall, 1, self.bits)
        rest = struct.pack("<IIiiII", self.compression, 0, 2835, 2835, self.colours_used, 0)
        masks = struct.pack("<4I", *(*self.masks, 0, 0, 0, 0)[:4])
        points = b"".join(round(value * (1 << 30)).to_bytes(4, "little") for value in self.endpoints)
        gamma = round(self.gamma * 65536).to_bytes(4, "little") * 3
        return (short + rest + masks + self.space + points + gamma + bytes(16))[: self.header].ljust(self.header, b"\0")

    def rows(self) -> bytes:
        """Uncompressed pixels."""
        width, height = self.size
        if self.bits == 0:
            return b""
        stride = (width * self.bits + 31) // 32 * 4
        lines = []
        for lower in (False, True):
            values = [self._value(2 * lower + (x >= width // 2)) for x in range(width)]
            if self.bits < 8:
                bits = "".join(f"{value:0{self.bits}b}" for value in values)
                line = int(bits.ljust(8 * stride, "0"), 2).to_bytes(stride, "big")
            else:
                line = b"".join(value.to_bytes(self.bits // 8, "little") for value in values).ljust(stride, b"\0")
            lines.append(line)
        rows = [lines[y >= height // 2] for y in range(height)]
        return b"".join(rows if self.top_down else reversed(rows))

    def _value(self, quarter: int) -> int:
        if self.bits <= 8:
            return quarter % (1 << self.bits)
        red, green, blue = COLOURS[quarter]
        alpha = self.alphas[quarter]
        default = {16: (0x7C00, 0x3E0, 0x1F), 24: (0xFF0000, 0xFF00, 0xFF)}
        masks = self.masks or default.get(self.bits, (0xFF0000, 0xFF00, 0xFF, 0xFF000000))
        pixel = sum(_placed(value, mask) for value, mask in zip((red, green, blue, alpha), masks, strict=False))
        return pixel % (1 << self.bits)


def _placed(value: int, mask: int) -> int:
    """Store 8 bits in the bits of a mask."""
    if not mask:
        return 0
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    return round(value * most / 255) << shift


def rle(bits: int, size: tuple[int, int] = (64, 48), *, absolute: bool = False, end: bytes = b"\0\1") -> bytes:
    """The quarters as runs or as literal pixels; each line ends with its code."""
    out = b""
    for y in reversed(range(size[1])):
        for right in (False, True):
            index = 2 * (y >= size[1] // 2) + right
            count = size[0] // 2
            pair = index if bits == 8 else index << 4 | index
            if not absolute:
                out += bytes((count, pair))
                continue
            literal = bytes((pair,)) * (count if bits == 8 else -(-count // 2))
            out += bytes((0, count)) + literal + bytes(len(literal) % 2)
        out += b"\0\0"
    return out[:-2] + end


# Kinds ----------------------------------------------------------------------------------------------------------------

_ALPHAS = (255, 255, 255, 0)
_RGB565, _RGB4444, _RGB1555 = (0xF800, 0x7E0, 0x1F), (0xF00, 0xF0, 0xF, 0xF000), (0x7C00, 0x3E0, 0x1F, 0x8000)
_BGRA, _RGBA, _ABGR = (
    (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
)
_DEEP = (0x3FF00000, 0xFFC00, 0x3FF)


def _masked(bits: int, masks: Masks, header: int = 56) -> Bmp:
    return Bmp(bits, header, BITFIELDS, masks=masks, alphas=_ALPHAS)


KINDS: dict[str, Bmp] = {
    "24 bits": Bmp(),
    "24 bits, odd width": Bmp(size=(63, 47)),
    "24 bits, top down": Bmp(top_down=True),
    "24 bits, first OS/2 header": Bmp(header=12),
    "24 bits, short OS/2 header": Bmp(header=16),
    "24 bits, long OS/2 header": Bmp(header=64),
    "24 bits with masks": Bmp(compression=BITFIELDS, masks=_BGRA[:3]),
    "24 bits, its offset left out": Bmp(offset=0),
    "2 bits": Bmp(2),
    "4 bits": Bmp(4),
    "4 bits, odd width": Bmp(4, size=(63, 47)),
    "8 bits": Bmp(8),
    "8 bits, first OS/2 header": Bmp(8, 12),
    "8 bits, a palette of four colours": Bmp(8, colours_used=4),
    "8 bits, top down": Bmp(8, top_down=True),
    "16 bits": Bmp(16),
    "16 bits, odd width": Bmp(16, size=(63, 47)),
    "16 bits, 5-6-5": _masked(16, _RGB565, 40),
    "16 bits, 5-6-5, odd width": replace(_masked(16, _RGB565, 40), size=(63, 47)),
    "16 bits, 4-4-4-4": _masked(16, _RGB4444),
    "16 bits, 1-5-5-5": _masked(16, _RGB1555),
    "32 bits": Bmp(32, alphas=_ALPHAS),
    "32 bits, a longer header": Bmp(32, 124, alphas=_ALPHAS, space=SRGB),
    "32 bits with masks": _masked(32, _BGRA[:3], 40),
    "32 bits with masks in the header": _masked(32, _BGRA[:3], 52),
    "32 bits with alpha": _masked(32, _BGRA),
    "32 bits with alpha, red first": _masked(32, _RGBA, 108),
    "32 bits with alpha first": _masked(32, _ABGR, 124),
    "32 bits with alpha, no masks for colours": Bmp(32, 108, masks=_BGRA, alphas=_ALPHAS),
    "32 bits with alpha behind the header": Bmp(32, 40, ALPHA_BITFIELDS, masks=_BGRA, alphas=_ALPHAS),
    "30 bits": _masked(32, _DEEP),
    "30 bits, top down": replace(_masked(32, _DEEP), top_down=True),
    "runs of 8 bits": Bmp(8, compression=RLE8, body=rle(8)),
    "runs of 4 bits": Bmp(4, compression=RLE4, body=rle(4)),
    "separate pixels of 8 bits": Bmp(8, compression=RLE8, body=rle(8, absolute=True)),
    "separate pixels of 4 bits": Bmp(4, compression=RLE4, body=rle(4, absolute=True)),
    "runs without an end": Bmp(8, compression=RLE8, body=rle(8, end=b"")),
}
"""Each file shows `COLOURS`; if it has alpha, the last one is transparent."""

_IN_CORPUS = frozenset(
    {
        "24 bits, top down", "24 bits, first OS/2 header", "24 bits, long OS/2 header", "2 bits", "4 bits",
        "8 bits, first OS/2 header", "16 bits", "16 bits, 5-6-5", "32 bits", "32 bits with masks",
        "32 bits with alpha", "30 bits",
    }
)  # fmt: skip


def has_alpha(bmp: Bmp) -> bool:
    """Whether the last quarter is transparent."""
    return len(bmp.masks) == 4 and bmp.header != 52


def with_profile(profile: bytes) -> Bmp:
    """A file with an ICC profile."""
    return Bmp(header=124, space=EMBEDDED, profile=profile)


GOOD: tuple[Good, ...] = (
    *(
        Good(
            f"BMP {name}",
            lambda bmp=bmp: replace(bmp, size=SIZE).data(),  # type: ignore[misc]
            "BMP",
            (*COLOURS[:3], HOLE) if has_alpha(bmp) else COLOURS,
        )
        for name, bmp in KINDS.items()
        if name in _IN_CORPUS
    ),
    Good("BMP runs of 8 bits", lambda: Bmp(8, compression=RLE8, body=rle(8, SIZE), size=SIZE).data(), "BMP", COLOURS),
    Good("BMP runs of 4 bits", lambda: Bmp(4, compression=RLE4, body=rle(4, SIZE), size=SIZE).data(), "BMP", COLOURS),
)
BAD: tuple[Bad, ...] = (
    Bad("BMP with a JPEG inside", lambda: Bmp(0, compression=JPEG).data(), UnsupportedFormatError, "JPEG inside"),
    Bad("BMP with a PNG inside", lambda: Bmp(0, compression=PNG).data(), UnsupportedFormatError, "PNG inside"),
    Bad("BMP with a negative width", lambda: Bmp(size=(-64, 48), body=b"").data(), CorruptImageError, "-64 × 48"),
    Bad("BMP whose pixels are elsewhere", lambda: Bmp(offset=10**6).data(), CorruptImageError, "cut off"),
    Bad("BMP of runs of 24 bits", lambda: Bmp(compression=RLE8).data(), CorruptImageError, "compression 1"),
    Bad("BMP with mixed masks", lambda: _masked(32, (0xFF00FF, 0xFF00, 0xFF)).data(), CorruptImageError, "colour mask"),
    Bad("BMP of half the runs", lambda: Bmp(8, compression=RLE8, body=rle(8)[:150]).data(), CorruptImageError,
        "cut off", in_header=False),
)  # fmt: skip
