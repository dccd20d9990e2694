"""Run-length coding of BMP (Microsoft, "Bitmap Compression"): RLE8 and RLE4, within a number of codes."""

from __future__ import annotations

from dataclasses import dataclass

from image_pipeline.errors import ImageTooLargeError

MOST_CODES = 4_000_000
"""Runs, counted pixels and jumps of one picture. Python takes up to 0.8 microseconds for each."""

_END_OF_LINE, _END_OF_PICTURE, _JUMP = 0, 1, 2
_UPPER = bytes(value >> 4 for value in range(256))
_LOWER = bytes(value & 15 for value in range(256))


@dataclass(frozen=True)
class Drawn:
    """What the codes have drawn."""

    pixels: bytearray
    """One palette index for each, in rows as they are stored."""
    covered: bool
    """Whether every pixel was drawn."""
    ended: bool
    """Whether a code said so."""


def unpack(coded: memoryview, size: tuple[int, int], bits: int, fill: int = 0) -> Drawn:
    """Draw a picture.

    Args:
        coded: codes of two bytes, some of them with more behind.
        size: (width, height) in pixels.
        bits: of a pixel, 8 or 4.
        fill: index of the pixels that are not drawn.

    Raises:
        ValueError: the codes end before the picture does ("truncated").
        ImageTooLargeError: more codes than allowed.
    """
    width, height = size
    pixels = bytearray(bytes((fill,))) * (width * height)
    at = x = y = drawn = 0
    ended = False
    for _ in range(MOST_CODES):
        if y >= height or (y == height - 1 and x >= width and at + 2 > len(coded)):
            break
        if at + 2 > len(coded):
            raise ValueError("truncated")
        count, value = coded[at], coded[at + 1]
        at += 2
        if count == 0 and value == _END_OF_LINE:
            x, y = 0, y + 1
        elif count == 0 and value == _END_OF_PICTURE:
            ended = True
            break
        elif count == 0 and value == _JUMP:
            right, up = bytes(coded[at : at + 2]).ljust(2, b"\0")
            at, x, y = at + 2, x + right, y + up
        else:
            if count:
                run = _repeated(value, count, bits)
            else:
                count, stored = value, value if bits == 8 else (value + 1) // 2
                run = _separate(bytes(coded[at : at + stored]), count, bits)
                at += stored + stored % 2  # codes begin at even places
            run = run[: max(0, width - x)]
            start = y * width + x
            pixels[start : start + len(run)] = run
            drawn += len(run)
            x += count
    else:
        raise ImageTooLargeError(
            f"The BMP has more than {MOST_CODES:,} run-length codes.",
            "Save it without compression or as a PNG and upload it again.",
        )
    return Drawn(pixels, drawn == width * height, ended)


def _repeated(value: int, count: int, bits: int) -> bytes:
    if bits == 8:
        return bytes((value,)) * count
    return (bytes((value >> 4, value & 15)) * (count // 2 + 1))[:count]


def _separate(stored: bytes, count: int, bits: int) -> bytes:
    if bits == 8:
        return stored
    out = bytearray(2 * len(stored))
    out[::2], out[1::2] = stored.translate(_UPPER), stored.translate(_LOWER)
    return bytes(out[:count])
