"""Combine crops, rotations and mirrorings in any order into one crop and one EXIF orientation.

HEIF and AVIF store such steps as a list (ISO/IEC 23008-12, 6.5.9, 6.5.10 and 6.5.12). Each step applies to the result
of the previous one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from image_pipeline.imaging.containers.heif import Property
from image_pipeline.imaging.reader import BrokenContainerError

_MOVES = {
    1: (False, False, False), 2: (False, True, False), 3: (False, True, True), 4: (False, False, True),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
"""How to find the stored pixel of a displayed one, by EXIF orientation: (swap x and y, reverse x, reverse y)."""
_ORIENTATIONS = {move: orientation for orientation, move in _MOVES.items()}
_QUARTERS_ANTICLOCKWISE = (1, 8, 3, 6)
_MIRRORED = (4, 2)
"""Swap top and bottom; swap left and right."""

STEPS = (b"clap", b"irot", b"imir")
"""The item properties that are such steps."""


@dataclass(frozen=True)
class Placement:
    """The displayed part of the stored pixels, and its orientation."""

    left: int
    top: int
    width: int
    """Pixels as stored."""
    height: int
    """Pixels as stored."""
    orientation: int = 1
    """EXIF value, 1 to 8."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in the stored pixels."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    @property
    def shown_size(self) -> tuple[int, int]:
        """(width, height) as displayed."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    def then(self, step: Property) -> Placement:
        """Return the placement after one more step.

        Raises:
            BrokenContainerError: a crop is invalid or leaves nothing.
        """
        if step.kind == b"irot":
            return self._orient(_QUARTERS_ANTICLOCKWISE[step.body.number(0, 1) & 3])
        if step.kind == b"imir":
            return self._orient(_MIRRORED[step.body.number(0, 1) & 1])
        return self._crop(step.body.take(0, 32))

    def _orient(self, orientation: int) -> Placement:
        swap, reverse_x, reverse_y = _MOVES[self.orientation]
        next_swap, next_reverse_x, next_reverse_y = _MOVES[orientation]
        if swap:
            next_reverse_x, next_reverse_y = next_reverse_y, next_reverse_x
        move = swap ^ next_swap, reverse_x ^ next_reverse_x, reverse_y ^ next_reverse_y
        return replace(self, orientation=_ORIENTATIONS[move])

    def _crop(self, clap: bytes) -> Placement:
        swap, reverse_x, reverse_y = _MOVES[self.orientation]
        crop_width = _fraction(clap[:8])
        crop_height = _fraction(clap[8:16])
        horizontal_offset = _fraction(clap[16:24], signed=True)
        vertical_offset = _fraction(clap[24:32], signed=True)
        width, height = self.shown_size
        columns = _span(width, crop_width, horizontal_offset)
        rows = _span(height, crop_height, vertical_offset)
        if swap:
            columns, rows = rows, columns
        left = self.width - columns[0] - columns[1] if reverse_x else columns[0]
        top = self.height - rows[0] - rows[1] if reverse_y else rows[0]
        return Placement(self.left + left, self.top + top, columns[1], rows[1], self.orientation)


def _fraction(data: bytes, signed: bool = False) -> Fraction:
    numerator = int.from_bytes(data[:4], "big", signed=signed)
    denominator = int.from_bytes(data[4:], "big")
    if denominator == 0:
        raise BrokenContainerError("its crop has a zero denominator")
    return Fraction(numerator, denominator)


def _span(size: int, length: Fraction, offset: Fraction) -> tuple[int, int]:
    """Return (first pixel, number of pixels) of a crop of one side, limited to the image.

    The centre of the crop is at `offset` from the centre of the image. A crop between pixels moves to the previous
    pixel, and its size is rounded, as in libheif.
    """
    first = math.floor(offset + Fraction(size - 1, 2) - (length - 1) / 2)
    last = first + math.floor(length - Fraction(1, 2))
    first = max(0, first)
    last = min(size - 1, last)
    if last < first:
        raise BrokenContainerError("its crop leaves no pixels")
    return first, last - first + 1
