"""What one upload may cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from image_pipeline.errors import SettingsError
from image_pipeline.settings import MEBIBYTE, Settings

RUNTIME_BYTES = 192 * MEBIBYTE
"""Python, boto3 and the libraries, in bytes: a warm function that has not decoded anything yet."""

FORMATS = frozenset({"JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP"})


@dataclass(frozen=True)
class Limits:
    """What one upload may cost."""

    max_bytes: int = 100_000_000
    """Size of the file in bytes."""
    max_pixels: int = 250_000_000
    """Width × height: more than the 200 megapixels of today's largest telephone camera."""
    max_frames: int = 10_000
    """Frames of an animation or pages of a document. Only the first is ever decoded."""
    memory_bytes: int = 1024 * MEBIBYTE
    """What the file and its decoding may take together, beyond the interpreter."""
    formats: frozenset[str] = field(default=FORMATS)
    """Names from `FORMATS`."""
    rendition_side: int = 2048
    """Longest side in pixels that a recipe asks for: JPEG is decoded no larger than it needs."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """What the deployment allows; decoding gets what the function's memory leaves.

        Raises:
            SettingsError: a format is asked for that there is not.
        """
        if unknown := settings.image_formats - FORMATS:
            raise SettingsError(
                f"IMAGE_FORMATS names {', '.join(sorted(unknown))}, which cannot be admitted.",
                f"Choose from {', '.join(sorted(FORMATS))} in the parameter ImageFormats and deploy again.",
            )
        return cls(
            max_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            memory_bytes=settings.render_memory_bytes - RUNTIME_BYTES,
            formats=settings.image_formats,
        )
