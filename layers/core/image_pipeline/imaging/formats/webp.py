"""Read the header of a WebP."""

from __future__ import annotations

from image_pipeline.imaging.containers.webp import webp
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import Reader

_FULL_CANVAS, _ON_CANVAS = 10, 12.5
"""Bytes of memory for each pixel, by kind of first frame, measured by `bench/engine/memory.py` and rounded up."""


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = webp(reader)
    covers_canvas = (parts.frame.width, parts.frame.height) == (parts.width, parts.height)
    orientation, camera = orientation_and_camera(reader)
    return Header.stored(
        "WEBP",
        parts.width,
        parts.height,
        "RGBA" if parts.has_alpha else "RGB",
        frames=parts.frames,
        orientation=orientation,
        camera=camera,
        bytes_per_pixel=(_FULL_CANVAS if covers_canvas else _ON_CANVAS) + ROW_BYTES / max(1, parts.width),
    )
