"""Read the header of a GIF."""

from __future__ import annotations

from image_pipeline.imaging.containers.gif import Gif, gif
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader

_OPAQUE, _TRANSPARENT, _ON_CANVAS = 5, 9, 12.5
"""Bytes of memory for each pixel, by kind of first frame, measured by `bench/engine/memory.py` and rounded up."""
_MOST_PIXELS_PER_BYTE = 2731
"""A code of 12 bits represents at most 4096 pixels."""


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = gif(reader)
    return Header(
        "GIF",
        parts.width,
        parts.height,
        "P",
        parts.frames,
        bytes_per_pixel=_bytes_per_pixel(parts) + ROW_BYTES / parts.width,
        least_bytes=parts.frame_width * parts.frame_height // _MOST_PIXELS_PER_BYTE,
    )


def _bytes_per_pixel(parts: Gif) -> float:
    if (parts.frame_width, parts.frame_height) != (parts.width, parts.height):
        return _ON_CANVAS
    return _OPAQUE if parts.transparent is None else _TRANSPARENT
