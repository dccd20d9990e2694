"""Check that fax data is complete (ITU-T T.4, group 3, and T.6, group 4).

libtiff reports no error for missing lines: it leaves them white, or leaves the previous content of the memory there.
"""

from __future__ import annotations

import random

_END_OF_LINE = "000000000001"
_END_OF_BLOCK = _END_OF_LINE * 2
_VERTICAL, _HORIZONTAL = "1", "001"
_WHITE = {2: "0111", 3: "1000", 4: "1011", 5: "1100"}
"""T.4 table 2: terminating codes of white runs, by their length in pixels."""
_BLACK = {2: "11", 3: "10", 4: "011", 5: "0011"}
_LONGEST_PAIR = 10
"""Pixels of a white run and the black run after it."""
_PART = 64 * 1024
"""Bytes that are converted to a text of bits at a time."""


def lacks_lines(data: bytes, lines: int) -> bool:
    """Return whether group 3 data has too few lines. Each line starts with a code that occurs nowhere else.

    The first line is not counted, because some writers omit its code.
    """
    count = 0
    overlap = ""
    for at in range(0, len(data), _PART):
        bits = overlap + _bits(data[at : at + _PART])
        count += bits.count(_END_OF_LINE)
        overlap = bits[1 - len(_END_OF_LINE) :]
    return count < lines - 1


def marked_block(width: int, lines: int) -> tuple[bytes, bytes]:
    """Return group 4 data of a white image whose last line has an unlikely pattern, and the pixels of that line.

    The block is decoded before the real data, into the same memory. If the real data ends too early, the pattern
    remains.
    """
    generator = random.Random(6)  # noqa: S311  any fixed pattern will do
    codes = ""
    pixels = ""
    while len(pixels) + _LONGEST_PAIR < width:
        white = generator.randint(2, 5)
        black = generator.randint(2, 5)
        codes += _HORIZONTAL + _WHITE[white] + _BLACK[black]
        pixels += "0" * white + "1" * black
    full_bytes, rest = divmod(lines - 1, 8)
    block = bytes((int(8 * _VERTICAL, 2),)) * full_bytes + _octets(rest * _VERTICAL + codes + _VERTICAL + _END_OF_BLOCK)
    return block, _octets(pixels.ljust(width, "0"))


def _bits(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def _octets(bits: str) -> bytes:
    """Pack bits into bytes; the last byte is filled with zeros."""
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(padded, 2).to_bytes(len(padded) // 8, "big")
