"""Decode the first frame of a WebP on its canvas with libwebp, or with Pillow if libwebp cannot be called."""

from __future__ import annotations

import io
import struct

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from image_pipeline.imaging import icc
from image_pipeline.imaging.containers.webp import Webp, WebpFrame, webp
from image_pipeline.imaging.decoders import libwebp
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size
from image_pipeline.imaging.reader import Reader

_CAMERA_MARGIN, _MARGIN = 1.5, 2.0
"""Reduction that is left to the Lanczos filter. libwebp averages areas, which is softer than JPEG's own reduction."""


def decode(reader: Reader, header: Header, reduction: float) -> Pixels:
    """Decode the first frame; see `decode.decode`."""
    parts = webp(reader)
    check_size((parts.width, parts.height), header)
    frame = parts.frame
    canvas_size = parts.width, parts.height
    covers_canvas = (frame.width, frame.height) == canvas_size
    margin = _CAMERA_MARGIN if header.camera else _MARGIN
    scale = min(1.0, margin / reduction) if covers_canvas else 1.0
    least = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    image = decode_frame(reader.data, frame, least)
    if not covers_canvas:  # the background colour is a hint that viewers ignore (RFC 9649, section 2.7.1.1)
        canvas = Image.new("RGBA", canvas_size)
        canvas.paste(image, (frame.left, frame.top))
        image = canvas
    return Pixels(image, (0, 0, *image.size), header.orientation, profile(reader, parts))


def decode_frame(data: bytes, frame: WebpFrame, least: tuple[int, int]) -> Image.Image:
    """Decode one frame: mode RGB or RGBA.

    Args:
        data: the whole file.
        frame: the frame.
        least: smallest acceptable (width, height) in pixels.
    """
    return libwebp.decode(data, frame, least) or _decode_with_pillow(data, frame)


def _decode_with_pillow(data: bytes, frame: WebpFrame) -> Image.Image:
    """Decode the frame as a file of its own, because Pillow accepts only complete files."""
    flags = 0x10 if frame.has_alpha else 0
    sides = ((side - 1).to_bytes(3, "little") for side in (frame.width, frame.height))
    extended = b"VP8X" + struct.pack("<II", 10, flags) + b"".join(sides)
    body = b"WEBP" + extended + data[frame.start : frame.end] + b"\0" * ((frame.end - frame.start) % 2)
    opened = WebPImageFile(io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body))
    opened.load()
    return Image.Image()._new(opened.im)


def profile(reader: Reader, parts: Webp) -> bytes:
    """Return the ICC profile; empty if there is none."""
    if parts.icc is None:
        return b""
    # One byte more than the limit shows that the profile is too long.
    return reader.up_to(parts.icc.start, min(parts.icc.length, icc.MOST_BYTES + 1))
