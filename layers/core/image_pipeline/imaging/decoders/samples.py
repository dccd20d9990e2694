"""Convert samples as TIFF and BMP store them to planes of Pillow.

This is plain Python: slices, `translate` and big integers process many samples at once.
"""

from __future__ import annotations

import struct
from array import array
from functools import lru_cache
from math import gcd
from typing import Literal

from PIL import Image

_FLOAT_MODES = {
    ("unsigned", 32): "F;32",
    ("signed", 8): "F;8S",
    ("signed", 16): "F;16S",
    ("signed", 32): "F;32S",
    ("floating-point", 32): "F;32F",
    ("floating-point", 64): "F;64F",
}
"""Pillow's names for little-endian numbers that become floating-point pixels."""
_HALVES = 64 * 1024
"""Bytes of 16-bit floating-point numbers that are converted to Python objects at a time."""
_ITEMS: dict[int, Literal["B", "H", "I", "Q"]] = {8: "B", 16: "H", 32: "I", 64: "Q"}


def little_endian(data: bytes, item_bytes: int) -> bytes:
    """Swap the bytes of big-endian numbers."""
    out = bytearray(len(data))
    for place in range(item_bytes):
        out[place::item_bytes] = data[item_bytes - 1 - place :: item_bytes]
    return bytes(out)


def undo_differences(data: bytes, row_bytes: int, item_bytes: int, step: int) -> bytes:
    """Undo horizontal differencing (TIFF 6.0, section 14): each number is the sum of the differences up to it.

    Args:
        data: little-endian differences.
        row_bytes: bytes of a row; each row starts new sums.
        item_bytes: bytes of a number; sums are modulo its range.
        step: distance between two numbers of the same channel, in numbers.
    """
    bits = 8 * item_bytes
    count = row_bytes // item_bytes
    top_bits = sum_of_powers(count, bits) << bits - 1
    other_bits = ((1 << bits * count) - 1) ^ top_bits
    all_bits = top_bits | other_bits
    rows = []
    for at in range(0, len(data), row_bytes):
        sums = int.from_bytes(data[at : at + row_bytes], "little")
        shift = bits * step
        while shift < bits * count:  # each round doubles the number of differences in every sum
            shifted = (sums << shift) & all_bits
            # Add all numbers at once. The top bits are added separately, so that no carry reaches the next number.
            sums = ((sums & other_bits) + (shifted & other_bits)) ^ ((sums ^ shifted) & top_bits)
            shift *= 2
        rows.append(sums.to_bytes(row_bytes, "little"))
    return b"".join(rows)


@lru_cache(maxsize=4)
def sum_of_powers(count: int, bits: int) -> int:
    """Return the sum of 2 to the power of `bits` × n for n below `count`: a number with the lowest bit of each set."""
    return ((1 << bits * count) - 1) // ((1 << bits) - 1)


def undo_float_differences(data: bytes, row_bytes: int, item_bytes: int, step: int) -> bytes:
    """Undo the floating-point predictor (Adobe Photoshop TIFF Technical Note 3); return little-endian numbers.

    The writer puts the first (most significant) bytes of all numbers of a row before all second bytes and so on, and
    stores the differences of these bytes.
    """
    data = undo_differences(data, row_bytes, 1, step)
    plane = row_bytes // item_bytes
    out = bytearray(len(data))
    for at in range(0, len(data), row_bytes):
        for place in range(item_bytes):
            start = at + plane * place
            out[at + item_bytes - 1 - place : at + row_bytes : item_bytes] = data[start : start + plane]
    return bytes(out)


