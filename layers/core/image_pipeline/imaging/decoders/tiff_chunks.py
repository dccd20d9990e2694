"""Decode strips and tiles of a TIFF to samples.

Uncompressed data is read in place, and JPEG data goes to the JPEG decoder. Everything else goes through Pillow to
libtiff inside a small new TIFF with a new directory: libtiff sees no tag that admission has not checked, and no other
page. Consecutive strips or tiles are decoded together, as one stack.
"""

from __future__ import annotations

import ctypes
import io
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import PIL
from PIL import Image, ImageChops
from PIL.TiffImagePlugin import TiffImageFile

from image_pipeline.errors import CorruptImageError, UnsupportedFormatError
from image_pipeline.imaging.containers.jpeg import segments
from image_pipeline.imaging.decoders import fax, samples
from image_pipeline.imaging.decoders import jpeg as jpeg_decoder
from image_pipeline.imaging.formats import jpeg as jpeg_format
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.tiff_layout import FAX, Compression, Layout, Photometric, Tag
from image_pipeline.imaging.reader import BrokenContainerError, Reader

Image.MAX_IMAGE_PIXELS = None  # admission has checked the size; Pillow's limit differs

_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_LONG = 4

_DECLARED: dict[str, tuple[int, tuple[int, ...]]] = {
    "L": (1, ()),
    "LA": (1, (2,)),
    "RGB": (2, ()),
    "RGBA": (2, (2,)),
    "CMYK": (5, ()),
}
"""PhotometricInterpretation and ExtraSamples of a TIFF, by the mode of its pixels."""

_NUMBERS = {(16, 2): 1, (32, 2): 3, (32, 3): 3}
"""SampleFormat by (bits, predictor), for the single channels that libtiff decodes: it is much faster than Python."""
_NUMBER_MODES = frozenset({"I;16", "F"})
"""Pillow's modes for these channels."""


@dataclass(frozen=True)
class Stack:
    """Consecutive strips or tiles of one plane, stacked one below the other."""

    plane: int
    chunks: range
    rows: int
    """Rows of pixels in all of them."""


