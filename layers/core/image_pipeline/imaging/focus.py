"""The point of an image that a crop must show: parse it, and place a crop around it. Pure, without Pillow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_pipeline.errors import InvalidRequestError

METADATA = "focus"
"""Name of the user-defined metadata of an upload that contains its point: the header `x-amz-meta-focus`."""

_DIGITS = 4  # a ten-thousandth of the longest rendition is less than two pixels
_NUMBER = r"\s*([01](?:\.\d{0,17})?|\.\d{1,17})\s*"
_TEXT = re.compile(f"{_NUMBER},{_NUMBER}", re.ASCII)


@dataclass(frozen=True)
class Point:
    """A point of the upright image."""

    x: float
    """0 (left edge) to 1 (right edge)."""
    y: float
    """0 (top edge) to 1 (bottom edge)."""

    @classmethod
    def parse(cls, text: str) -> Point:
        """Parse a text such as `0.3,0.4`: the metadata of an object, a query parameter, an argument of a command.

        Raises:
            InvalidRequestError: the text is not two numbers from 0 to 1.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise _invalid(repr(text[:80]))
        return cls._checked(float(match[1]), float(match[2]))

    @classmethod
    def from_json(cls, value: Any) -> Point:
        """Convert an object such as `{"x": 0.3, "y": 0.4}`.

        Raises:
            InvalidRequestError: the object does not have exactly these fields, or one is not a number from 0 to 1.
        """
        if not isinstance(value, Mapping) or value.keys() != {"x", "y"}:
            raise _invalid(repr(value)[:80])
        return cls._checked(value["x"], value["y"])

    @classmethod
    def _checked(cls, x: Any, y: Any) -> Point:
        if not all(type(side) in (int, float) and 0 <= side <= 1 for side in (x, y)):
            raise _invalid(f"{x!r}, {y!r}"[:80])
        x, y = (round(float(side), _DIGITS) + 0.0 for side in (x, y))  # -0.0, which JSON has, becomes 0.0
        return cls(x, y)

    def to_json(self) -> dict[str, float]:
        """Return `x` and `y`."""
        return {"x": self.x, "y": self.y}

    def __str__(self) -> str:
        """Return the text that `parse` accepts."""
        return f"{self.x:g},{self.y:g}"

    def place(self, size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
        """Return (left, top) of a crop with this point in its middle, or as near to it as the edges allow.

        Args:
            size: (width, height) of the image, in pixels.
            crop: (width, height) of the crop, at most those of the image.
        """
        left, top = (
            min(max(0, math.floor(share * whole - part / 2)), whole - part)
            for share, whole, part in zip((self.x, self.y), size, crop, strict=True)
        )
        return left, top


CENTRE = Point(0.5, 0.5)


def _invalid(value: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The focus {value} is not a point of the image.",
        "Use two numbers from 0 to 1: the distances from the left and the top edge of the upright image, "
        "as fractions of its width and height.",
    )
