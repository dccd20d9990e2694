"""Decode a JPEG at 1, 1/2, 1/4 or 1/8 of its size.

The decoder gets only the segments that it needs: Pillow would parse the EXIF of a hostile file again, without a budget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import shake_128
from itertools import chain, islice
from operator import itemgetter

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging import libvips
from image_pipeline.imaging.containers.jpeg import (
    APP0,
    APP2,
    APP14,
    COM,
    FRAMES,
    CodedScan,
    Segment,
    coded_scans,
    payloads,
    segments,
)
from image_pipeline.imaging.exif import is_adobe_rgb
from image_pipeline.imaging.formats.header import Header, draft_scale
from image_pipeline.imaging.icc import MOST_BYTES
from image_pipeline.imaging.photograph import is_photograph
from image_pipeline.imaging.pixels import Pixels, check_size
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.resize import Box
from image_pipeline.imaging.stream import PartStream

_END = b"\xff\xd9"
_INTERVAL_NOISE = [b"\xd5" + shake_128(bytes((number,))).digest(31).replace(b"\xff", b"\x55") for number in range(8)]
"""Bits for each number of a restart interval, without markers. A decoder fills missing data with zeros, so they begin
with a one. They differ, so that no code table of the file decodes all of them to zeros."""
_NOISE = b"".join(_INTERVAL_NOISE)
_STRIP = 256
"""Rows that are compared at a time, to avoid a third copy of the image."""
_GREY = range(126, 131)
"""Values of a block without data: 128, give or take rounding."""
_RESTART = re.compile(rb"(?<!\xff)\xff+[\xd0-\xd7]")
_LONG_FILL = re.compile(b"\xff" * 4096)
_NOT_FILL = re.compile(rb"[^\xff]")
_FEW_UNITS = 16
"""Files with shorter restart intervals are always decoded twice: a missing half of a unit, which is not grey, would be
a large part of an interval."""
_MOST_PROBES = 10_000
"""Largest number of restart intervals whose ends are examined. With more intervals, a second decoding is cheaper; it
has noise after a sample of them."""
_ARITHMETIC = frozenset({0xC9, 0xCA})
"""Frames whose data may lack zeros at its end, so that noise may change a complete image."""
_CHANNELS = {"L": 1, "RGB": 3, "CMYK": 4}
_FIRST_ROWS = 1 / 8
"""Share of the data whose rows are decoded to recognise a photograph."""
_KEPT_APPS = frozenset({APP0, APP14})
"""JFIF and Adobe markers define how the channels are coded; other application data changes no pixel."""

Loaded = tuple[Image.Image, Box, tuple[str, ...]]
"""A decoded image, its visible part, and warnings."""


def decode(reader: Reader, header: Header, reduction: float) -> Pixels:
    """Decode the image, at a fraction of its size if the renditions allow it; see `decode.decode`."""
    parts = list(segments(reader))
    image, box, warnings = _load_as_photograph(reader, parts, header, reduction) or _load_complete(
        _Source(reader, parts, header, draft_scale(reduction, header.camera))
    )
    profile = _profile(reader, parts)
    if not profile and header.mode == "RGB" and is_adobe_rgb(reader):
        from image_pipeline.imaging.colour import ADOBE_RGB, matrix_profile

        profile = matrix_profile(ADOBE_RGB, 563 / 256)
    return Pixels(image, box, header.orientation, profile, warnings)


def _profile(reader: Reader, parts: Sequence[Segment]) -> bytes:
    """Join the chunks of the ICC profile; the first one of each number counts.

    Of a profile above the limit, only so much is read that it is recognised as too long.
    """
    chunks: dict[int, Reader] = {}
    for chunk in payloads(reader, parts, APP2, b"ICC_PROFILE\x00"):
        if chunk.size >= 2:  # the number of the chunk, and how many there are
            chunks.setdefault(chunk.number(0, 1), chunk.part(2, chunk.size - 2))
    profile = b""
    for _, chunk in sorted(chunks.items(), key=itemgetter(0)):
        profile += chunk.data
        if len(profile) > MOST_BYTES:
            break
    return profile


@dataclass(frozen=True)
class _Source:
    """A JPEG to be decoded."""

    reader: Reader
    parts: Sequence[Segment]
    """Segments up to the first scan."""
    header: Header
    scale: int
    """1, 2, 4 or 8."""

    @property
    def pixels_at(self) -> int:
        """Offset of the entropy-coded data of the first scan."""
        return self.parts[-1].end

    @cached_property
    def scans(self) -> Sequence[CodedScan]:
        """The scans that the decoder reads: only the first one if that has all channels."""
        return list(islice(coded_scans(self.reader, self.parts), None if self.header.several_scans else 1))

    @cached_property
    def frame(self) -> Segment:
        """The frame header."""
        return next(part for part in self.parts if part.marker in FRAMES)

    @cached_property
    def sampling(self) -> dict[int, tuple[int, int]]:
        """Horizontal and vertical sampling factors of each component."""
        table = self.reader.take(self.frame.start + 6, 3 * _CHANNELS[self.header.mode])
        return {name: (factor >> 4, factor & 15) for name, factor in zip(table[::3], table[1::3], strict=True)}

    def load(self, tail: bytes = b"") -> tuple[Image.Image, Box]:
        """Decode the data, followed by other data."""
        return self._load([memoryview(self.reader.data)[self.pixels_at :], tail])

    def load_checked(self) -> tuple[Image.Image, Box] | None:
        """Decode the data with a decoder that notices missing data; None if it rejects the data or is not installed."""
        width, height = self.header.stored_size
        # libvips would drop the pixels at the right and at the bottom that only a part of the image covers.
        if self.header.mode not in ("L", "RGB") or width % self.scale or height % self.scale:
            return None
        pixels = memoryview(self.reader.data)[self.pixels_at :]
        image = libvips.decode_jpeg(b"".join(self._file([pixels])), self.scale)
        size = width // self.scale, height // self.scale
        return (image, (0, 0, *size)) if image and image.size == size else None

    def load_first_rows(self) -> Image.Image:
        """Decode the rows in the first part of the data; broken data gives any pixels."""
        count = int(_FIRST_ROWS * (self.reader.size - self.pixels_at))
        opened, _ = self._open([memoryview(self.reader.data)[self.pixels_at : self.pixels_at + count]])
        with suppress(OSError):  # the data ends early
            opened.load()
        rows = max(1, int(_FIRST_ROWS * opened.height))
        return Image.Image()._new(opened.im).crop((0, 0, opened.width, rows))

    def load_with_noise(self) -> Image.Image:
        """Decode the data with noise after every scan, and every restart interval or a sample of them."""
        data = memoryview(self.reader.data)
        body: list[bytes | memoryview] = []
        at = self.pixels_at
        step = 1 + sum(_intervals(self, scan) for scan in self.scans) // _MOST_PROBES
        for scan in self.scans:
            for marker in islice(_restarts(self, scan), step - 1, None, step):
                body += [data[at : marker.start()], _INTERVAL_NOISE[marker[0][-1] & 7]]
                at = marker.start()
            # A byte FF at the end of cut data, or before a marker to fill, would make a marker of the noise.
            stuffing = b"\0" if data[scan.end - 1] == 0xFF else b""
            body += [data[at : scan.end], stuffing + _NOISE]
            at = scan.end
        return self._load([*body, _END])[0]

    def _load(self, body: Sequence[bytes | memoryview]) -> tuple[Image.Image, Box]:
        opened, box = self._open(body)
        opened.load()
        return opened, box

    def _open(self, body: Sequence[bytes | memoryview]) -> tuple[JpegImageFile, Box]:
        opened = JpegImageFile(PartStream(self._file(body)))  # type: ignore[arg-type]
        check_size(opened.size, self.header)
        box: Box = (0, 0, *opened.size)
        if self.scale > 1:
            size = max(1, opened.width // self.scale), max(1, opened.height // self.scale)
            drafted = opened.draft(None, size)
            box = drafted[1] if drafted else box
        return opened, box

    def _file(self, body: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield the parts of a file that contains only what determines the pixels."""
        data = memoryview(self.reader.data)
        yield b"\xff\xd8"
        yield from (data[part.start - 4 : part.end] for part in self.parts if _is_needed(part))
        yield from chain.from_iterable(map(_without_long_fill, body))


