"""Cropping, turning and mirroring in any order, as one crop and one EXIF orientation.

HEIF and AVIF store a picture with a list of such steps (ISO/IEC 23008-12, 6.5.9, 6.5.10 and 6.5.12), each of which
applies to the result of the one before.
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
"""Where a displayed pixel is stored, by EXIF orientation: exchange x and y, then count x, then y, from the far end."""
_ORIENTATIONS = {move: orientation for orientation, move in _MOVES.items()}
_QUARTERS_ANTICLOCKWISE = (1, 8, 3, 6)
_MIRRORED = (4, 2)
"""Exchange top and bottom; exchange left and right."""

STEPS = (b"clap", b"irot", b"imir")
"""The properties that are such steps."""


@dataclass(frozen=True)
class Placement:
    """Which part of the stored pixels is shown, and how it is turned."""

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
        """The placement after one more step.

        Raises:
            BrokenContainerError: a crop that leaves nothing, or is none.
        """
        if step.kind == b"irot":
            return self._turned(_QUARTERS_ANTICLOCKWISE[step.body.number(0, 1) & 3])
        if step.kind == b"imir":
            return self._turned(_MIRRORED[step.body.number(0, 1) & 1])
        return self._cropped(step.body.take(0, 32))

    def _turned(self, orientation: int) -> Placement:
        swap, across, down = _MOVES[self.orientation]
        more_swap, more_across, more_down = _MOVES[orientation]
        if swap:
            more_across, more_down = more_down, more_across
        move = swap ^ more_swap, across ^ more_across, down ^ more_down
        return replace(self, orientation=_ORIENTATIONS[move])

    def _cropped(self, clap: bytes) -> Placement:
        swap, across, down = _MOVES[self.orientation]
        numbers = [_fraction(clap[at : at + 8], signed=at >= 16) for at in (0, 16, 8, 24)]
        width, height = self.shown_size
        columns, rows = _span(width, *numbers[:2]), _span(height, *numbers[2:])
        if swap:
            columns, rows = rows, columns
        left = self.width - columns[0] - columns[1] if across else columns[0]
        top = self.height - rows[0] - rows[1] if down else rows[0]
        return Placement(self.left + left, self.top + top, columns[1], rows[1], self.orientation)


def _fraction(data: bytes, signed: bool) -> Fraction:
    numerator, denominator = int.from_bytes(data[:4], "big", signed=signed), int.from_bytes(data[4:], "big")
    if denominator == 0:
        raise BrokenContainerError("its crop is not a number of pixels")
    return Fraction(numerator, denominator)


def _span(size: int, length: Fraction, offset: Fraction) -> tuple[int, int]:
    """(first pixel, count) of a crop of one side, limited to the picture.

    The crop is centred at `offset` from the centre of the picture. Where it does not fall on whole pixels it is moved
    to the pixel before and rounded, as libheif does it.
    """
    first = math.floor(offset + Fraction(size - 1, 2) - (length - 1) / 2)
    last = first + math.floor(length - Fraction(1, 2))
    first, last = max(0, first), min(size - 1, last)
    if last < first:
        raise BrokenContainerError("its crop leaves nothing of the picture")
    return first, last - first + 1
