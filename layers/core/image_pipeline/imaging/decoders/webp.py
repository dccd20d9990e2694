"""WebP → pixels: still ones by libwebp itself, at the size that is needed; animated ones by Pillow."""

from __future__ import annotations

import io

from PIL.WebPImagePlugin import WebPImageFile

from image_pipeline.imaging.containers.chunks import riff_chunks
from image_pipeline.imaging.decoders import libwebp
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size, reducible
from image_pipeline.imaging.reader import Reader

_CAMERA_MARGIN, _MARGIN = 1.5, 2.0
"""Reduction that is left to Lanczos: libwebp averages areas, which is softer than JPEG's own reduction."""


def decode(reader: Reader, header: Header, reduction: float) -> Pixels:
    """Decode the first frame; see `decode.decode`."""
    return _still(reader, header, reduction) or _animated(reader, header)


def _still(reader: Reader, header: Header, reduction: float) -> Pixels | None:
    """By libwebp itself; None where only Pillow can do it."""
    share = min(1.0, (_CAMERA_MARGIN if header.camera else _MARGIN) / reduction)
    width, height = (max(1, round(side * share)) for side in header.stored_size)
    image = libwebp.decode(reader.data, header, (width, height))
    if image is None:
        return None
    profile = next(
        (reader.take(chunk.start, chunk.length) for chunk in riff_chunks(reader) if chunk.kind == b"ICCP"), b""
    )
    return Pixels(image, (0, 0, *image.size), header.orientation, profile)


def _animated(reader: Reader, header: Header) -> Pixels:
    opened = WebPImageFile(io.BytesIO(reader.data))
    check_size(opened.size, header)
    opened.load()
    image, warnings = reducible(opened)
    return Pixels(image, (0, 0, *image.size), header.orientation, opened.info.get("icc_profile") or b"", warnings)
