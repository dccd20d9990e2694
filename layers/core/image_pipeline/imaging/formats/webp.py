"""Read the header of a WebP."""

from __future__ import annotations

from image_pipeline.imaging.containers.webp import WebpFrame, webp
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import Reader

_FULL_CANVAS, _ON_CANVAS = 10, 12.5
"""Bytes of memory for each pixel, by kind of first frame, measured by `bench/engine/memory.py` and rounded up."""

_MOST_GROUPS, _LEAST_GROUP_BITS, _GROUP_BYTES = 65_536, 20, 6_000
"""Codes of lossless data. libwebp keeps tables of 256 entries of four bytes for each of five codes, and some more."""


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = webp(reader)
    frame = parts.frame
    covers_canvas = (frame.width, frame.height) == (parts.width, parts.height)
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
        other_bytes=0 if frame.lossy and not frame.has_alpha else _table_bytes(frame),
    )


def _table_bytes(frame: WebpFrame) -> int:
    """Return the memory for the codes of a lossless image or an alpha channel.

    Each block of at least 4 × 4 pixels may have its own group of five codes, which takes at least 20 bits of the file
    (RFC 9649, section 5.2). libwebp decodes up to 65,536 groups.
    """
    groups = min(_MOST_GROUPS, frame.width * frame.height // 16, (frame.end - frame.start) * 8 // _LEAST_GROUP_BITS)
    return groups * _GROUP_BYTES
