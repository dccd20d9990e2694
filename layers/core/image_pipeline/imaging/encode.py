"""Encode finished pixels as JPEG, PNG, WebP or AVIF, with measured settings."""

from __future__ import annotations

import io
import weakref
from typing import Any

from PIL import Image

CONTENT_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif"}
WITH_ALPHA = frozenset({"png", "webp", "avif"})

WEBP_METHOD = 2
"""Takes 69 ms, method 4 takes 152 ms; the files are 1.8 % larger (1600 px, `docs/performance.md`)."""
AVIF_SPEED = 9
"""Takes 84 ms, speed 6 takes 915 ms, with the file size and SSIM of WebP at quality 70."""


def encode(image: Image.Image, output_format: str, quality: int, rights: bytes) -> bytes:
    """Encode an image and return the bytes of the file.

    Args:
        image: mode L, RGB or RGBA; RGBA only for formats in `WITH_ALPHA`.
        output_format: jpeg, png, webp or avif.
        quality: 1 to 100; PNG is lossless and ignores it.
        rights: EXIF block with artist and copyright; empty if neither is known.
    """
    out = io.BytesIO()
    options: dict[str, Any] = {"exif": rights} if rights else {}
    clean = Image.Image()._new(image.im)  # without `info`, whose comments, profiles and EXIF Pillow would save
    if output_format == "jpeg":
        from PIL import JpegImagePlugin  # noqa: F401  registers its encoder; the others are imported only when needed

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


class Encoder:
    """Encodes the renditions of one upload. It encodes an image only once in the same format and quality.

    A small image has the same size in several recipes, and is then the same object.
    """

    def __init__(self, rights: bytes) -> None:
        self._rights = rights
        self._files: dict[tuple[int, str, int], tuple[weakref.ref[Image.Image], bytes]] = {}

    def encode(self, image: Image.Image, output_format: str, quality: int) -> bytes:
        """Return the bytes of the file; see `encode`."""
        key = id(image), output_format, quality
        entry = self._files.get(key)
        if entry is None or entry[0]() is not image:  # another image may get the id of one that is no longer needed
            entry = self._files[key] = weakref.ref(image), encode(image, output_format, quality, self._rights)
        return entry[1]
