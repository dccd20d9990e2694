"""Read the header of a BMP."""

from __future__ import annotations

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.bmp import Bmp, BmpCompression, bmp
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_UNSUPPORTED = {
    BmpCompression.JPEG: "a JPEG inside",
    BmpCompression.PNG: "a PNG inside",
    BmpCompression.CMYK: "CMYK",
    BmpCompression.CMYK_RLE8: "CMYK",
    BmpCompression.CMYK_RLE4: "CMYK",
    BmpCompression.HUFFMAN: "Huffman coding (OS/2)",
    BmpCompression.RLE24: "run-length coding of 24 bits (OS/2)",
}
_FIELDS = frozenset({BmpCompression.BITFIELDS, BmpCompression.ALPHA_BITFIELDS})
_BITS = frozenset({1, 2, 4, 8, 16, 24, 32})


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = reader.once(bmp)
    _check_kind(parts)
    # The padding of the last row may be missing.
    rows = parts.row_bytes * (parts.height - 1) + -(-parts.width * parts.bits // 8)
    if parts.pixels + (1 if parts.is_run_length else rows) > reader.size:
        raise CutOffError("it is cut off")
    return Header(
        "BMP",
        parts.width,
        parts.height,
        _mode(parts),
        bytes_per_pixel=_bytes_per_pixel(parts) + ROW_BYTES / parts.width,
    )


def _check_kind(parts: Bmp) -> None:
    """Reject kinds of BMP that are not decoded.

    Raises:
        UnsupportedFormatError: the kind is not supported; the message names it.
        BrokenContainerError: the kind does not exist.
    """
    unsupported = next((words for kind, words in _UNSUPPORTED.items() if kind == parts.compression), None)
    if unsupported:
        raise UnsupportedFormatError(
            f"The content is a BMP with {unsupported}, which is not supported.",
            "Save it as an ordinary BMP or as a PNG and upload it again.",
        )
    if parts.compression not in frozenset(BmpCompression):
        raise BrokenContainerError(f"unknown compression {parts.compression}")
    if parts.bits not in _BITS:
        raise BrokenContainerError(f"it has {parts.bits} bits per pixel")
    run_bits = {BmpCompression.RLE8: 8, BmpCompression.RLE4: 4}.get(BmpCompression(parts.compression), parts.bits)
    if run_bits != parts.bits or (parts.compression in _FIELDS and parts.bits <= 8):
        raise BrokenContainerError(f"it has {parts.bits} bits per pixel with compression {parts.compression}")
    for mask in parts.masks:
        if parts.bits > 8 and (mask >> parts.bits or mask & (mask + (mask & -mask))):
            raise BrokenContainerError(f"its colour mask {mask:#x} is invalid for {parts.bits} bits")
    if not any(parts.masks[:3]):
        raise BrokenContainerError("its colour masks select no bits")


def _mode(parts: Bmp) -> str:
    if parts.bits <= 8:
        return "1" if parts.bits == 1 else "P"
    return "RGBA" if parts.masks[3] else "RGB"


def _bytes_per_pixel(parts: Bmp) -> float:
    """Return the peak memory by kind, measured by `bench/engine/memory.py` and rounded up."""
    if parts.is_run_length:
        return 13
    if parts.bits <= 8:
        return 6
    return 9 if parts.masks[3] else 5
