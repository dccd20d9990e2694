"""TIFF → pixels of its first page."""

from __future__ import annotations

import io

from PIL.TiffImagePlugin import TiffImageFile

from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size, reducible
from image_pipeline.imaging.reader import Reader


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the first page; see `decode.decode`."""
    opened = TiffImageFile(io.BytesIO(reader.data))
    check_size(opened.size, header, upright=True)
    opened.load()  # turns the picture upright
    image, warnings = reducible(opened)
    profile = b"" if opened.mode == "LAB" else opened.info.get("icc_profile") or b""
    return Pixels(image, (0, 0, *image.size), 1, profile, warnings)
