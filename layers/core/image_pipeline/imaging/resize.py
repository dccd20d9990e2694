"""Reduce images with the Lanczos filter: with a SIMD resizer if its wheel is installed, else with libvips or Pillow.

Importing this module also makes glibc keep freed memory for the next image. Otherwise the kernel would clear the same
tens of megabytes again for every image, which takes longer than the arithmetic (`docs/performance.md`).
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from PIL import Image

from image_pipeline.imaging import libvips

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 512 * 1024 * 1024
_MMAP_BYTES = 32 * 1024 * 1024
"""The largest value that glibc accepts (mallopt(3), DEFAULT_MMAP_THRESHOLD_MAX on 64-bit systems)."""


def _keep_freed_memory() -> None:
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl does not have it
            libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


_keep_freed_memory()

_MAX_LANCZOS_RATIO = 512
"""Largest ratio at which Lanczos reduces a side alone. It computes and stores 48 bytes of weights for each row and
column of the source, which takes nine seconds for 5,000,000 rows."""
_LANCZOS_RATIO_AFTER_AVERAGING = 64
"""Ratio that is left to Lanczos after a longer side was averaged."""

_FAST_MODES = frozenset({"L", "RGB", "RGBA", "RGBa", "CMYK"})
"""Modes that the SIMD resizer and libvips accept."""
_MOST_COPIED = 16_000_000
"""Largest number of pixels that libvips reduces. It gets a copy, which the predicted memory does not include; Pillow
reduces larger images."""


@lru_cache(maxsize=1)
def _simd() -> Any:
    """Return the module of the SIMD resizer; None where there is no wheel, as for aarch64 Linux.

    It is imported when the first image is reduced, because that takes 20 ms.
    """
    return import_module("cykooz_resizer") if find_spec("cykooz_resizer") else None


@lru_cache(maxsize=1)
def _simd_tools() -> tuple[Any, Any]:
    """Return the SIMD resizer and its Lanczos filter."""
    return _simd().Resizer(), _simd().ResizeAlg.convolution(_simd().FilterType.lanczos3)


def name() -> str:
    """Return the name of the resizer in use; part of the content id, because they differ in rounding."""
    if find_spec("cykooz_resizer"):
        return "simd"
    return "libvips" if libvips.is_installed() else "pillow"


def premultiply(image: Image.Image) -> None:
    """Multiply the colours of an RGBA image by its alpha: mode RGBa. The SIMD resizer would copy the image for that.

    Do nothing for another mode, or if the SIMD resizer is not installed.
    """
    if image.mode == "RGBA" and _simd() is not None:
        _simd().AlphaMulDiv().multiply_alpha_pil_inplace(image)


def reduce(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> Image.Image:
    """Resize an image, or the part inside `box`, to `size` (width, height) with Lanczos and premultiplied alpha.

    Accepts modes L, LA, RGB, RGBA, CMYK and LAB; of a premultiplied image, the result is RGBA.
    """
    if box == (0, 0, *image.size):
        box = None
    if box is None and size == image.size:
        return image
    if box is None:
        image = _average_long_sides(image, size)
    if image.mode in _FAST_MODES:
        if _simd() is not None:
            return _reduce_with_simd(image, size, box)
        if image.width * image.height <= _MOST_COPIED and (reduction := _reduce_with_libvips(image, size, box)):
            return reduction
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)


def _reduce_with_simd(image: Image.Image, size: tuple[int, int], box: Box | None) -> Image.Image:
    resizer, lanczos = _simd_tools()
    mode = "RGBA" if image.mode == "RGBa" else image.mode
    out = Image.new(mode, size, None)  # not cleared: every pixel is written
    crop = _simd().CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1]) if box else None
    resizer.resize_pil(image, out, _simd().ResizeOptions(resize_alg=lanczos, crop_box=crop))
    return out


def _reduce_with_libvips(image: Image.Image, size: tuple[int, int], box: Box | None) -> Image.Image | None:
    left, top, right, bottom = box or (0, 0, *image.size)
    if left or top:
        return None
    if image.mode != "RGBA":
        return libvips.reduce(image, size, (right, bottom))
    reduction = libvips.reduce(image.convert("RGBa"), size, (right, bottom))
    return reduction.convert("RGBA") if reduction else None


def _average_long_sides(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Average pixels along sides that must become much shorter; return other images unchanged."""
    ratios = [source / target for source, target in zip(image.size, size, strict=True)]
    across, down = (
        int(ratio / _LANCZOS_RATIO_AFTER_AVERAGING) if ratio > _MAX_LANCZOS_RATIO else 1 for ratio in ratios
    )
    return image if across == down == 1 else image.reduce((across, down))
