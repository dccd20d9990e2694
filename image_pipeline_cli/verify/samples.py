"""The files that `verify` uploads: images of four coloured quarters in every format, and files that are not images.

A wrong orientation, wrong colours, lost transparency and a misplaced crop all show in the quarters, in renditions of
any size. Every EXIF orientation occurs in one of the images.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image, features

from image_pipeline.imaging.focus import METADATA, Point
from image_pipeline_cli.checks import NotCheckedError
from image_pipeline_cli.verify.heic import turned_heic

Colour = tuple[int, int, int]
SIZE = (240, 160)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
QUARTERS: tuple[Colour, Colour, Colour, Colour] = (RED, GREEN, BLUE, WHITE)
"""The colours of the upright image: top left, top right, bottom left, bottom right."""
_ORIENTATION_TAG = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The transposition that a camera applies to an upright image, by EXIF orientation."""


@dataclass(frozen=True)
class SampleImage:
    """An image that the stack must process."""

    name: str
    """The name of its check."""
    file_name: str
    image_format: str
    """A name from the parameter `ImageFormats`."""
    write: Callable[..., bytes]
    """Writes the stored pixels; `exif` is an option."""
    quarters: tuple[Colour, ...] = QUARTERS
    transparent: int | None = None
    """The index of the quarter that is transparent."""
    size: tuple[int, int] = SIZE
    """(width, height) of the upright image."""
    orientation: int = 1
    """That of EXIF, 1 to 8."""
    point: Point | None = None
    """The point that its crops must show."""

    @property
    def metadata(self) -> dict[str, str]:
        """The user-defined metadata of its upload."""
        return {METADATA: str(self.point)} if self.point else {}

    def draw(self) -> Image.Image:
        """Return the upright image."""
        image = Image.new("RGB", self.size)
        width, height = self.size[0] // 2, self.size[1] // 2
        for index, colour in enumerate(self.quarters):
            left, top = index % 2 * width, index // 2 * height
            image.paste(colour, (left, top, left + width, top + height))
        if self.transparent is not None:
            image = image.convert("RGBA")
            left, top = self.transparent % 2 * width, self.transparent // 2 * height
            image.paste((0, 0, 0, 0), (left, top, left + width, top + height))
        return image

    def encode(self) -> bytes:
        """Return the file.

        Raises:
            NotCheckedError: It cannot be made on this machine.
        """
        return _encode(self)


@dataclass(frozen=True)
class BadFile:
    """A file that must be rejected."""

    name: str
    file_name: str
    data: bytes
    error: str
    """The code of the error."""


@cache  # an encoder may write other bytes next time, and checks compare with the upload
def _encode(sample: SampleImage) -> bytes:
    image = sample.draw()
    if sample.orientation == 1:
        return sample.write(image)
    exif = Image.Exif()
    exif[_ORIENTATION_TAG] = sample.orientation
    return sample.write(image.transpose(_TRANSPOSITIONS[sample.orientation]), exif=exif)


def _writer(image_format: str, **options: Any) -> Callable[..., bytes]:
    def write(image: Image.Image, **more: Any) -> bytes:
        out = io.BytesIO()
        image.save(out, image_format, **options, **more)
        return out.getvalue()

    return write


def _cmyk(image: Image.Image, **options: Any) -> bytes:
    return jpeg(image.convert("CMYK"), **options)


def _avif(image: Image.Image) -> bytes:
    if not features.check("avif"):
        raise NotCheckedError("The Pillow on this machine cannot write AVIF; install a newer one.")
    return _writer("AVIF", quality=90)(image)


def _heic(_: Image.Image, **__: Any) -> bytes:
    return turned_heic()


def _cut_jpeg() -> bytes:
    data = _writer("JPEG")(Image.effect_noise((480, 320), 100).convert("RGB"))
    return data[: len(data) // 2]


jpeg = _writer("JPEG", quality=95)
"""Writes a JPEG."""
FIRST = SampleImage("first upload", "first.jpg", "JPEG", jpeg)
SAMPLES = (
    SampleImage("JPEG, turned by EXIF", "turned.jpg", "JPEG", jpeg, orientation=6),
    SampleImage("JPEG in CMYK", "cmyk.jpg", "JPEG", _cmyk, orientation=2),
    SampleImage("PNG with transparency", "transparent.png", "PNG", _writer("PNG"), transparent=3, orientation=3),
    SampleImage("WebP", "picture.webp", "WEBP", _writer("WEBP", lossless=True), orientation=4),
    SampleImage("GIF", "picture.gif", "GIF", _writer("GIF")),
    SampleImage("AVIF", "picture.avif", "AVIF", _avif),
    SampleImage("HEIC, turned", "turned.heic", "HEIF", _heic, orientation=6),
    SampleImage("TIFF", "picture.tiff", "TIFF", _writer("TIFF", compression="tiff_lzw"), orientation=5),
    SampleImage("BMP", "picture.bmp", "BMP", _writer("BMP")),
    SampleImage("awkward name", "a folder/ÄÖ+%2B & 'quotes' #1 猫?.jpg", "JPEG", jpeg, orientation=7),
    SampleImage("wide image with a point", "wide.jpg", "JPEG", jpeg, size=(480, 160), point=Point(0.9, 0.5)),
)


@cache
def bad_files() -> tuple[BadFile, ...]:
    """Return the files that must be rejected."""
    return (
        BadFile("damaged file", "damaged.jpg", _cut_jpeg(), "CorruptImageError"),
        BadFile("empty file", "empty.jpg", b"", "EmptyUploadError"),
        BadFile("text named .jpg", "text.jpg", b"This is not an image.\n", "UnsupportedFormatError"),
    )
