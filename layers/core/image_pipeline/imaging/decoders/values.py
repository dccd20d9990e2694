"""Scale numbers without a defined black and white to 8 bits: floating-point, signed and 32-bit pixels.

Pixels without a value do not affect the scale, and become black: not a number, infinite, or the file's "no data" value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from PIL import Image, ImageMath

_LARGEST = 1e38
"""Larger numbers count as infinite: geographic data often marks missing pixels with the largest possible number."""
_BAND_PIXELS = 1024 * 1024
"""Pixels that are processed at a time, so that masks take little memory."""


@dataclass(frozen=True)
class Scale:
    """The numbers that become black and white."""

    low: float
    high: float
    no_data: float | None
    warnings: tuple[str, ...] = ()
    """Messages for the user about the choice."""

    def shades(self, plane: Image.Image, inverted: bool) -> Image.Image:
        """Scale a plane of mode F to 8 bits, mode L.

        Args:
            plane: the numbers.
            inverted: whether the lowest number is white.
        """
        out = Image.new("L", plane.size)
        if not self.low < self.high:
            return out
        factor = 255 / (self.high - self.low)
        zero = self.high if inverted else self.low
        slope = -factor if inverted else factor
        for top, band in _bands(plane):
            shades = _evaluate(lambda v: (v - zero) * slope + 0.5, band)
            if missing := _missing(band, self.no_data):
                shades.paste(0, mask=missing)
            out.paste(shades, (0, top))
        return out


def find_scale(
    planes: Sequence[Image.Image],
    *,
    stated: tuple[Sequence[float], Sequence[float]],
    no_data: float | None,
    floating: bool,
) -> Scale:
    """Choose black and white: the values that the file states, else 0 and 1, else the lowest and highest value.

    Args:
        planes: the numbers of each colour, mode F.
        stated: the smallest and the largest value of each channel; empty if the file does not state them.
        no_data: the number that means "no value".
        floating: whether numbers from 0 to 1 are fractions of white.
    """
    least, greatest = stated
    if least and greatest and isfinite(min(least)) and isfinite(max(greatest)) and min(least) < max(greatest):
        return Scale(min(least), max(greatest), no_data)
    ranges = [_range(band, no_data) for plane in planes for _, band in _bands(plane)]
    low = min(lowest for lowest, _ in ranges)
    high = max(highest for _, highest in ranges)
    if low > high:
        return Scale(0, 0, no_data, ("No pixel has a value; the image is black.",))
    if floating and low >= 0 and high <= 1:
        return Scale(0, 1, no_data)
    if low == high:
        return Scale(low, high, no_data, ("All pixels have the same value; the image is black.",))
    return Scale(low, high, no_data, (f"Values from {low:g} to {high:g} are shown as black to white.",))


def from_unit(plane: Image.Image) -> Image.Image:
    """Scale fractions from 0 to 1, mode F, to 8 bits."""
    return Scale(0, 1, None, ()).shades(plane, inverted=False)


def parse_no_data(text: bytes | None) -> float | None:
    """Parse GDAL's tag for the value of pixels without data."""
    try:
        value = float((text or b"").strip(b"\0 "))
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None


def _bands(plane: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield (first row, image of some rows)."""
    rows = max(1, _BAND_PIXELS // plane.width)
    for top in range(0, plane.height, rows):
        yield top, plane.crop((0, top, plane.width, min(plane.height, top + rows)))


def _range(band: Image.Image, no_data: float | None) -> tuple[float, float]:
    """Return the lowest and highest value; without any value, the lowest is above the highest."""
    missing = _missing(band, no_data)
    if missing is None:
        return _extrema(band)
    band.paste(_LARGEST, mask=missing)
    low = _extrema(band)[0]
    band.paste(-_LARGEST, mask=missing)
    return low, _extrema(band)[1]


def _missing(band: Image.Image, no_data: float | None) -> Image.Image | None:
    """Return a mask, mode L, of the pixels without a value; None if all have one."""
    low, high = _extrema(band)
    mean = band.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # NaN if any pixel is NaN
    may_have_no_data = no_data is not None and not (no_data < low or no_data > high)
    if low >= -_LARGEST and high <= _LARGEST and isinstance(mean, float) and isfinite(mean) and not may_have_no_data:
        return None
    mask = _evaluate(lambda v: 255 - (abs(v) <= _LARGEST) * 255, band)  # comparisons with NaN are false
    if may_have_no_data:
        mask.paste(255, mask=_evaluate(lambda v: (v == no_data) * 255, band))
    return mask


def _extrema(band: Image.Image) -> tuple[float, float]:
    return cast("tuple[float, float]", band.getextrema())  # the type of the result depends on the mode


def _evaluate(function: Callable[[Any], Any], band: Image.Image) -> Image.Image:
    """Apply a function to each pixel; return mode L."""
    result: Image.Image = ImageMath.lambda_eval(lambda names: names["convert"](function(names["v"]), "L"), v=band)
    return result
