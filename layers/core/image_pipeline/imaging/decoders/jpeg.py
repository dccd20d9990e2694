"""JPEG → pixels, at 1, 1/2, 1/4 or 1/8 of its size."""

from __future__ import annotations

import io

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from image_pipeline.imaging.exif import says_adobe_rgb
from image_pipeline.imaging.formats.header import Header, draft_scale
from image_pipeline.imaging.pixels import Pixels, check_size
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.resize import Box

_END = b"\xff\xd9"


def decode(reader: Reader, header: Header, reduction: float) -> Pixels:
    """Decode at a fraction of its size where the renditions allow; see `decode.decode`."""
    data, scale = reader.data, draft_scale(reduction, header.camera)
    warnings: tuple[str, ...] = ()
    try:
        image, box = _load(data, header, scale)
    except OSError as error:
        # Where the last block is complete, bits behind it change nothing; where it is cut off, they do.
        image, box = _load(data + _END, header, scale)
        other, _ = _load(data + b"\x55" * 256 + _END, header, scale)
        if image.tobytes() != other.tobytes():
            raise error
        warnings = ("The file has no end marker; its picture is complete.",)
    profile = image.info.get("icc_profile") or b""
    if not profile and header.mode == "RGB" and says_adobe_rgb(reader):
        from image_pipeline.imaging.colour import ADOBE_RGB, matrix_profile

        profile = matrix_profile(ADOBE_RGB, 563 / 256)
    if image.mode == "CMYK" and "adobe" not in image.info:
        from PIL import ImageChops

        image = ImageChops.invert(image)  # Pillow takes all CMYK for Adobe's, which is stored inverted
    return Pixels(image, box, header.orientation, profile, warnings)


def _load(data: bytes, header: Header, scale: int) -> tuple[Image.Image, Box]:
    opened = JpegImageFile(io.BytesIO(data))
    check_size(opened.size, header)
    box: Box = (0, 0, *opened.size)
    if scale > 1:
        drafted = opened.draft(None, (opened.width // scale, opened.height // scale))
        box = drafted[1] if drafted else box
    opened.load()
    return opened, box
