"""Find the most interesting part of an image: where brightness and colour differ from their surroundings, with edges.

A crop of `cover` moves along one side only, so the map of interest is summed over columns and rows. A random search on
generated scenes and photographs chose the constants (`python -m bench.focus`). `docs/images.md` reports the result for
other images.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from PIL import Image, ImageChops, ImageFilter

_SURROUNDINGS = 24
"""Distance, in pixels, of the surroundings with which a pixel is compared."""
_BRIGHTNESS = 1.5
"""Weight of a difference in brightness; a difference in colour has the weight 1."""
_EDGES = 2
"""Weight of a difference between neighbours."""
_SLOPE = 0.35
"""Share of a crop, at each of its ends, over which interest counts less: a subject should not touch the edge."""
_CENTRE = 0.2
"""How much less a crop counts if it is far from the centre by the length of the image."""


@dataclass(frozen=True)
class Interest:
    """How interesting each column and each row of an image is."""

    columns: Sequence[float]
    rows: Sequence[float]

    @classmethod
    def of(cls, image: Image.Image) -> Interest:
        """Measure an upright sRGB image of mode L, RGB or RGBA, ideally of 128 pixels."""
        interest = _map(_opaque(image)).convert("F")  # sums of 8-bit numbers would be rounded
        columns, rows = (interest.resize(size, Image.Resampling.BOX) for size in ((image.width, 1), (1, image.height)))
        return cls(array("f", columns.tobytes()), array("f", rows.tobytes()))

    def place(self, size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
        """Return (left, top) of the most interesting crop; of several, the one that is nearest to the centre.

        Args:
            size: (width, height) of the image in any reduction, in pixels.
            crop: (width, height) of the crop, at most those of the image.
        """
        left, top = map(_start, (self.columns, self.rows), size, crop)
        return left, top


def _opaque(image: Image.Image) -> Image.Image:
    """Give transparent parts the mean colour of the others, so that nothing is interesting there."""
    if image.mode != "RGBA":
        return image
    from PIL import ImageStat

    opacity = image.getchannel("A")
    if not opacity.getbbox():
        return Image.new("RGB", image.size)
    mean = tuple(map(round, ImageStat.Stat(image.convert("RGB"), opacity).mean))
    return Image.alpha_composite(Image.new("RGBA", image.size, (*mean, 255)), image)


def _map(image: Image.Image) -> Image.Image:
    brightness, *colours = image.convert("YCbCr").split()
    edges = ImageChops.difference(brightness, brightness.filter(ImageFilter.BoxBlur(1)))
    total = ImageChops.add(
        _contrast(brightness).point(lambda value: _BRIGHTNESS * value), edges.point(lambda value: _EDGES * value)
    )
    for colour in colours:
        total = ImageChops.add(total, _contrast(colour))
    total = total.filter(ImageFilter.BoxBlur(1))
    most = total.getextrema()[1] or 1
    return total.point(lambda value: 255 * (value / most) ** 2)


def _contrast(channel: Image.Image) -> Image.Image:
    blurred, surroundings = (channel.filter(ImageFilter.BoxBlur(radius)) for radius in (1, _SURROUNDINGS))
    return ImageChops.difference(blurred, surroundings)


def _start(interest: Sequence[float], whole: int, part: int) -> int:
    """Return where a crop of `part` of `whole` pixels starts along one side."""
    if part == whole or not any(interest):
        return (whole - part) // 2
    length = max(1, round(len(interest) * part / whole))
    free = len(interest) - length
    slope = _SLOPE * length
    weights = [min(1.0, (min(at, length - 1 - at) + 0.5) / slope) for at in range(length)]
    best, best_start = -1.0, 0
    # The nearest to the centre first: another one must be better.
    for start in sorted(range(free + 1), key=lambda start: abs(2 * start - free)):
        distance = abs(start - free / 2) / len(interest)
        score = sum(map(mul, interest[start : start + length], weights)) * (1 - 2 * _CENTRE * distance)
        if score > best:
            best, best_start = score, start
    return round(best_start * (whole - part) / free) if free else (whole - part) // 2