def _without_long_fill(part: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """Keep one byte of each long run of fill bytes, which means the same.

    A decoder that gets the data block by block reads such a run again from its start with each block.
    """
    at = 0
    while run := _LONG_FILL.search(part, at):
        yield part[at : run.start() + 1]
        rest = _NOT_FILL.search(part, run.end())
        at = rest.start() if rest else len(part)
    yield part[at:]


def _is_needed(part: Segment) -> bool:
    return part.marker in _KEPT_APPS or not (APP0 <= part.marker <= 0xEF or part.marker == COM)


def _load_as_photograph(reader: Reader, parts: Sequence[Segment], header: Header, reduction: float) -> Loaded | None:
    """Decode the image at the smaller scale that suits a photograph; None if it is not one, or has no smaller scale."""
    scale = draft_scale(reduction, True)
    if scale == draft_scale(reduction, header.camera) or header.several_scans:
        return None
    source = _Source(reader, parts, header, scale)
    if not is_photograph(source.load_first_rows()):
        return None
    loaded = _load_complete(source)
    return loaded if is_photograph(loaded[0]) else None  # the first rows may be unlike the others


def _load_complete(source: _Source) -> Loaded:
    """Decode a complete image; reject an incomplete one.

    Pillow's decoder fills missing parts with zeros and reports no error. libvips rejects such an image, but also some
    that are complete, and decodes slower, so it decodes only images of several scans. Every other image, and one that
    libvips rejects, is decoded again with noise after each part of its data: the noise changes the pixels only if data
    is missing. An image of one scan is decoded again only if the data of a part might be missing: that part would end
    in grey.

    Raises:
        CorruptImageError: a part of the image is missing.
        OSError: the data is cut off or damaged.
    """
    _check_channels(source)
    _check_restarts(source)
    if source.header.several_scans and (checked := source.load_checked()):
        return *checked, ()
    warnings: tuple[str, ...] = ()
    try:
        image, box = source.load()
    except OSError:
        image, box = source.load(tail=_END)
        warnings = ("The file has no end marker; its image is complete.",)
    if (warnings or _may_be_incomplete(source, image)) and not _same_pixels(image, source.load_with_noise()):
        raise _incomplete()
    return image, box, warnings


def _incomplete() -> CorruptImageError:
    return CorruptImageError(
        "The JPEG is cut off: its data ends before the image is complete.",
        "The transfer was probably interrupted: upload the original file again.",
    )


def _same_pixels(one: Image.Image, other: Image.Image) -> bool:
    boxes = [(0, top, one.width, min(one.height, top + _STRIP)) for top in range(0, one.height, _STRIP)]
    return all(one.crop(box).tobytes() == other.crop(box).tobytes() for box in boxes)


def _may_be_incomplete(source: _Source, image: Image.Image) -> bool:
    """Return whether data might be missing: any, if there are several scans; else that of a part that ends in grey."""
    if source.frame.marker in _ARITHMETIC:
        return _is_grey(image, image.width, image.height)
    scan = source.scans[0]
    units = _Units.of(source, scan)
    interval = scan.interval or units.count
    if source.header.several_scans or interval < _FEW_UNITS or units.count > interval * _MOST_PROBES:
        return True
    ends = chain(range(interval - 1, units.count - 1, interval), [units.count - 1])
    return any(_is_grey(image, *units.centre(unit, source.scale)) for unit in ends)


def _is_grey(image: Image.Image, x: int, y: int) -> bool:
    """Return whether the pixel in the middle of a unit is that of a unit without data."""
    inside = x < image.width and y < image.height
    colour = image.getpixel((min(x, image.width - 1), min(y, image.height - 1)))
    if isinstance(colour, tuple) and image.mode == "RGB" and not inside:
        # Neighbouring units tint the colours at the edge of a unit.
        colour = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
    values = colour if isinstance(colour, tuple) else (colour,)
    return all(round(value or 0) in _GREY for value in values)


def _check_channels(source: _Source) -> None:
    """Reject an image that has no scan at all for a channel.

    Raises:
        CorruptImageError
    """
    scanned = {component for scan in source.scans for component in scan.header.components}
    if source.header.several_scans and len(scanned) < _CHANNELS[source.header.mode]:
        raise _incomplete()


def _check_restarts(source: _Source) -> None:
    """Compare the restart markers with the size of the image: a decoder fills a missing interval with zeros.

    Raises:
        CorruptImageError: a marker is missing or out of order.
    """
    for scan in source.scans:
        numbers = [marker[0][-1] & 7 for marker in _restarts(source, scan)]
        if (
            any(number != index % 8 for index, number in enumerate(numbers))
            or len(numbers) < _intervals(source, scan) - 1
        ):
            raise _incomplete()


def _restarts(source: _Source, scan: CodedScan) -> Iterator[re.Match[bytes]]:
    """Return the restart markers between the intervals of a scan, with the fill bytes before them."""
    return islice(_RESTART.finditer(source.reader.data, scan.start, scan.end), _intervals(source, scan) - 1)


def _intervals(source: _Source, scan: CodedScan) -> int:
    return max(1, -(-_Units.of(source, scan).count // scan.interval)) if scan.interval else 1


@dataclass(frozen=True)
class _Units:
    """The minimum coded units of a scan (T.81, A.2)."""

    across: int
    down: int
    width: int
    """Pixels of the image that a unit covers."""
    height: int

    @classmethod
    def of(cls, source: _Source, scan: CodedScan) -> _Units:
        factors = source.sampling.values()
        across = max(h for h, _ in factors)
        down = max(v for _, v in factors)
        width, height = source.header.stored_size
        components = scan.header.components
        if len(components) > 1:
            return cls(-(-width // (8 * across)), -(-height // (8 * down)), 8 * across, 8 * down)
        # A single channel is coded block by block, whatever its sampling factors.
        h, v = source.sampling.get(components[0], (1, 1)) if components else (1, 1)
        columns, rows = -(-width * h // across), -(-height * v // down)
        return cls(-(-columns // 8), -(-rows // 8), 8 * across // h, 8 * down // v)

    @property
    def count(self) -> int:
        return self.across * self.down

    def centre(self, unit: int, scale: int) -> tuple[int, int]:
        """Position of the middle of a unit in the image at a fraction of its size."""
        row, column = divmod(unit, self.across)
        return (2 * column + 1) * self.width // (2 * scale), (2 * row + 1) * self.height // (2 * scale)
