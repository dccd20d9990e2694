"""Decode the primary image of a HEIC or HEIF with libheif and libde265."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from image_pipeline.imaging.decoders import heif_writer
from image_pipeline.imaging.decoders.heif_pixels import check_sizes, pixels_of
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_image import read_image
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import Reader


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the primary image; see `decode.decode`."""
    heif: Any = import_module("pi_heif")
    heif.options.THUMBNAILS = heif.options.DEPTH_IMAGES = heif.options.AUX_IMAGES = False
    heif_image = read_image(reader)
    opened = heif.HeifImageFile(io.BytesIO(heif_writer.write(heif_image.item)))
    check_sizes(opened.size, heif_image, header)
    opened.load()
    return pixels_of(opened, heif_image, header)