def stacks(layout: Layout, most_bytes: int) -> Iterator[Stack]:
    """Yield all needed strips or tiles in stacks of at most `most_bytes`, or of one strip or tile."""
    # In memory, a one-bit pixel takes a byte.
    chunk_bytes = max(layout.largest_chunk, layout.chunk_width * layout.chunk_height)
    step = 1 if layout.compression == Compression.JPEG else max(1, most_bytes // chunk_bytes)
    for plane in layout.planes:
        end = (plane + 1) * layout.per_plane
        for first in range(end - layout.per_plane, end, step):
            chunks = range(first, min(end, first + step))
            rows = (len(chunks) - 1) * layout.chunk_height + layout.rows(chunks[-1])
            yield Stack(plane, chunks, rows)


def with_smaller_strips(layout: Layout, most_bytes: int) -> Layout:
    """Divide the single strip of an uncompressed image into several strips; return other layouts unchanged."""
    if layout.compression != Compression.NONE or layout.tiled or layout.per_plane > 1:
        return layout
    units = max(1, most_bytes // layout.row_bytes)
    rows = units * layout.subsampling[1]
    if rows >= layout.height:
        return layout
    steps = range(-(-layout.height // rows))
    smaller = replace(layout, chunk_height=rows)
    offsets = array("Q", (start + step * units * layout.row_bytes for start in layout.offsets for step in steps))
    return replace(smaller, offsets=offsets, counts=array("Q", map(smaller.raw_bytes, range(len(offsets)))))


def stacked_image(data: bytes, layout: Layout, stack: Stack) -> Image.Image:
    """Decode a stack whose samples are pixels; see `Layout.is_direct`."""
    mode = layout.mode
    size = layout.chunk_width, stack.rows
    if layout.compression == Compression.JPEG:
        return _jpeg_chunk(data, layout, stack)
    if layout.compression in FAX:
        return _fax(data, layout, stack).convert(mode)
    if layout.compression != Compression.NONE:
        image = _decompress(data, layout, stack, mode)
        return image if image.mode == mode else image.convert(mode)  # Pillow would copy an image that has the mode
    if layout.bits == 1:
        return Image.frombytes("1", size, _joined(data, layout, stack)).convert(mode)
    raw = mode if layout.bits == 8 else f"{mode};16{'L' if layout.little else 'B'}"
    image = Image.new(mode, size, None)  # not cleared, as by `Image.frombytes`: every pixel is written
    image.frombytes(_joined(data, layout, stack), "raw", raw)
    return image


def stacked_rows(data: bytes, layout: Layout, stack: Stack, most_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the samples of a stack in parts: (first row of pixels, number of rows, little-endian samples)."""
    read = _row_source(data, layout, stack)
    down = layout.subsampling[1]
    units = -(-stack.rows // down)
    step = max(1, most_bytes // layout.row_bytes)
    for first in range(0, units, step):
        end = min(units, first + step)
        yield first * down, min(stack.rows - first * down, (end - first) * down), read(first, end)


def _row_source(data: bytes, layout: Layout, stack: Stack) -> Callable[[int, int], bytes]:
    """Return a function that returns the samples of a range of rows of a stack."""
    if layout.compression == Compression.NONE:
        rows = memoryview(_joined(data, layout, stack))
        row_bytes = layout.row_bytes
        return lambda first, end: _numbers(bytes(rows[first * row_bytes : end * row_bytes]), layout)
    image = _decompress(data, layout, stack)
    if image.mode in _NUMBER_MODES:
        return lambda first, end: image.crop((0, first, image.width, end)).tobytes()
    return lambda first, end: _numbers(image.crop((0, first, image.width, end)).tobytes(), layout)


def _numbers(rows: bytes, layout: Layout) -> bytes:
    """Return rows of samples as little-endian numbers, with the predictor undone."""
    item = layout.bits // 8
    if layout.predictor == 3:
        return samples.undo_float_differences(rows, layout.row_bytes, item, layout.channels)
    if item > 1 and layout.bits % 8 == 0 and not layout.little:
        rows = samples.little_endian(rows, item)
    if layout.predictor == 2:
        rows = samples.undo_differences(rows, layout.row_bytes, item, layout.channels)
    return rows


def old_jpeg(file: Reader, layout: Layout) -> Image.Image:
    """Decode an old-style JPEG TIFF that contains one ordinary JPEG stream.

    Raises:
        UnsupportedFormatError: the stream is in several pieces.
    """
    start = layout.tags.integer(Tag.JPEG_STREAM)
    count = layout.tags.integer(Tag.JPEG_STREAM_BYTES)
    try:
        stream = _ordinary_jpeg(layout, file.part(start, count if count > 0 else file.size).data, b"")
    except BrokenContainerError as error:
        raise UnsupportedFormatError(
            "The content is a TIFF with old-style JPEG compression in several pieces, which is not supported.",
            "Save it with another compression and upload it again.",
        ) from error
    return _jpeg(layout, stream, (layout.width, layout.height), layout.height)


# The bytes of the file ------------------------------------------------------------------------------------------------


def _stored(data: bytes, layout: Layout, chunk: int) -> memoryview:
    start = layout.offsets[chunk]
    return memoryview(data)[start : start + layout.counts[chunk]]


def _blocks(data: bytes, layout: Layout, stack: Stack) -> Sequence[bytes | memoryview]:
    blocks = [_stored(data, layout, chunk) for chunk in stack.chunks]
    if layout.tags.integer(Tag.FILL_ORDER, 1) == 2:
        return [bytes(block).translate(_REVERSED) for block in blocks]
    return blocks


def _joined(data: bytes, layout: Layout, stack: Stack) -> bytes | memoryview:
    blocks = _blocks(data, layout, stack)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


# libtiff --------------------------------------------------------------------------------------------------------------


def _decompress(data: bytes, layout: Layout, stack: Stack, mode: str = "") -> Image.Image:
    """Decode a stack with libtiff: to an image of `mode`, else of its numbers, else of its bytes as grey pixels."""
    number = _NUMBERS.get((layout.bits, layout.predictor))
    if not mode and number and layout.channels == 1 and layout.little:
        tags = _shape(layout.chunk_width, stack.rows, layout.chunk_height, layout.bits, 1)
        tags |= {Tag.SAMPLE_FORMAT: (number,), Tag.PREDICTOR: (layout.predictor,)}
    elif mode:
        photometric, extras = _DECLARED[mode]
        tags = _shape(layout.chunk_width, stack.rows, layout.chunk_height, layout.bits, layout.channels)
        tags |= {Tag.PHOTOMETRIC: (photometric,), Tag.PREDICTOR: (layout.predictor,)}
        tags |= {Tag.EXTRA_SAMPLES: extras} if extras else {}
    else:
        down = layout.subsampling[1]
        tags = _shape(layout.row_bytes, -(-stack.rows // down), -(-layout.chunk_height // down), 8, 1)
    return _load(layout, tags, _blocks(data, layout, stack))


def _fax(data: bytes, layout: Layout, stack: Stack) -> Image.Image:
    """Decode a stack of fax data to mode 1; reject incomplete data."""
    width, height = layout.chunk_width, layout.chunk_height
    blocks = _blocks(data, layout, stack)
    options = {
        tag: (layout.tags.integer(tag) & 0xFF,) for tag in (Tag.T4_OPTIONS, Tag.T6_OPTIONS) if tag in layout.tags
    }
    if layout.compression == Compression.FAX3:
        for chunk, block in zip(stack.chunks, blocks, strict=True):
            if fax.lacks_lines(bytes(block), layout.rows(chunk)):
                raise _damaged(layout)
    if layout.compression != Compression.FAX4:
        return _load(layout, _shape(width, stack.rows, height, 1, 1) | options, blocks)
    return _fax4(layout, stack, blocks, options)


def _fax4(
    layout: Layout, stack: Stack, blocks: Sequence[bytes | memoryview], options: dict[Tag, tuple[int]]
) -> Image.Image:
    """Decode group 4 data, each block after a marked one, whose mark remains if lines are missing."""
    width, height = layout.chunk_width, layout.chunk_height
    marked_block, marked_row = fax.marked_block(width, height)
    pairs = [block for pair in zip([marked_block] * len(blocks), blocks, strict=True) for block in pair]
    decoded = _load(layout, _shape(width, len(blocks) * height + stack.rows, height, 1, 1) | options, pairs)
    image = Image.new("1", (width, stack.rows))
    for number in range(len(blocks)):
        top = (2 * number + 1) * height
        part = decoded.crop((0, top, width, min(top + height, decoded.height)))
        if marked_row.strip(b"\0") and part.crop((0, part.height - 1, *part.size)).tobytes() == marked_row:
            raise _damaged(layout)
        image.paste(part, (0, number * height))
    return image


def _shape(width: int, rows: int, rows_of_strip: int, bits: int, channels: int) -> dict[int, Sequence[int]]:
    return {
        Tag.WIDTH: (width,),
        Tag.HEIGHT: (rows,),
        Tag.ROWS_PER_STRIP: (min(rows, rows_of_strip),),
        Tag.BITS: (bits,) * channels,
        Tag.SAMPLES: (channels,),
        Tag.PHOTOMETRIC: (Photometric.BLACK_IS_ZERO,),
    }


def _load(layout: Layout, tags: dict[int, Sequence[int]], strips: Sequence[bytes | memoryview]) -> Image.Image:
    _silence()
    compression = Compression.DEFLATE if layout.compression == Compression.OLD_DEFLATE else layout.compression
    opened = TiffImageFile(io.BytesIO(_tiff({**tags, Tag.COMPRESSION: (compression,)}, strips, layout.little)))
    try:
        opened.load()
    except OSError as error:
        raise _damaged(layout) from error
    return Image.Image()._new(opened.im)  # without the file, which is a copy of the strips


def _tiff(tags: dict[int, Sequence[int]], strips: Sequence[bytes | memoryview], little: bool) -> bytes:
    """Write a TIFF of one page: its directory, the values that do not fit into it, and its strips."""
    order = "<" if little else ">"
    counts = [len(strip) for strip in strips]
    tags = dict(sorted({**tags, Tag.STRIP_OFFSETS: counts, Tag.STRIP_BYTES: counts}.items()))
    outside_start = 8 + 2 + 12 * len(tags) + 4
    strips_start = outside_start + sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[Tag.STRIP_OFFSETS] = list(accumulate(counts, initial=strips_start))[:-1]
    table = b""
    outside = b""
    for tag, values in tags.items():
        field = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            offset = outside_start + len(outside)
            outside += field
            field = struct.pack(f"{order}I", offset)
        table += struct.pack(f"{order}HHI", tag, _LONG, len(values)) + field
    head = (b"II*\0" if little else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return b"".join((head, table, bytes(4), outside, *strips))


def _damaged(layout: Layout) -> CorruptImageError:
    chunk = "tile" if layout.tiled else "strip"
    return CorruptImageError(
        f"The TIFF is damaged or cut off: the data of a {chunk} ends before its pixels are complete.",
        "The transfer was probably interrupted: upload the original file again.",
    )


@lru_cache(maxsize=1)
def _silence() -> None:
    """Keep libtiff from writing to standard error: a hostile fax would write a line to the log for each of its rows."""
    home = Path(PIL.__file__).parent
    for path in (*home.parent.glob("pillow.libs/libtiff-*.so*"), *home.glob(".dylibs/libtiff.*.dylib")):
        ctypes.CDLL(str(path)).TIFFSetErrorHandler(None)


# JPEG -----------------------------------------------------------------------------------------------------------------


def _jpeg_chunk(data: bytes, layout: Layout, stack: Stack) -> Image.Image:
    stored = bytes(_stored(data, layout, stack.chunks[0]))
    stream = _ordinary_jpeg(layout, stored, layout.tags.block(Tag.JPEG_TABLES).data)
    # The last strip may have as many rows as the others, although the page ends earlier.
    return _jpeg(layout, stream, (layout.chunk_width, stack.rows), layout.chunk_height)


def _jpeg(layout: Layout, stream: bytes, size: tuple[int, int], most_rows: int) -> Image.Image:
    """Decode a JPEG stream.

    Raises:
        CorruptImageError: its size or channels differ from those of the strip, tile or page.
    """
    reader = Reader.of(stream)
    header = jpeg_format.read_header(reader, Limits())
    channels = {"L": 1, "RGB": 3}.get(header.mode, 4)
    if header.width != size[0] or not size[1] <= header.height <= most_rows or channels != layout.channels:
        raise CorruptImageError(
            f"The TIFF contradicts itself: it declares {size[0]} × {size[1]} pixels and {layout.channels} channels, "
            f"but its JPEG data has {header.width} × {header.height} pixels and {channels} channels.",
            "Export the image again and upload it.",
        )
    image = jpeg_decoder.decode(reader, header, 1.0).image
    if image.mode == "CMYK":
        image = ImageChops.invert(image)  # the decoder assumes Adobe's CMYK, which is stored inverted
    return image if image.size == size else image.crop((0, 0, *size))


def _ordinary_jpeg(layout: Layout, stream: bytes, tables: bytes) -> bytes:
    """Insert the tables into a stream, without markers that change its colours: the TIFF defines its channels."""
    joined = b"\xff\xd8" + tables[2:].removesuffix(b"\xff\xd9") + stream[2:]
    parts = list(segments(Reader.of(joined)))
    kept = b"".join(joined[part.start - 4 : part.end] for part in parts if not 0xE0 <= part.marker <= 0xFE)
    transform = layout.photometric == Photometric.YCBCR
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes((transform,)) if layout.channels == 3 else b""
    return b"\xff\xd8" + adobe + kept + joined[parts[-1].end :]
