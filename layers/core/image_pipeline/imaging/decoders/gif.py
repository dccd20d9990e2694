"""GIF → pixels of its first frame."""

from __future__ import annotations

import io

from PIL.GifImagePlugin import GifImageFile

from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size, reducible
from image_pipeline.imaging.reader import Reader


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the first frame; see `decode.decode`."""
    opened = GifImageFile(io.BytesIO(reader.data))
    check_size(opened.size, header)
    opened.load()
    image, warnings = reducible(opened)
    return Pixels(image, (0, 0, *image.size), header.orientation, b"", warnings)
