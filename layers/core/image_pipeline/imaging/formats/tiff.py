"""Read the header of a TIFF: find the page with the image, and predict the memory for decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.tiff import Directory, Tiff
from image_pipeline.imaging.formats.header import ROW_BYTES, Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.tiff_layout import (
    DIRECT_STACK_BYTES,
    RAW_PHOTOMETRICS,
    STACK_BYTES,
    Compression,
    Layout,
    Number,
    Photometric,
    Tag,
    read_layout,
)
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_DIRECTORIES, _DNG_VERSION = 254, 255, 330, 0xC612
_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType: a smaller copy of another page; a transparency mask of another page."""
_OLD_REDUCED = 2
"""SubfileType of a smaller copy."""
_MOST_CANDIDATES = 8
"""Pages that are searched for the image if the first one is a thumbnail."""

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
    layout = reader.once(find_layout)
    tiff = Tiff(reader)
    return Header.stored(
        "TIFF",
        width=layout.width,
        height=layout.height,
        mode=_mode(layout),
        frames=_pages(tiff, limits.max_frames),
        orientation=_orientation(layout.tags),
        bits=layout.bits,
        bytes_per_pixel=_memory(layout) / (layout.width * layout.height) + ROW_BYTES / layout.width,
    )


def find_layout(reader: Reader) -> Layout:
    """Return how the image of a TIFF is stored. Call it through `Reader.once`, which caches the result.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    tiff = Tiff(reader)
    return read_layout(_image_page(tiff, tiff.directory(tiff.first)), reader.size)


def _image_page(tiff: Tiff, first: Directory) -> Directory:
    """Return the directory of the image: the first page, or the first full-size one after a thumbnail or a mask.

    Raises:
        UnsupportedFormatError: the file contains camera raw data.
    """
    pages = chain((first,), _other_pages(tiff, first))
    image_page = next((page for page in pages if not _is_secondary(page)), first)
    if _DNG_VERSION in first or image_page.integer(Tag.PHOTOMETRIC) in RAW_PHOTOMETRICS:
        raise UnsupportedFormatError(
            "The content is camera raw (DNG, NEF, ARW …), which is not supported.",
            "Develop it to JPEG, HEIC or TIFF and upload it again.",
        )
    return image_page


def _is_secondary(page: Directory) -> bool:
    return bool(page.integer(_SUBFILE_TYPE) & (_REDUCED | _MASK)) or page.integer(_OLD_SUBFILE_TYPE) == _OLD_REDUCED


def _other_pages(tiff: Tiff, first: Directory) -> Iterator[Directory]:
    """Yield the pages after the first one, then the subdirectories of the first one."""
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
    if layout.alpha is not None and mode in ("L", "RGB", "P"):
        return mode + "A"
    if mode == "L" and layout.number == Number.FLOAT:
        return "F"
    if mode == "L" and layout.bits > 16:
        return "I"
    if mode == "L" and layout.bits > 8:
        return "I;16"
    if mode == "L" and layout.bits == 1:
        return "1"
    return mode


def _pages(tiff: Tiff, limit: int) -> int:
    """Count the pages of the file as far as their links are valid; stop above `limit`."""
    links: set[int] = set()
    link = tiff.first
    while link and link not in links and len(links) <= limit:
        links.add(link)
        try:
            link = tiff.following(link)
        except BrokenContainerError:  # only the image is needed
            break
    return len(links)


def _memory(layout: Layout) -> float:
    """Return the peak memory of decoding and the first reduction, in bytes, as measured by `bench/engine/memory.py`."""
    pixels = layout.width * layout.height
    if layout.is_measured:
        channel_bytes = 4 * layout.colours + (layout.alpha is not None)
    elif layout.planar or not layout.mode:
        channel_bytes = len(layout.needed_channels)
    else:
        channel_bytes = _pixel_bytes(layout.mode)
    return pixels * (channel_bytes + 1) + max(pixels * _converted_bytes(layout), _stack_memory(layout))


def _converted_bytes(layout: Layout) -> int:
    """Return the bytes of a pixel after colour conversion."""
    if layout.alpha is not None:
        return 8  # a reduction copies images with transparency
    is_grey = layout.colours == 1 and layout.photometric != Photometric.PALETTE
    return 1 if is_grey else 4


def _stack_memory(layout: Layout) -> float:
    """Return the memory for decoding the strips or tiles of a stack, in bytes, without the channels of the image."""
    area = layout.chunk_width * layout.chunk_height
    if layout.compression == Compression.OLD_JPEG:
        area = layout.width * layout.height  # one stream, whatever the strips declare
    if layout.compression in (Compression.JPEG, Compression.OLD_JPEG):
        return 14 * area  # coefficients, and the pixels twice to compare them
    compressed = layout.compression != Compression.NONE
    chunk = layout.largest_chunk
    plane = chunk * layout.per_plane
    most = DIRECT_STACK_BYTES if layout.is_direct else STACK_BYTES
    if not compressed and layout.per_plane == 1:
        chunk = min(chunk, most)  # a large strip is read in parts
    stack = max(chunk, min(plane, most))
    stored = stack * sum(layout.counts) / (layout.largest_chunk * len(layout.counts))
    buffer = chunk if compressed else 0
    if not layout.is_direct:
        return stored + buffer + (stack if compressed else 0) + 10 * min(plane, STACK_BYTES)
    pixels = area * stack / layout.largest_chunk
    if layout.bits == 1:
        return stored + 5 * max(area, min(pixels, most))
    is_whole_image = stack >= plane and not layout.tiled
    tile = min(area, layout.width * layout.height) if layout.tiled else 0
    return stored + buffer + (tile + (0 if is_whole_image else pixels)) * _pixel_bytes(layout.mode)


def _pixel_bytes(mode: str) -> int:
    """Return the bytes of a pixel in memory: Pillow stores two or three channels in four bytes."""
    return 1 if mode == "L" else 4
