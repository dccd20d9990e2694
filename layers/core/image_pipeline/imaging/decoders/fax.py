"""Whether fax data is complete. libtiff takes what is missing for white, or leaves there what was in memory before.

Source: ITU-T T.4 (group 3) and T.6 (group 4).
"""

from __future__ import annotations

import random

_END_OF_LINE = "000000000001"
_END_OF_BLOCK = _END_OF_LINE * 2
_VERTICAL, _HORIZONTAL = "1", "001"
_WHITE = {2: "0111", 3: "1000", 4: "1011", 5: "1100"}
"""T.4 table 2: terminating codes of white runs, by pixels."""
_BLACK = {2: "11", 3: "10", 4: "011", 5: "0011"}
_LONGEST_PAIR = 10
"""Pixels of a white and a black run."""
_PART = 64 * 1024
"""Bytes whose bits are written out at a time."""


def lacks_lines(data: bytes, lines: int) -> bool:
    """Whether group 3 data has fewer lines than it should: each starts with a code that nothing else contains.

    The first line is taken to be there: some writers leave its code out.
    """
    found, before = 0, ""
    for at in range(0, len(data), _PART):
        bits = before + _bits(data[at : at + _PART])
        found += bits.count(_END_OF_LINE)
        before = bits[1 - len(_END_OF_LINE) :]
    return found < lines - 1


def marked_block(width: int, lines: int) -> tuple[bytes, bytes]:
    """Group 4 data of a white picture whose last line has an unlikely pattern, and that line's pixels.

    Decoded before the real data into the same memory, the pattern is still there afterwards where the real data ends
    too soon.
    """
    chance = random.Random(6)  # noqa: S311  any fixed pattern will do
    codes, pixels = "", ""
    while len(pixels) + _LONGEST_PAIR < width:
        white, black = chance.randint(2, 5), chance.randint(2, 5)
        codes += _HORIZONTAL + _WHITE[white] + _BLACK[black]
        pixels += "0" * white + "1" * black
    whole, rest = divmod(lines - 1, 8)
    block = bytes((int(8 * _VERTICAL, 2),)) * whole + _octets(rest * _VERTICAL + codes + _VERTICAL + _END_OF_BLOCK)
    return block, _octets(pixels.ljust(width, "0"))


def _bits(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def _octets(bits: str) -> bytes:
    """Bits in bytes, the last of which is filled with zeros."""
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return int(padded, 2).to_bytes(len(padded) // 8, "big")
