"""Decode the primary image of a HEIC or HEIF with libheif and libde265."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from image_pipeline.imaging.decoders import heif_writer
from image_pipeline.imaging.decoders.heif_pixels import check_sizes, pixels_of
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_picture import read_picture
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import Reader


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the primary image; see `decode.decode`."""
    heif: Any = import_module("pi_heif")
    heif.options.THUMBNAILS = heif.options.DEPTH_IMAGES = heif.options.AUX_IMAGES = False
    picture = read_picture(reader)
    opened = heif.HeifImageFile(io.BytesIO(heif_writer.write(picture.item)))
    check_sizes(opened.size, picture, header)
    opened.load()
    return pixels_of(opened, picture, header)