def unpack_bits(data: bytes, bits: int, per_row: int, row_bytes: int) -> bytes:
    """Unpack samples of fewer than 16 bits to one byte each: the value, or its upper 8 bits if it has more.

    Args:
        data: rows, each padded to whole bytes.
        bits: bits of a sample; the first sample is in the upper bits.
        per_row: samples in a row.
        row_bytes: bytes of a row.
    """
    period = bits // gcd(bits, 8)  # this many bytes …
    samples = 8 // gcd(bits, 8)  # … contain this many samples
    padded = -(-row_bytes // period) * period
    if padded != row_bytes:
        data = b"".join(data[at : at + row_bytes].ljust(padded, b"\0") for at in range(0, len(data), row_bytes))
    out = bytearray(len(data) // period * samples)
    for index in range(samples):
        byte, shift = divmod(index * bits, 8)
        upper, lower = _tables(shift, min(bits, 8))
        values = data[byte::period].translate(upper)
        if lower:
            values = _bitwise_or(values, data[byte + 1 :: period].translate(lower))
        out[index::samples] = values
    unpacked = padded // period * samples
    if unpacked == per_row:
        return bytes(out)
    return b"".join(out[at : at + per_row] for at in range(0, len(out), unpacked))


@lru_cache(maxsize=64)
def _tables(shift: int, bits: int) -> tuple[bytes, bytes]:
    """Return tables that map a byte, and the byte after it, to their share of the `bits` that start after `shift`.

    The second table is empty if the first byte contains all of the bits.
    """
    overflow = shift + bits - 8
    mask = (1 << bits) - 1
    if overflow <= 0:
        return bytes(value >> -overflow & mask for value in range(256)), b""
    first = bytes(value << overflow & mask for value in range(256))
    second = bytes(value >> 8 - overflow for value in range(256))
    return first, second


def _bitwise_or(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") | int.from_bytes(other, "little")).to_bytes(len(one), "little")


def masked(data: bytes, pixel_bytes: int, mask: int) -> bytes:
    """Extract the bits of a mask from little-endian pixels, one byte each.

    Of more than 8 bits, the upper 8 are kept; fewer than 8 bits are scaled to 0 … 255.
    """
    shift = (mask & -mask).bit_length() - 1
    bits = (mask >> max(0, shift)).bit_length()
    if not bits:
        return bytes(len(data) // pixel_bytes)
    kept_bits = min(bits, 8)
    byte, offset = divmod(shift + bits - kept_bits, 8)
    most = (1 << kept_bits) - 1
    values = data[byte::pixel_bytes].translate(bytes(value >> offset & most for value in range(256)))
    if offset + kept_bits > 8:
        upper = bytes(value << 8 - offset & most for value in range(256))
        values = _bitwise_or(values, data[byte + 1 :: pixel_bytes].translate(upper))
    return values.translate(full_range(kept_bits)) if kept_bits < 8 else values


def differing(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """Return 255 where two byte strings differ, and 0 where they are equal."""
    different = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return different.to_bytes(len(one), "little").translate(b"\0" + b"\xff" * 255)


@lru_cache(maxsize=8)
def full_range(bits: int) -> bytes:
    """Return a table that scales values of fewer than 8 bits to 0 … 255."""
    most = (1 << bits) - 1
    return bytes(round(min(value, most) * 255 / most) for value in range(256))


def float_plane(data: bytes, size: tuple[int, int], number: str, bits: int, channel: int, channels: int) -> Image.Image:
    """Convert one channel of little-endian numbers to mode F."""
    items = memoryview(data).cast(_ITEMS[bits])[channel::channels]
    raw = items.tobytes()
    if (number, bits) != ("floating-point", 16):
        return Image.frombytes("F", size, raw, "raw", _FLOAT_MODES[number, bits])
    values = array("f")
    for at in range(0, len(raw), _HALVES):
        part = raw[at : at + _HALVES]
        values.extend(struct.unpack(f"<{len(part) // 2}e", part))
    return Image.frombytes("F", size, values.tobytes(), "raw", "F;32NF")


def split_subsampled(
    data: bytes, size: tuple[int, int], subsampling: tuple[int, int]
) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Split YCbCr whose colours are shared by several pixels (TIFF 6.0, section 21) into three planes of one size.

    Args:
        data: units of one byte per value: the luma of several pixels, then their Cb and Cr.
        size: (width, height) in pixels; units at the right and the lower edge extend beyond it.
        subsampling: (columns, rows) of pixels in a unit.
    """
    across, down = subsampling
    unit_bytes = across * down + 2
    units = -(-size[0] // across), -(-size[1] // down)
    width, height = units[0] * across, units[1] * down
    luma = bytearray(width * height)
    for line in range(down):
        rows = bytearray(width * units[1])
        for column in range(across):
            rows[column::across] = data[line * across + column :: unit_bytes]
        for row in range(units[1]):
            at = (row * down + line) * width
            luma[at : at + width] = rows[row * width : (row + 1) * width]
    planes = [Image.frombytes("L", (width, height), bytes(luma))]
    for index in (unit_bytes - 2, unit_bytes - 1):
        chroma = Image.frombytes("L", units, data[index::unit_bytes])
        planes.append(chroma.resize((width, height), Image.Resampling.NEAREST))
    y, cb, cr = (plane.crop((0, 0, *size)) for plane in planes)
    return y, cb, cr
