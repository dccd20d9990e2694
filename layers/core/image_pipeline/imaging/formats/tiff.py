"""The header of a TIFF: which of its pages is the picture, and what decoding that takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.tiff import Directory, Tiff
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.tiff_layout import (
    RAW_PHOTOMETRICS,
    Layout,
    Number,
    Photometric,
    Tag,
    read_layout,
)
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 255, 330, 0xC612
_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType: a smaller copy of another page, and a transparency mask of one."""
_OLD_REDUCED = 2
"""SubfileType of a smaller copy."""
_MOST_CANDIDATES = 16
"""Pages that are looked at for the picture where the first one is a thumbnail."""

_MODES = {
    Photometric.WHITE_IS_ZERO: "L",
    Photometric.BLACK_IS_ZERO: "L",
    Photometric.RGB: "RGB",
    Photometric.PALETTE: "P",
    Photometric.CMYK: "CMYK",
    Photometric.YCBCR: "RGB",
    Photometric.CIELAB: "LAB",
    Photometric.ICCLAB: "LAB",
}


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    tiff = Tiff(reader)
    first = tiff.directory(tiff.first)
    layout = read_layout(_picture(tiff, first), reader.size)
    return Header.stored(
        "TIFF",
        width=layout.width,
        height=layout.height,
        mode=_mode(layout),
        frames=1 + _further_pages(tiff, first.following, limits.max_frames),
        orientation=_orientation(layout.tags),
        bits=layout.bits,
        bytes_per_pixel=_memory(layout) / (layout.width * layout.height),
    )


def find_layout(reader: Reader) -> Layout:
    """How the picture of a TIFF is stored.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    tiff = Tiff(reader)
    return read_layout(_picture(tiff, tiff.directory(tiff.first)), reader.size)


def _picture(tiff: Tiff, first: Directory) -> Directory:
    """The directory of the picture: the first page, or the first full-size one where that is a thumbnail or a mask.

    Raises:
        UnsupportedFormatError: it holds pixels of a sensor.
    """
    pages = chain((first,), _others(tiff, first))
    picture = next((page for page in pages if not _is_secondary(page)), first)
    if _DNG_VERSION in first or picture.integer(Tag.PHOTOMETRIC) in RAW_PHOTOMETRICS:
        raise UnsupportedFormatError(
            "The content is camera raw (DNG, NEF, ARW …).", "Develop it to JPEG, HEIC or TIFF and upload it again."
        )
    return picture


def _is_secondary(page: Directory) -> bool:
    return bool(page.integer(_SUBFILE_TYPE) & (_REDUCED | _MASK)) or page.integer(_OLD_SUBFILE_TYPE) == _OLD_REDUCED


def _others(tiff: Tiff, first: Directory) -> Iterator[Directory]:
    """The pages after the first one, then its subordinate ones."""
    link = first.following
    for _ in range(_MOST_CANDIDATES):
        if not link:
            break
        page = tiff.directory(link)
        yield page
        link = page.following
    for offset in first.integers(_SUB_DIRECTORIES, _MOST_CANDIDATES):
        yield tiff.directory(offset)


def _orientation(tags: Directory) -> int:
    value = tags.integer(Tag.ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _mode(layout: Layout) -> str:
    mode = _MODES[layout.photometric]
    if mode == "L" and layout.number == Number.FLOAT:
        return "F"
    if mode == "L" and layout.bits > 16:
        return "I"
    if mode == "L" and layout.bits > 8:
        return "I;16"
    if mode == "L" and layout.bits == 1:
        return "1"
    return mode + "A" if mode in ("L", "RGB", "P") and layout.alpha is not None else mode


def _further_pages(tiff: Tiff, link: int, limit: int) -> int:
    seen: set[int] = set()
    while link and link not in seen and len(seen) <= limit:
        seen.add(link)
        try:
            link = tiff.following(link)
        except BrokenContainerError:  # only the picture is needed
            break
    return len(seen)


def _memory(layout: Layout) -> float:
    """Bytes that decoding and the first reduction take at their peak: see `bench/memory.py`."""
    return 13 * layout.width * layout.height
