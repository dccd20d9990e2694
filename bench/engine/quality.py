"""Compare the files of the contestants with a reference that none of them made: PSNR and SSIM of each file.

The reference is the picture, decoded at full size, upright, in sRGB and on white, and reduced with Lanczos-3 in double
precision, without rounding in between. Its decoder is Pillow, and for profiles LittleCMS at full size.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.engine.inputs import Picture

Figures = dict[str, list[float]]


def compare(picture: Picture, folders: Sequence[Path]) -> list[Figures]:
    """Return {"ssim": […], "psnr": […]} for each folder, with a figure for each file; {} if they are not upright."""
    full = _full_size(picture)
    references: dict[tuple[int, int], Any] = {}

    def reference(size: tuple[int, int]) -> Any:
        if size not in references:
            references[size] = _reduce(full, size)
        return references[size]

    return [_compare_folder(folder, full.shape[1] > full.shape[0], reference) for folder in folders]


def _compare_folder(folder: Path, wide: bool, reference: Callable[[tuple[int, int]], Any]) -> Figures:
    import numpy
    from PIL import Image

    figures: Figures = {"ssim": [], "psnr": []}
    for path in sorted(folder.iterdir()):
        with Image.open(path) as opened:
            if opened.width != opened.height and (opened.width > opened.height) != wide:
                return {}
            actual, expected = _pixels(opened), reference(opened.size)
        figures["ssim"].append(ssim(expected, actual))
        figures["psnr"].append(10 * float(numpy.log10(255**2 / ((expected - actual) ** 2).mean())))
    return figures


def _full_size(picture: Picture) -> Any:
    from PIL import Image, ImageCms, ImageOps

    if picture.format == "HEIF":
        import pi_heif

        pi_heif.register_heif_opener()
    with Image.open(picture.path) as opened:
        image = ImageOps.exif_transpose(opened)
    if picture.profile:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        image = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB")) or image
    return _pixels(image)


def _pixels(image: Any) -> Any:
    """Return floats, 0 to 255, with transparency on white."""
    import numpy

    if not image.has_transparency_data:
        return numpy.asarray(image.convert("RGB"), dtype=numpy.float32)
    values = numpy.asarray(image.convert("RGBA"), dtype=numpy.float32)
    opacity = values[..., 3:] / 255
    return values[..., :3] * opacity + 255 * (1 - opacity)


def _reduce(pixels: Any, size: tuple[int, int]) -> Any:
    """Reduce to (width, height)."""
    import numpy

    rows, columns = _weights(pixels.shape[0], size[1]), _weights(pixels.shape[1], size[0])
    channels = [rows @ (columns @ pixels[..., channel].T).T for channel in range(3)]
    return numpy.clip(numpy.stack(channels, axis=-1), 0, 255).astype(numpy.float32)


def _weights(source: int, target: int) -> Any:
    """Return the sparse matrix that reduces a side with Lanczos-3."""
    import numpy
    from scipy.sparse import csr_array

    ratio = max(1.0, source / target)
    centres = (numpy.arange(target) + 0.5) * source / target - 0.5
    reach = int(numpy.ceil(3 * ratio))
    places = numpy.floor(centres).astype(int)[:, None] + numpy.arange(-reach, reach + 2)
    distance = (places - centres[:, None]) / ratio
    values = numpy.where(abs(distance) < 3, numpy.sinc(distance) * numpy.sinc(distance / 3), 0.0)
    values[(places < 0) | (places >= source)] = 0
    values /= values.sum(axis=1, keepdims=True)
    index = numpy.repeat(numpy.arange(target), places.shape[1])
    return csr_array((values.ravel(), (index, places.clip(0, source - 1).ravel())), shape=(target, source))


def ssim(expected: Any, actual: Any) -> float:
    """Return the structural similarity of the luma, as scikit-image defines it by default, but ten times as fast.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE Transactions on Image
    Processing 13 (2004), equation 13, with a window of 7 × 7 pixels.
    """
    import cv2
    import numpy

    window, border = 7, 3
    luma = numpy.array([0.299, 0.587, 0.114], dtype=numpy.float32)
    one, two = ((pixels @ luma).astype(numpy.float32) for pixels in (expected, actual))
    mean_one, mean_two, square_one, square_two, product = (
        cv2.boxFilter(values, cv2.CV_32F, (window, window), borderType=cv2.BORDER_REFLECT)
        for values in (one, two, one * one, two * two, one * two)
    )
    unbiased = window**2 / (window**2 - 1)
    variances = unbiased * (square_one - mean_one**2 + square_two - mean_two**2)
    covariance = unbiased * (product - mean_one * mean_two)
    small_mean, small_variance = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_one * mean_two + small_mean) * (2 * covariance + small_variance)
    similarity /= (mean_one**2 + mean_two**2 + small_mean) * (variances + small_variance)
    return float(similarity[border:-border, border:-border].mean(dtype=numpy.float64))
