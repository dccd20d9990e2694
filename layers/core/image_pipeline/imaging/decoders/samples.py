"""Samples as TIFF and BMP store them → planes of Pillow.

Plain Python: slices, `translate` and integers of any length do the work of many rows at once.
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
"""Bytes of 16-bit floating-point numbers that become objects of Python at a time."""
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
        row_bytes: bytes of a row; sums start anew in each.
        item_bytes: bytes of a number; sums are modulo its range.
        step: from a number to the next of the same channel, in numbers.
    """
    bits = 8 * item_bytes
    count = row_bytes // item_bytes
    tops = sum_of_powers(count, bits) << bits - 1
    rest = ((1 << bits * count) - 1) ^ tops
    whole = tops | rest
    rows = []
    for at in range(0, len(data), row_bytes):
        sums = int.from_bytes(data[at : at + row_bytes], "little")
        shift = bits * step
        while shift < bits * count:  # after each round, twice as many differences are in every sum
            other = (sums << shift) & whole
            # All numbers are added at once; their top bits apart, so that nothing is carried to the next number.
            sums = ((sums & rest) + (other & rest)) ^ ((sums ^ other) & tops)
            shift *= 2
        rows.append(sums.to_bytes(row_bytes, "little"))
    return b"".join(rows)


@lru_cache(maxsize=4)
def sum_of_powers(count: int, bits: int) -> int:
    """The sum of 2 to the power of `bits` × n for n below `count`: a one at the bottom of every number."""
    return ((1 << bits * count) - 1) // ((1 << bits) - 1)


def undo_float_differences(data: bytes, row_bytes: int, item_bytes: int, step: int) -> bytes:
    """Undo the floating-point predictor (Adobe Photoshop TIFF Technical Note 3), to little-endian numbers.

    The bytes of a row are differenced, after all first (most significant) bytes were put before all second ones.
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
    """Samples of any number of bits below 16 → one byte each: the value, or its upper 8 bits where it has more.

    Args:
        data: rows, each of them padded to whole bytes.
        bits: of a sample; the first one is in the upper bits.
        per_row: samples in a row.
        row_bytes: bytes of a row.
    """
    period, samples = bits // gcd(bits, 8), 8 // gcd(bits, 8)  # so many bytes hold so many samples
    padded = -(-row_bytes // period) * period
    if padded != row_bytes:
        data = b"".join(data[at : at + row_bytes].ljust(padded, b"\0") for at in range(0, len(data), row_bytes))
    out = bytearray(len(data) // period * samples)
    for index in range(samples):
        byte, shift = divmod(index * bits, 8)
        upper, lower = _tables(shift, min(bits, 8))
        values = data[byte::period].translate(upper)
        if lower:
            values = _either(values, data[byte + 1 :: period].translate(lower))
        out[index::samples] = values
    unpacked = padded // period * samples
    if unpacked == per_row:
        return bytes(out)
    return b"".join(out[at : at + per_row] for at in range(0, len(out), unpacked))


@lru_cache(maxsize=64)
def _tables(shift: int, bits: int) -> tuple[bytes, bytes]:
    """What a byte, and the byte after it, give to the `bits` that start after `shift`; none where one byte has all."""
    over = shift + bits - 8
    mask = (1 << bits) - 1
    if over <= 0:
        return bytes(value >> -over & mask for value in range(256)), b""
    return bytes(value << over & mask for value in range(256)), bytes(value >> 8 - over for value in range(256))


def _either(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") | int.from_bytes(other, "little")).to_bytes(len(one), "little")


def masked(data: bytes, pixel_bytes: int, mask: int) -> bytes:
    """The bits of a mask in little-endian pixels as 8 bits each: the upper ones, or all spread over 0 to 255."""
    shift = (mask & -mask).bit_length() - 1
    bits = (mask >> max(0, shift)).bit_length()
    if not bits:
        return bytes(len(data) // pixel_bytes)
    taken = min(bits, 8)
    byte, inside = divmod(shift + bits - taken, 8)
    most = (1 << taken) - 1
    values = data[byte::pixel_bytes].translate(bytes(value >> inside & most for value in range(256)))
    if inside + taken > 8:
        upper = bytes(value << 8 - inside & most for value in range(256))
        values = _either(values, data[byte + 1 :: pixel_bytes].translate(upper))
    return values.translate(full_range(taken)) if taken < 8 else values


def differing(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """255 where two rows of bytes differ, 0 where they are equal."""
    different = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return different.to_bytes(len(one), "little").translate(b"\0" + b"\xff" * 255)


@lru_cache(maxsize=8)
def full_range(bits: int) -> bytes:
    """A table that spreads values of fewer than 8 bits over 0 to 255."""
    most = (1 << bits) - 1
    return bytes(round(min(value, most) * 255 / most) for value in range(256))


def float_plane(data: bytes, size: tuple[int, int], number: str, bits: int, channel: int, channels: int) -> Image.Image:
    """One channel of little-endian numbers in mode F."""
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
    """YCbCr whose colours are shared by several pixels (TIFF 6.0, section 21) → three planes of one size.

    Args:
        data: units of the luminances of some pixels, then their blue and their red difference; one byte each.
        size: (width, height) in pixels; units at the right and the lower edge go beyond it.
        subsampling: pixels across and down that make a unit.
    """
    across, down = subsampling
    unit = across * down + 2
    units = -(-size[0] // across), -(-size[1] // down)
    whole = units[0] * across, units[1] * down
    luminance = bytearray(whole[0] * whole[1])
    for line in range(down):
        rows = bytearray(whole[0] * units[1])
        for column in range(across):
            rows[column::across] = data[line * across + column :: unit]
        for row in range(units[1]):
            at = (row * down + line) * whole[0]
            luminance[at : at + whole[0]] = rows[row * whole[0] : (row + 1) * whole[0]]
    planes = [Image.frombytes("L", whole, bytes(luminance))]
    for index in (unit - 2, unit - 1):
        shared = Image.frombytes("L", units, data[index::unit])
        planes.append(shared.resize(whole, Image.Resampling.NEAREST))
    first, second, third = (plane.crop((0, 0, *size)) for plane in planes)
    return first, second, third
