"""The files that `verify` uploads: one picture of four coloured quarters in every format, and files that are no image.

A wrong orientation, wrong colours and lost transparency all show in the quarters, in renditions of any size.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image, features

from image_pipeline_cli.checks import NotCheckedError
from image_pipeline_cli.verify.heic import turned_heic

Colour = tuple[int, int, int]
SIZE = (240, 160)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS: tuple[Colour, Colour, Colour, Colour] = (RED, GREEN, BLUE, WHITE)
"""The colours of the upright picture: top left, top right, bottom left, bottom right."""
_ORIENTATION_TAG = 0x0112
_TURNED = 6  # the camera was held upright: the picture is stored turned to the left, and shown turned to the right


@dataclass(frozen=True)
class Picture:
    """A picture that must be processed."""

    name: str
    """The name of its check."""
    file_name: str
    image_format: str
    """A name from the parameter `ImageFormats`."""
    encode: Callable[[], bytes]
    quarters: tuple[Colour, ...] = QUARTERS
    transparent: int | None = None
    """The index of the quarter that is transparent."""


@dataclass(frozen=True)
class BadFile:
    """A file that must be rejected."""

    name: str
    file_name: str
    data: bytes
    error: str
    """The code of the error."""


def _draw(quarters: tuple[Colour, ...] = QUARTERS) -> Image.Image:
    image = Image.new("RGB", SIZE)
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for index, colour in enumerate(quarters):
        left, top = index % 2 * width, index // 2 * height
        image.paste(colour, (left, top, left + width, top + height))
    return image


def _encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return out.getvalue()


def jpeg(quarters: tuple[Colour, ...] = QUARTERS) -> bytes:
    """Encode quarters as an upright JPEG."""
    return _encoded(_draw(quarters), "JPEG", quality=95)


def _turned_jpeg() -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = _TURNED
    return _encoded(_draw().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


def _transparent_png() -> bytes:
    image = _draw().convert("RGBA")
    image.paste((0, 0, 0, 0), (SIZE[0] // 2, SIZE[1] // 2, *SIZE))
    return _encoded(image, "PNG")


def _avif() -> bytes:
    if not features.check("avif"):
        raise NotCheckedError("The Pillow on this machine cannot write AVIF; install a newer one.")
    return _encoded(_draw(), "AVIF", quality=90)


def _cut_jpeg() -> bytes:
    data = _encoded(Image.effect_noise((480, 320), 100).convert("RGB"), "JPEG")
    return data[: len(data) // 2]


FIRST = Picture("first upload", "first.jpg", "JPEG", jpeg)
PICTURES = (
    Picture("JPEG, turned by EXIF", "turned.jpg", "JPEG", _turned_jpeg),
    Picture("JPEG in CMYK", "cmyk.jpg", "JPEG", lambda: _encoded(_draw().convert("CMYK"), "JPEG", quality=95)),
    Picture("PNG with transparency", "transparent.png", "PNG", _transparent_png, transparent=3),
    Picture("WebP", "picture.webp", "WEBP", lambda: _encoded(_draw(), "WEBP", lossless=True)),
    Picture("GIF", "picture.gif", "GIF", lambda: _encoded(_draw(), "GIF")),
    Picture("AVIF", "picture.avif", "AVIF", _avif),
    Picture("HEIC, turned", "turned.heic", "HEIF", turned_heic),
    Picture("TIFF", "picture.tiff", "TIFF", lambda: _encoded(_draw(), "TIFF", compression="tiff_lzw")),
    Picture("BMP", "picture.bmp", "BMP", lambda: _encoded(_draw(), "BMP")),
    Picture("awkward name", "a folder/ÄÖ+%2B & 'quotes' #1 猫?.jpg", "JPEG", jpeg),
)


def bad_files() -> tuple[BadFile, ...]:
    """Return the files that must be rejected."""
    return (
        BadFile("damaged file", "damaged.jpg", _cut_jpeg(), "CorruptImageError"),
        BadFile("empty file", "empty.jpg", b"", "EmptyUploadError"),
        BadFile("text named .jpg", "text.jpg", b"This is not an image.\n", "UnsupportedFormatError"),
    )
