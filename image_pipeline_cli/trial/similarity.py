"""The structural similarity of two images.

It needs only Pillow, so that the command line installs neither NumPy nor OpenCV. `bench/engine/quality.py` computes the
similarity with them, as scikit-image does, and judges the engine and its peers independently of this module.
"""

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from PIL import Image, ImageMath

_WINDOW = 8
_STRIDE = 4
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def ssim(image: Image.Image, reference: Image.Image) -> float:
    """Return the mean structural similarity of the luma of two images of the same size: 1 for equal ones.

    The formula and its constants are those of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
    visibility to structural similarity" (IEEE Transactions on Image Processing 13, 2004), with uniform windows of 8 × 8
    pixels every 4 pixels, as FFmpeg's filter `ssim` has them. Rows and columns that fill no window are ignored; an
    image smaller than a window is one window.
    """
    first = image.convert("L").convert("F")
    second = reference.convert("L").convert("F")
    size = min(_WINDOW, first.width), min(_WINDOW, first.height)
    grids = [_similarities(_means(first, second, box, size)) for box in _boxes(first.size, size)]
    return fmean(map(_mean, grids), [grid.width * grid.height for grid in grids])


def _boxes(image: tuple[int, int], window: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the parts of an image that windows side by side fill, from each offset within a window."""
    for top in range(0, window[1], _STRIDE):
        for left in range(0, window[0], _STRIDE):
            across, down = (image[0] - left) // window[0], (image[1] - top) // window[1]
            if across and down:
                yield left, top, left + across * window[0], top + down * window[1]


def _means(
    first: Image.Image, second: Image.Image, box: tuple[int, int, int, int], window: tuple[int, int]
) -> dict[str, Any]:
    """Return the means over all windows: of both images, of their squares and of their product."""
    x = first.crop(box)
    y = second.crop(box)
    products = {"x": x, "y": y, "xx": _product(x, x), "yy": _product(y, y), "xy": _product(x, y)}
    return {name: image.reduce(window) for name, image in products.items()}


def _mean(grid: Image.Image) -> float:
    mean: Any = grid.reduce(grid.size).getpixel((0, 0))
    return float(mean)


def _product(x: Image.Image, y: Image.Image) -> Image.Image:
    product: Image.Image = ImageMath.lambda_eval(lambda images: images["x"] * images["y"], x=x, y=y)
    return product


def _similarities(means: dict[str, Any]) -> Image.Image:
    def formula(m: dict[str, Any]) -> Any:
        variances = m["xx"] - m["x"] * m["x"] + m["yy"] - m["y"] * m["y"]
        covariance = m["xy"] - m["x"] * m["y"]
        luminance = (2 * m["x"] * m["y"] + _C1) / (m["x"] * m["x"] + m["y"] * m["y"] + _C1)
        return luminance * (2 * covariance + _C2) / (variances + _C2)

    similarities: Image.Image = ImageMath.lambda_eval(formula, **means)
    return similarities
