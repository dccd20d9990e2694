"""Decoded pixels, in a mode that the resizer accepts."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.resize import Box


@dataclass
class Pixels:
    """Decoded pixels, not yet reduced, turned or in sRGB."""

    image: Image.Image
    """Mode L, RGB, RGBA or CMYK."""
    box: Box
    """The visible part of `image`. A JPEG decoded at a fraction of its size may end within its last pixel."""
    orientation: int
    """EXIF orientation, 1 to 8, still to be applied."""
    profile: bytes
    """ICC profile of `image`; empty if it is already sRGB or the file does not specify its colours."""
    warnings: tuple[str, ...] = ()


def check_size(size: tuple[int, int], header: Header, *, upright: bool = False) -> None:
    """Compare the size that a decoder reports with the admitted size, before the decoder decodes a pixel.

    Admission checked limits and predicted memory for the admitted size; they do not hold for another one.

    Args:
        size: (width, height) in pixels, from the decoder.
        header: the result of admission.
        upright: whether the decoder applies the orientation itself.

    Raises:
        CorruptImageError: the sizes differ.
    """
    admitted = (header.width, header.height) if upright else header.stored_size
    if size != admitted:
        raise CorruptImageError(
            f"The {header.format} contradicts itself: its header declares {admitted[0]} × {admitted[1]} pixels, "
            f"but its image data has {size[0]} × {size[1]}.",
            "Export the image again and upload it.",
        )


def apply_palette(indices: Image.Image, palette: bytes, alpha: bytes = b"") -> Image.Image:
    """Replace palette indices by their colours: mode RGB, or RGBA if alpha is given.

    Args:
        indices: mode P; its own palette is ignored.
        palette: red, green and blue of each entry; missing entries are black, as in libpng and Chromium.
        alpha: opacity of each entry; missing entries are opaque.
    """
    palette = palette.ljust(3 * 256, b"\0")
    if not alpha:
        indices.putpalette(palette)
        return indices.convert("RGB")
    entries = zip(palette[::3], palette[1::3], palette[2::3], alpha.ljust(256, b"\xff"), strict=True)
    indices.putpalette(b"".join(map(bytes, entries)), "RGBA")
    return indices.convert("RGBA")
