"""Decode the first frame of a GIF on its canvas. Pillow's codec sees only the data of the frame."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from PIL import Image

from image_pipeline.imaging.containers.gif import Gif, gif
from image_pipeline.imaging.decoders import codec
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, apply_palette, check_size
from image_pipeline.imaging.reader import Reader

_BLOCK = 64 * 1024
_NO_TRANSPARENCY = -1
"""Argument of the codec, which would skip transparent pixels. Here transparency is a colour of the palette."""


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the first frame; see `decode.decode`."""
    parts = gif(reader)
    check_size((parts.width, parts.height), header)
    image = decode_frame(reader.data, parts)
    if image.size != (parts.width, parts.height):
        canvas = Image.new("RGBA", (parts.width, parts.height))
        canvas.paste(image, (parts.left, parts.top))
        image = canvas
    return Pixels(image, (0, 0, *image.size), header.orientation, b"")


def decode_frame(data: bytes, parts: Gif) -> Image.Image:
    """Decode the part of a frame that is on the canvas: mode RGB, or RGBA if it has a transparent colour."""
    alpha = b"" if parts.transparent is None else b"\xff" * parts.transparent + b"\0"
    indices = _indices(data, parts)
    visible = min(parts.frame_width, parts.width - parts.left), min(parts.frame_height, parts.height - parts.top)
    if visible != indices.size:  # only later frames of an animation
        indices = indices.crop((0, 0, *visible))
    return apply_palette(indices, parts.palette, alpha)


def _indices(data: bytes, parts: Gif) -> Image.Image:
    width, height = parts.frame_width, parts.frame_height
    # The last of the four passes of an interlaced frame writes every other row (GIF89a, appendix E).
    row = height // 2 * 2 - 1 if parts.interlaced and height > 1 else height - 1
    args = parts.code_size, int(parts.interlaced), _NO_TRANSPARENCY
    blocks = partial(_blocks, data, parts.data_start)
    return codec.decode("gif", args, "P", (width, height), blocks, (0, row, width, row + 1))


def _blocks(data: bytes, start: int) -> Iterator[bytes]:
    for at in range(start, len(data), _BLOCK):
        yield data[at : at + _BLOCK]
