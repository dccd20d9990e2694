"""Numbers that do not say what black and white are → 8 bits: floating-point, signed and 32-bit pixels.

Pixels without a value take part in nothing: not a number, infinite, or what the file calls "no data". They are black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, cast

from PIL import Image, ImageMath

_LARGEST = 1e38
"""Numbers beyond it count as infinite: geographic data often marks missing pixels with the largest number there is."""
_BAND_PIXELS = 1024 * 1024
"""Rows of so many pixels are looked at at a time, so that masks take little memory."""


@dataclass(frozen=True)
class Scale:
    """What becomes black and what white."""

    low: float
    high: float
    no_data: float | None
    warnings: tuple[str, ...] = ()
    """What a person should know about the choice."""

    def shades(self, plane: Image.Image, inverted: bool) -> Image.Image:
        """A plane of mode F in 8 bits, mode L.

        Args:
            plane: the numbers.
            inverted: whether the lowest number is white.
        """
        out = Image.new("L", plane.size)
        if not self.low < self.high:
            return out
        factor = 255 / (self.high - self.low)
        zero, slope = (self.high, -factor) if inverted else (self.low, factor)
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
    """Choose what becomes black and white: what the file states, else 0 and 1, else the lowest and highest value.

    Args:
        planes: the numbers of each colour, mode F.
        stated: the least and the greatest value, for each channel, as far as the file states them.
        no_data: the number that stands for "no value".
        floating: whether numbers between 0 and 1 are shares of white.
    """
    least, greatest = stated
    if least and greatest and isfinite(min(least)) and isfinite(max(greatest)) and min(least) < max(greatest):
        return Scale(min(least), max(greatest), no_data)
    ranges = [_range(band, no_data) for plane in planes for _, band in _bands(plane)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low > high:
        return Scale(0, 0, no_data, ("No pixel has a value; all are shown as black.",))
    if floating and low >= 0 and high <= 1:
        return Scale(0, 1, no_data)
    if low == high:
        return Scale(low, high, no_data, ("All pixels have one value; they are shown as black.",))
    return Scale(low, high, no_data, (f"Values from {low:g} to {high:g} are shown as black to white.",))


def from_unit(plane: Image.Image) -> Image.Image:
    """Shares between 0 and 1, mode F, in 8 bits."""
    return Scale(0, 1, None, ()).shades(plane, inverted=False)


def parse_no_data(text: bytes | None) -> float | None:
    """The number of GDAL's tag for pixels without a value."""
    try:
        value = float((text or b"").strip(b"\0 "))
    except ValueError:
        return None
    return value if abs(value) <= _LARGEST else None


def _bands(plane: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(its first row, some rows as an image of their own)."""
    rows = max(1, _BAND_PIXELS // plane.width)
    for top in range(0, plane.height, rows):
        yield top, plane.crop((0, top, plane.width, min(plane.height, top + rows)))


def _range(band: Image.Image, no_data: float | None) -> tuple[float, float]:
    """Lowest and highest value; the lowest is above the highest where there is no value at all."""
    missing = _missing(band, no_data)
    if missing is None:
        return _extrema(band)
    band.paste(_LARGEST, mask=missing)
    low = _extrema(band)[0]
    band.paste(-_LARGEST, mask=missing)
    return low, _extrema(band)[1]


def _missing(band: Image.Image, no_data: float | None) -> Image.Image | None:
    """A mask, mode L, of the pixels without a value; None where all have one."""
    low, high = _extrema(band)
    mean = band.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # is not a number where a pixel is none
    marked = no_data is not None and not (no_data < low or no_data > high)
    if low >= -_LARGEST and high <= _LARGEST and isinstance(mean, float) and isfinite(mean) and not marked:
        return None
    mask = _evaluate(lambda v: 255 - (abs(v) <= _LARGEST) * 255, band)  # no comparison with NaN is true
    if marked:
        mask.paste(255, mask=_evaluate(lambda v: (v == no_data) * 255, band))
    return mask


def _extrema(band: Image.Image) -> tuple[float, float]:
    return cast("tuple[float, float]", band.getextrema())  # other images than those of mode F have other results


def _evaluate(function: Callable[[Any], Any], band: Image.Image) -> Image.Image:
    """A function of each pixel, in mode L."""
    result: Image.Image = ImageMath.lambda_eval(lambda names: names["convert"](function(names["v"]), "L"), v=band)
    return result
