"""The header of a WebP."""

from __future__ import annotations

from image_pipeline.imaging.containers.webp import webp
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import Reader

_WHOLE, _ON_CANVAS = 10, 12.5
"""Bytes of memory for each pixel, by kind of first frame, as `bench/engine/memory.py` measures it, rounded up."""


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = webp(reader)
    covers = (parts.frame.width, parts.frame.height) == (parts.width, parts.height)
    orientation, camera = orientation_and_camera(reader)
    return Header.stored(
        "WEBP",
        parts.width,
        parts.height,
        "RGBA" if parts.has_alpha else "RGB",
        frames=parts.frames,
        orientation=orientation,
        camera=camera,
        bytes_per_pixel=(_WHOLE if covers else _ON_CANVAS) + ROW_BYTES / max(1, parts.width),
    )
