"""Read the header of a PNG."""

from __future__ import annotations

from image_pipeline.imaging.containers.png import CHANNELS, GREY, GREY_ALPHA, PALETTE, RGB, RGBA, Png, png
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import Reader

_MODES = {GREY: "L", RGB: "RGB", PALETTE: "P", GREY_ALPHA: "LA", RGBA: "RGBA"}

_BEST_DEFLATE = 1032
"""Largest number of bytes that one compressed byte can represent: a match of 258 bytes in two bits."""

_COPIED_BYTES = 3
"""Bytes that libvips returns for a pixel of an opaque image with colours, which is copied to four bytes. Other modes
use the memory of libvips."""


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = png(reader)
    orientation, _ = orientation_and_camera(reader)
    return Header.stored(
        "PNG",
        parts.width,
        parts.height,
        _mode(parts),
        frames=parts.frames,
        orientation=orientation,
        bits=parts.bits,
        bytes_per_pixel=_bytes_per_pixel(parts) + ROW_BYTES / max(1, parts.width),
        reduced_bytes_per_pixel=_COPIED_BYTES if parts.is_plain and parts.colour_type == RGB else 0,
        least_bytes=parts.width * parts.height * parts.bits * CHANNELS[parts.colour_type] // 8 // _BEST_DEFLATE,
        other_bytes=reader.size if parts.is_plain else 0,
    )


def _mode(parts: Png) -> str:
    return {(GREY, 1): "1", (GREY, 16): "I;16"}.get((parts.colour_type, parts.bits), _MODES[parts.colour_type])


def _bytes_per_pixel(parts: Png) -> float:
    """Return the peak memory by kind, measured by `bench/engine/memory.py` and rounded up."""
    if parts.colour_type in (GREY_ALPHA, RGBA) or (parts.colour_type == PALETTE and parts.transparency):
        return 10 if parts.bits == 16 else 9
    if parts.transparency:  # the image is copied to add its transparency
        return 12.5
    return 2.5 if parts.colour_type == GREY else 5
