"""The header of a BMP."""

from __future__ import annotations

from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_BYTES_PER_PIXEL = 9
"""Of the most demanding kind, as `bench/memory.py` measures it, rounded up."""


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    length = reader.number(14, 4, little=True)
    if length == 12:
        sides = reader.take(18, 8)
        width, height = int.from_bytes(sides[:2], "little"), int.from_bytes(sides[2:4], "little")
        bits, compression = int.from_bytes(sides[6:8], "little"), 0
    else:
        sides = reader.take(18, 16)
        width = int.from_bytes(sides[:4], "little", signed=True)
        height = abs(int.from_bytes(sides[4:8], "little", signed=True))
        bits, compression = int.from_bytes(sides[10:12], "little"), int.from_bytes(sides[12:16], "little")
    if bits not in (1, 2, 4, 8, 16, 24, 32) or width < 0:
        raise BrokenContainerError(f"{bits} bits per pixel, width {width}")
    if compression in (0, 3) and (width * bits + 31) // 32 * 4 * height > reader.size:
        raise BrokenContainerError(f"{reader.size} bytes cannot hold {width} × {height} pixels")
    return Header(
        "BMP",
        width,
        height,
        {1: "1", 2: "P", 4: "P", 8: "P", 32: "RGBA"}.get(bits, "RGB"),
        bytes_per_pixel=_BYTES_PER_PIXEL,
    )
