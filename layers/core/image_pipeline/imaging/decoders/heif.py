"""HEIC and HEIF → pixels of the primary picture, by libheif and libde265."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size, reducible
from image_pipeline.imaging.reader import Reader


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the primary picture; see `decode.decode`."""
    heif: Any = import_module("pi_heif")
    heif.options.THUMBNAILS = heif.options.DEPTH_IMAGES = heif.options.AUX_IMAGES = False
    opened = heif.HeifImageFile(io.BytesIO(reader.data))
    check_size(opened.size, header, upright=True)
    opened.load()
    image, warnings = reducible(opened)
    return Pixels(image, (0, 0, *image.size), 1, opened.info.get("icc_profile") or b"", warnings)
