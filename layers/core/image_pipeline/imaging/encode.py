"""Finished pixels → JPEG, PNG, WebP or AVIF bytes; the settings and the measurements behind them are here."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif"}
WITH_ALPHA = frozenset({"png", "webp", "avif"})

WEBP_METHOD = 2
"""69 ms and 1.8 % more bytes than method 4, which takes 152 ms (1600 px, `docs/performance.md`)."""
AVIF_SPEED = 9
"""84 ms against 915 ms at speed 6, at the bytes and SSIM of WebP quality 70."""


def encode(image: Image.Image, output_format: str, quality: int, rights: bytes) -> bytes:
    """The file's bytes.

    Args:
        image: mode L, RGB or RGBA; RGBA only for formats in `WITH_ALPHA`.
        output_format: jpeg, png, webp or avif.
        quality: 1 to 100; PNG is lossless and ignores it.
        rights: EXIF with artist and copyright, or nothing.
    """
    out = io.BytesIO()
    options: dict[str, Any] = {"exif": rights} if rights else {}
    clean = Image.Image()._new(image.im)  # without the info that savers would write: comments, profiles, EXIF
    if output_format == "jpeg":
        from PIL import JpegImagePlugin  # noqa: F401  registers its saver; the others are loaded when they are needed

        clean.save(out, "JPEG", quality=quality, **options)
    elif output_format == "png":
        from PIL import PngImagePlugin  # noqa: F401

        clean.save(out, "PNG", compress_level=6, **options)
    elif output_format == "webp":
        from PIL import WebPImagePlugin  # noqa: F401

        clean.save(out, "WEBP", quality=quality, method=WEBP_METHOD, **options)
    else:
        from PIL import AvifImagePlugin  # noqa: F401

        clean.save(out, "AVIF", quality=quality, speed=AVIF_SPEED, max_threads=1, **options)
    return out.getvalue()
