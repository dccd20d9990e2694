"""Lanczos at the speed of the hardware: a SIMD resizer where its wheel is installed, Pillow's own where not.

Importing this module also tells glibc to keep freed memory for the next picture: without that, the kernel clears the
same tens of megabytes again for every one, which takes longer than the arithmetic (`docs/performance.md`).
"""

from __future__ import annotations

import ctypes
import sys
from importlib import import_module
from typing import Any

from PIL import Image

_simd: Any
try:
    _simd = import_module("cykooz_resizer")
except ImportError:  # no wheel for aarch64 Linux
    _simd = None

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 512 * 1024 * 1024
_MMAP_BYTES = 32 * 1024 * 1024
"""The largest value that glibc takes (mallopt(3), DEFAULT_MMAP_THRESHOLD_MAX on 64-bit systems)."""


def _keep_freed_memory() -> None:
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl has none
            libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


_keep_freed_memory()

_STEEPEST, _LEFT_TO_LANCZOS = 512, 64
"""Reductions of one side. Lanczos alone holds 48 bytes of weights for each row and column of the source, and computes
them: of 5,000,000 rows that is nine seconds."""

_SIMD_MODES = frozenset({"L", "RGB", "RGBA", "CMYK"})
_resizer: Any = _simd.Resizer() if _simd else None
_lanczos: Any = _simd.ResizeAlg.convolution(_simd.FilterType.lanczos3) if _simd else None


def name() -> str:
    """Which resizer is at work; part of the content id, as the two differ in rounding."""
    return "simd" if _resizer else "pillow"


def reduce(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> Image.Image:
    """The picture, or the part inside `box`, in another size (width, height) by Lanczos; alpha is premultiplied.

    Modes L, LA, RGB, RGBA, CMYK and LAB.
    """
    if box == (0, 0, *image.size):
        box = None
    if box is None and size == image.size:
        return image
    if box is None:
        image = _less_steep(image, size)
    if _resizer is None or image.mode not in _SIMD_MODES:
        return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)
    out = Image.new(image.mode, size, None)  # not cleared: every pixel is written
    crop = _simd.CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1]) if box else None
    _resizer.resize_pil(image, out, _simd.ResizeOptions(resize_alg=_lanczos, crop_box=crop))
    return out


def _less_steep(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture with sides averaged that are to become much shorter; other pictures as they are."""
    ratios = [side / wanted for side, wanted in zip(image.size, size, strict=True)]
    across, down = (int(ratio / _LEFT_TO_LANCZOS) if ratio > _STEEPEST else 1 for ratio in ratios)
    return image if across == down == 1 else image.reduce((across, down))
