"""Decoded pixels, in a mode that can be reduced."""

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
    """The part of `image` that is the picture; JPEG decoded at a fraction may end inside its last pixel."""
    orientation: int
    """What is left to apply: EXIF value, 1 to 8."""
    profile: bytes
    """ICC profile for `image`; empty where it is sRGB already or nothing is said."""
    warnings: tuple[str, ...] = ()


def check_size(size: tuple[int, int], header: Header, *, upright: bool = False) -> None:
    """Compare the size that a decoder has found with the admitted one, before it decodes any pixel.

    Limits and predicted memory were judged by the admitted size: where a file tells its decoder another one, they do
    not hold.

    Args:
        size: (width, height) in pixels as the decoder gives it.
        header: what admission has found.
        upright: whether this decoder applies the orientation itself.

    Raises:
        CorruptImageError: the sizes differ.
    """
    admitted = (header.width, header.height) if upright else header.stored_size
    if size != admitted:
        raise CorruptImageError(
            f"The {header.format} contradicts itself: its header says {admitted[0]} × {admitted[1]} pixels, "
            f"its data {size[0]} × {size[1]}.",
            "Export the picture again and upload it.",
        )


def reducible(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The picture in mode L, RGB, RGBA or CMYK, and what a person should know about the conversion."""
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB"), ()
    if image.mode in ("1", "L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA"), ()
    if image.mode in ("L", "RGB", "RGBA", "CMYK"):
        return image, ()
    if image.mode in ("LA", "La", "RGBa"):
        return image.convert("RGBA"), ()
    return image.convert("L" if image.mode == "1" else "RGB"), ()


def coloured(indices: Image.Image, palette: bytes, alpha: bytes = b"") -> Image.Image:
    """Indices into a palette → mode RGB, or RGBA where alpha is given.

    Args:
        indices: mode P, whatever its own palette.
        palette: red, green and blue of each entry; those that are missing are black, as in libpng and Chromium.
        alpha: of each entry; those that are missing are opaque.
    """
    palette = palette.ljust(3 * 256, b"\0")
    if not alpha:
        indices.putpalette(palette)
        return indices.convert("RGB")
    entries = zip(palette[::3], palette[1::3], palette[2::3], alpha.ljust(256, b"\xff"), strict=True)
    indices.putpalette(b"".join(map(bytes, entries)), "RGBA")
    return indices.convert("RGBA")
