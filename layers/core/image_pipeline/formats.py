"""What is admitted: decided by the content, from the head of the file, before anything is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageFile, UnidentifiedImageError

from image_pipeline.errors import (
    CorruptImageError,
    EmptyUploadError,
    ImageTooLargeError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from image_pipeline.settings import Settings

FORMATS = frozenset({"JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP"})
HEAD_BYTES = 64 * 1024
"""How much of a file is read first: holds the header of nearly every camera file, thumbnail included."""

MEBIBYTE = 1024 * 1024
RUNTIME_BYTES = 192 * MEBIBYTE
"""Python, boto3 and the libraries, in bytes: a warm function that has not decoded anything yet."""


@dataclass(frozen=True)
class Limits:
    """What an upload may cost."""

    max_bytes: int = 100 * MEBIBYTE
    """Size of the file in bytes."""
    max_pixels: int = 250_000_000
    """Width × height of one frame: more than the 200 megapixels of today's largest telephone camera."""
    max_frames: int = 10_000
    """Frames of an animation or pages of a document; only the first is ever decoded."""
    memory_bytes: int = 1024 * MEBIBYTE
    """What decoding may take in bytes, beyond the interpreter itself."""
    formats: frozenset[str] = field(default=FORMATS)
    """Names from `FORMATS`."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """What the deployment allows; decoding gets what the function's memory leaves."""
        return cls(
            max_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            memory_bytes=settings.render_memory_bytes - RUNTIME_BYTES,
        )


@dataclass(frozen=True)
class Header:
    """What the head of a file says about the picture."""

    format: str
    """One of `FORMATS`."""
    width: int
    """Pixels, as displayed: orientation applied."""
    height: int
    """Pixels, as displayed: orientation applied."""
    mode: str
    """Pillow's word for the pixels: L, RGB, RGBA, CMYK, P, I;16 …"""
    frames: int = 1
    """Frames or pages that the bytes read so far show."""
    orientation: int = 1
    """EXIF value, 1 to 8; 1 where the file has none."""
    content_type: str = ""
    """Media type, `image/jpeg` …"""

    def to_dict(self) -> dict[str, Any]:
        """CamelCase JSON."""
        return {
            "format": self.format,
            "width": self.width,
            "height": self.height,
            "mode": self.mode,
            "frames": self.frames,
            "orientation": self.orientation,
            "contentType": self.content_type,
        }


def admit(read: Callable[[int], bytes], size_bytes: int, limits: Limits) -> Header:
    """Decide whether a file may be decoded.

    Args:
        read: gives the first n bytes of the file, fewer when it ends before.
        size_bytes: length of the whole file.
        limits: what is allowed.

    Raises:
        EmptyUploadError, UploadTooLargeError, UnsupportedFormatError, CorruptImageError, ImageTooLargeError
    """
    if size_bytes == 0:
        raise EmptyUploadError("The upload is empty (0 bytes).", "Upload the file again.")
    if size_bytes > limits.max_bytes:
        raise UploadTooLargeError(
            f"The upload has {size_bytes} bytes; {limits.max_bytes} are allowed.", "Upload a smaller file."
        )
    header = _header(read, size_bytes)
    if header.format not in limits.formats:
        raise UnsupportedFormatError(f"The content is {header.format}.", f"Upload {', '.join(sorted(limits.formats))}.")
    if header.width * header.height > limits.max_pixels:
        raise ImageTooLargeError(
            f"The picture has {header.width} × {header.height} pixels; {limits.max_pixels} are allowed.",
            "Upload a smaller picture.",
        )
    return header


def _header(read: Callable[[int], bytes], size_bytes: int) -> Header:
    want = HEAD_BYTES
    while True:
        head = read(min(want, size_bytes))
        try:
            with Image.open(io.BytesIO(head)) as image:
                return _from_pillow(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            if want >= size_bytes:
                if isinstance(error, UnidentifiedImageError):
                    raise UnsupportedFormatError("The content is not a picture.", "Upload a picture.") from error
                raise CorruptImageError(f"The header cannot be read: {error}.", "Export the file again.") from error
        want *= 4


def _from_pillow(image: ImageFile.ImageFile) -> Header:
    orientation = image.getexif().get(0x0112, 1)
    width, height = image.size
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    name = image.format or ""
    return Header(name, width, height, image.mode, 1, orientation, Image.MIME.get(name, ""))
