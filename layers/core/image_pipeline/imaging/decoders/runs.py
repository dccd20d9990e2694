"""Decode the run-length coding of BMP (Microsoft, "Bitmap Compression"): RLE8 and RLE4, up to a number of codes."""

from __future__ import annotations

from dataclasses import dataclass

from image_pipeline.errors import ImageTooLargeError

MOST_CODES = 2_000_000
"""Codes of one image: runs, literal pixels and jumps. Python takes up to 1.7 microseconds for each."""

_END_OF_LINE, _END_OF_BITMAP, _JUMP = 0, 1, 2
_UPPER = bytes(value >> 4 for value in range(256))
_LOWER = bytes(value & 15 for value in range(256))


@dataclass(frozen=True)
class Drawing:
    """The result of drawing all codes."""

    pixels: bytearray
    """One palette index for each pixel, in stored row order."""
    covered: bool
    """Whether every pixel was drawn."""
    has_end: bool
    """Whether the codes contain the end marker."""


def unpack(coded: memoryview, size: tuple[int, int], bits: int, fill: int = 0) -> Drawing:
    """Draw the codes of an image.

    Args:
        coded: codes of two bytes; some are followed by more bytes.
        size: (width, height) in pixels.
        bits: bits of a pixel, 8 or 4.
        fill: palette index of the pixels that are not drawn.

    Raises:
        ValueError: the codes end before the image does ("truncated").
        ImageTooLargeError: more codes than allowed.
    """
    width, height = size
    pixels = bytearray(bytes((fill,))) * (width * height)
    at = x = y = drawn_pixels = 0
    has_end = False
    for _ in range(MOST_CODES):
        if y >= height or (y == height - 1 and x >= width and at + 2 > len(coded)):
            break
        if at + 2 > len(coded):
            raise ValueError("truncated")
        count, value = coded[at], coded[at + 1]
        at += 2
        if count == 0 and value == _END_OF_LINE:
            x = 0
            y += 1
        elif count == 0 and value == _END_OF_BITMAP:
            has_end = True
            break
        elif count == 0 and value == _JUMP:
            right, up = bytes(coded[at : at + 2]).ljust(2, b"\0")
            at += 2
            x += right
            y += up
        else:
            if count:
                run = _repeated(value, count, bits)
            else:
                count = value
                length = count if bits == 8 else (count + 1) // 2
                if at + length > len(coded):
                    raise ValueError("truncated")
                run = _literal(bytes(coded[at : at + length]), count, bits)
                at += length + length % 2  # codes start at even offsets
            run = run[: max(0, width - x)]
            start = y * width + x
            pixels[start : start + len(run)] = run
            drawn_pixels += len(run)
            x += count
    else:
        raise ImageTooLargeError(
            f"The BMP has more than {MOST_CODES:,} run-length codes.",
            "Save it without compression or as a PNG and upload it again.",
        )
    return Drawing(pixels, drawn_pixels == width * height, has_end)


def _repeated(value: int, count: int, bits: int) -> bytes:
    if bits == 8:
        return bytes((value,)) * count
    return (bytes((value >> 4, value & 15)) * (count // 2 + 1))[:count]


def _literal(stored: bytes, count: int, bits: int) -> bytes:
    if bits == 8:
        return stored
    out = bytearray(2 * len(stored))
    out[::2] = stored.translate(_UPPER)
    out[1::2] = stored.translate(_LOWER)
    return bytes(out[:count])
