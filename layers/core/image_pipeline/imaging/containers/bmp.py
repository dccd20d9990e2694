"""Read the headers of a BMP: Microsoft's BITMAPINFOHEADER to BITMAPV5HEADER, and OS/2's of 12, 16 and 64 bytes.

Programs interpret these fields in different ways. Admission and decoder share the result of this module, so they agree.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from image_pipeline.imaging.reader import BrokenContainerError, Reader

_FILE_HEADER = 14
_CORE, _SHORT, _INFO, _ALPHA, _OS2, _V4, _V5 = 12, 16, 40, 56, 64, 108, 124
"""Bytes of the header after the file header."""
_EMBEDDED = b"DEBM"
"""Colour space of a file that contains an ICC profile."""

RGB555 = (0x7C00, 0x3E0, 0x1F)
RGB888 = (0xFF0000, 0xFF00, 0xFF)


class BmpCompression(IntEnum):
    """How pixels are stored."""

    NONE = 0
    RLE8 = 1
    RLE4 = 2
    BITFIELDS = 3
    JPEG = 4
    PNG = 5
    ALPHA_BITFIELDS = 6
    CMYK = 11
    CMYK_RLE8 = 12
    CMYK_RLE4 = 13
    HUFFMAN = 1003
    """Value 3 in OS/2 headers."""
    RLE24 = 1004
    """Value 4 in OS/2 headers."""


@dataclass(frozen=True)
class Bmp:
    """The content of the headers."""

    width: int
    height: int
    top_down: bool
    """Whether the first stored row is the top row."""
    bits: int
    """Bits per pixel; 0 if the BMP contains a JPEG or PNG."""
    compression: int
    """One of `BmpCompression`, or an unknown value."""
    masks: tuple[int, int, int, int]
    """Bits of red, green, blue and alpha in a pixel of 16 to 32 bits; 0 for a missing channel."""
    palette: tuple[int, int, int]
    """(offset of the first entry, bytes of an entry, number of entries)."""
    pixels: int
    """Offset of the pixels."""
    profile: tuple[int, int]
    """(offset, bytes) of the ICC profile; (0, 0) if there is none."""

    @property
    def row_bytes(self) -> int:
        """Bytes of an uncompressed row, padded to whole double words."""
        return (self.width * self.bits + 31) // 32 * 4

    @property
    def is_run_length(self) -> bool:
        """Whether pixels are coded as runs of palette entries."""
        return self.compression in (BmpCompression.RLE8, BmpCompression.RLE4)


def bmp(reader: Reader) -> Bmp:
    """Read the headers.

    Raises:
        BrokenContainerError
    """
    length = reader.number(_FILE_HEADER, 4, little=True)
    header = reader.take(_FILE_HEADER, length)
    width, height = struct.unpack_from("<HH" if length == _CORE else "<ii", header, 4)
    bits = _number(header, 10 if length == _CORE else 14, 2)
    if width <= 0 or height == 0:
        raise BrokenContainerError(f"its size is {width} × {height} pixels")
    compression = _number(header, 16, 4) if length >= _INFO else 0
    if length == _OS2 and compression in (3, 4):
        compression += 1000
    headers_end = _FILE_HEADER + length
    masks = _masks(reader, header, bits, compression)
    if length == _INFO and compression in (BmpCompression.BITFIELDS, BmpCompression.ALPHA_BITFIELDS):
        headers_end += 12 if compression == BmpCompression.BITFIELDS else 16
    pixels = reader.number(10, 4, little=True)
    palette = _palette(header, headers_end, bits, pixels)
    if pixels == 0:  # some writers omit the offset
        pixels = palette[0] + palette[1] * palette[2]
    if pixels < headers_end:
        raise BrokenContainerError(f"its pixels start at byte {pixels}, inside its header")
    return Bmp(width, abs(height), height < 0, bits, compression, masks, palette, pixels, _profile(header, reader.size))


def _number(header: bytes, at: int, count: int) -> int:
    return int.from_bytes(header[at : at + count], "little")


def _masks(reader: Reader, header: bytes, bits: int, compression: int) -> tuple[int, int, int, int]:
    red, green, blue, alpha = struct.unpack_from("<4I", header.ljust(_ALPHA, b"\0"), 40)
    if len(header) < _ALPHA or len(header) == _OS2:
        alpha = 0
    if compression not in (BmpCompression.BITFIELDS, BmpCompression.ALPHA_BITFIELDS):
        return (*(RGB555 if bits == 16 else RGB888), alpha if bits == 32 else 0)
    if len(header) == _INFO:
        count = 3 if compression == BmpCompression.BITFIELDS else 4
        masks = struct.unpack(f"<{count}I", reader.take(_FILE_HEADER + _INFO, 4 * count))
        red, green, blue, alpha = (*masks, 0)[:4]
    return red, green, blue, alpha


def _palette(header: bytes, start: int, bits: int, pixels: int) -> tuple[int, int, int]:
    entry = 3 if len(header) == _CORE else 4
    if bits > 8:
        return start, entry, 0
    count = 1 << bits
    if len(header) >= _INFO:
        count = min(_number(header, 32, 4) or count, count)
    if pixels > start:
        count = min(count, (pixels - start) // entry)
    return start, entry, count


def _profile(header: bytes, file_bytes: int) -> tuple[int, int]:
    if len(header) < _V5 or header[_ALPHA : _ALPHA + 4] != _EMBEDDED:
        return 0, 0
    start, count = struct.unpack_from("<II", header, 112)
    return _FILE_HEADER + start, min(count, max(0, file_bytes - _FILE_HEADER - start))
