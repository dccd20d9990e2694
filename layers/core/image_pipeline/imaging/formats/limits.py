"""Limits on the cost of one upload."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from image_pipeline.errors import SettingsError

if TYPE_CHECKING:
    from image_pipeline.settings import Settings

RUNTIME_BYTES = 192 * 1024 * 1024
"""Memory of a warm function that has not decoded anything yet, in bytes: Python, botocore and the libraries."""

_USUAL_ORDER = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP")
FORMATS = frozenset(_USUAL_ORDER)


def format_names(formats: Collection[str]) -> str:
    """Return a list for people, in which the most common formats come first."""
    return ", ".join(name for name in _USUAL_ORDER if name in formats)


@dataclass(frozen=True)
class Limits:
    """Limits on the cost of one upload."""

    max_bytes: int = 100_000_000
    """Size of the file in bytes."""
    max_pixels: int = 250_000_000
    """Width × height. The largest phone cameras have 200 megapixels."""
    max_frames: int = 10_000
    """Frames of an animation or pages of a document. Only animated renditions need more than the first one."""
    memory_bytes: int = 1024 * 1024 * 1024
    """Memory for the file and its decoding together, without the runtime."""
    formats: frozenset[str] = field(default=FORMATS)
    """Names from `FORMATS`."""
    rendition_side: int = 2048
    """Longest side of the largest rendition in pixels: JPEG is decoded no larger than needed."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Limits:
        """Return the limits of the deployment; decoding gets the memory that the runtime does not need.

        Raises:
            SettingsError: the settings name an unknown format.
        """
        if unknown := settings.image_formats - FORMATS:
            raise SettingsError(
                f"IMAGE_FORMATS contains unsupported formats: {', '.join(sorted(unknown))}.",
                f"Set the parameter ImageFormats to some of {format_names(FORMATS)}, and deploy again.",
            )
        return cls(
            max_bytes=settings.max_upload_bytes,
            max_pixels=settings.max_pixels,
            memory_bytes=settings.render_memory_bytes - RUNTIME_BYTES,
            formats=settings.image_formats,
        )
