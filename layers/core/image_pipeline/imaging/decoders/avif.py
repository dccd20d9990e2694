"""Decode the primary image of an AVIF with libavif."""

from __future__ import annotations

import io

from PIL.AvifImagePlugin import AvifImageFile

from image_pipeline.imaging.decoders import heif_writer
from image_pipeline.imaging.decoders.heif_pixels import check_sizes, pixels_of
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_image import read_image
from image_pipeline.imaging.pixels import Pixels
from image_pipeline.imaging.reader import Reader


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the primary image; see `decode.decode`."""
    heif_image = read_image(reader)
    opened = AvifImageFile(io.BytesIO(heif_writer.write(heif_image.item)))
    check_sizes(opened.size, heif_image, header)
    opened.load()
    return pixels_of(opened, heif_image, header)
