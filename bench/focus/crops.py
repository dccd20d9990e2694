"""Crops of several shapes, and whether they contain a subject. Places and lengths are fractions of a side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""(left, top, right, bottom)."""

SHAPES = {"1:1": 1.0, "4:5": 4 / 5, "16:9": 16 / 9, "9:16": 9 / 16, "3:1": 3.0, "1:2": 1 / 2}
"""Width divided by height, by name."""

_ENOUGH = 0.9
"""The part of the subject, of all that any crop of the shape can contain, that a crop must contain."""


@dataclass(frozen=True)
class Crop:
    """A crop as large as the image allows, which can move along one side."""

    shape: str
    axis: int
    """0: it moves to the left and right; 1: up and down."""
    length: float
    """Its length along that side."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of this crop of an image, in pixels."""
        sides = [width, height]
        sides[self.axis] = max(1, round(sides[self.axis] * self.length))
        return sides[0], sides[1]

    def contains(self, subject: Box, start: float) -> bool:
        """Return whether the crop that starts at this place contains nearly all of the subject that it could."""
        first, last = subject[self.axis], subject[self.axis + 2]
        inside = min(last, start + self.length) - max(first, start)
        return inside >= _ENOUGH * min(last - first, self.length)


def crops(width: int, height: int, subject: Box) -> Iterator[Crop]:
    """Yield the crops of an image whose place matters: not every one of them contains the subject."""
    for shape, ratio in SHAPES.items():
        relative = ratio * height / width
        crop = Crop(shape, 0, relative) if relative < 1 else Crop(shape, 1, 1 / relative)
        if not all(crop.contains(subject, start) for start in (0, 1 - crop.length)):
            yield crop
