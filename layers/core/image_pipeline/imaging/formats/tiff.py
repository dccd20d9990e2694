"""The header of a TIFF."""

from __future__ import annotations

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.tiff import Directory, Tiff
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_BYTES_PER_PIXEL = 13
"""Of the most demanding kind, as `bench/memory.py` measures it, rounded up."""

_MODES = {0: "L", 1: "L", 2: "RGB", 3: "P", 5: "CMYK", 6: "RGB", 8: "LAB"}


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    tiff = Tiff(reader)
    tags = tiff.directory(tiff.first)
    if 0xC612 in tags or (tags.integer(254) & 1 and 330 in tags):
        raise UnsupportedFormatError(
            "The content is camera raw (DNG, NEF, ARW …).", "Develop it to JPEG, HEIC or TIFF and upload it again."
        )
    if 256 not in tags or 257 not in tags:
        raise BrokenContainerError("no width or height")
    orientation = tags.integer(274, 1)
    return Header.stored(
        "TIFF",
        width=tags.integer(256),
        height=tags.integer(257),
        mode=_mode(tags),
        frames=1 + _further_pages(tiff, tags.following, limits.max_frames),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        bits=tags.integer(258, 1),
        bytes_per_pixel=_BYTES_PER_PIXEL,
    )


def _mode(tags: Directory) -> str:
    mode = _MODES.get(tags.integer(262), "RGB")
    bits = tags.integer(258, 1)
    if mode == "L" and tags.integer(339, 1) == 3:
        return "F"
    if mode == "L" and bits > 8:
        return "I;16"
    if mode == "L" and bits == 1:
        return "1"
    return mode + "A" if mode in ("L", "RGB") and 338 in tags else mode


def _further_pages(tiff: Tiff, link: int, limit: int) -> int:
    seen: set[int] = set()
    while link and link not in seen and len(seen) <= limit:
        seen.add(link)
        try:
            link = tiff.following(link)
        except BrokenContainerError:  # only the first page is needed
            break
    return len(seen)
