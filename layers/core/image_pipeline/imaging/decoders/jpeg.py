"""Decode a JPEG at 1, 1/2, 1/4 or 1/8 of its size.

The decoder gets only the segments that it needs: Pillow would parse the EXIF of a hostile file again, without a budget.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.containers.jpeg import (
    APP0,
    APP2,
    APP14,
    COM,
    DRI,
    EOI,
    FRAMES,
    Segment,
    later_segments,
    payloads,
    scans,
    segments,
)
from image_pipeline.imaging.exif import is_adobe_rgb
from image_pipeline.imaging.formats.header import Header, draft_scale
from image_pipeline.imaging.pixels import Pixels, check_size
from image_pipeline.imaging.reader import Reader
from image_pipeline.imaging.resize import Box
from image_pipeline.imaging.stream import PartStream

_END = b"\xff\xd9"
_NOISE = b"\x55" * 256
"""Bits that no decoder mistakes for padding."""
_STRIP = 256
"""Rows that are compared at a time, to avoid a third copy of the image."""
_GREY = range(126, 131)
"""Values of a block without data: 128, give or take rounding."""
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_KEPT_APPS = frozenset({APP0, APP14})
"""JFIF and Adobe markers define how the channels are coded; other application data changes no pixel."""


def decode(reader: Reader, header: Header, reduction: float) -> Pixels:
    """Decode the image, at a fraction of its size if the renditions allow it; see `decode.decode`."""
    parts = list(segments(reader))
    source = _Source(reader, parts, header, draft_scale(reduction, header.camera))
    image, box, warnings = _load_complete(source)
    chunks = payloads(reader, parts, APP2, b"ICC_PROFILE\x00")
    profile = b"".join(chunk[2:] for chunk in sorted(chunk.data for chunk in chunks))  # two bytes: number, count
    if not profile and header.mode == "RGB" and is_adobe_rgb(reader):
        from image_pipeline.imaging.colour import ADOBE_RGB, matrix_profile

        profile = matrix_profile(ADOBE_RGB, 563 / 256)
    return Pixels(image, box, header.orientation, profile, warnings)


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

    def load(self, until: int | None = None, tail: bytes = b"") -> tuple[Image.Image, Box]:
        """Decode the data up to an offset, followed by other data."""
        data = memoryview(self.reader.data)
        head = [data[part.start - 4 : part.end] for part in self.parts if _is_needed(part)]
        opened = JpegImageFile(PartStream([b"\xff\xd8", *head, data[self.pixels_at : until], tail]))  # type: ignore[arg-type]
        check_size(opened.size, self.header)
        box: Box = (0, 0, *opened.size)
        if self.scale > 1:
            size = max(1, opened.width // self.scale), max(1, opened.height // self.scale)
            drafted = opened.draft(None, size)
            box = drafted[1] if drafted else box
        opened.load()
        return opened, box


def _is_needed(part: Segment) -> bool:
    return part.marker in _KEPT_APPS or not (APP0 <= part.marker <= 0xEF or part.marker == COM)


def _load_complete(source: _Source) -> tuple[Image.Image, Box, tuple[str, ...]]:
    """Decode a complete image; reject an incomplete one.

    A decoder fills missing parts with grey and reports no error. If the image ends in grey, or lacks scans or its end
    marker, it is decoded again with noise after its data: the noise changes the pixels only if data is missing.

    Raises:
        CorruptImageError: a part of the image is missing.
        OSError: the data is cut off or damaged.
    """
    _check_restarts(source)
    warnings: tuple[str, ...] = ()
    end = None
    try:
        image, box = source.load()
    except OSError:
        image, box = source.load(tail=_END)
        warnings = ("The file has no end marker; its image is complete.",)
        end = len(source.reader.data)
    if end is None and (_ends_in_grey(image) or _lacks_scans(source)):
        end = _end_of_picture(source)
    if end is not None:
        image_with_noise, _ = source.load(end, _NOISE + _END)
        if not _same_pixels(image, image_with_noise):
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


def _ends_in_grey(image: Image.Image) -> bool:
    corner = image.getpixel((image.width - 1, image.height - 1))
    if isinstance(corner, tuple) and image.mode == "RGB":
        corner = round(
            0.299 * corner[0] + 0.587 * corner[1] + 0.114 * corner[2]
        )  # neighbouring blocks tint the colours
    values = corner if isinstance(corner, tuple) else (corner,)
    return all(round(value or 0) in _GREY for value in values)


def _lacks_scans(source: _Source) -> bool:
    """Return whether the scans leave a bit of any coefficient out.

    Raises:
        CorruptImageError: a channel has no scan at all.
    """
    if not source.header.several_scans:
        return False
    missing: dict[int, set[int]] = {}
    for scan in scans(source.reader, source.parts[-1]):
        for component in scan.components:
            coefficients = missing.setdefault(component, set(range(64)))
            if scan.low == 0:
                coefficients.difference_update(range(scan.first, scan.last + 1))
    if len(missing) < _channels(source):
        raise _incomplete()
    return any(missing.values())


def _channels(source: _Source) -> int:
    return {"L": 1, "RGB": 3}.get(source.header.mode, 4)


def _end_of_picture(source: _Source) -> int:
    """Return the offset of the end marker, or of the end of the data."""
    for segment in later_segments(source.reader.data, source.pixels_at):
        if segment.marker == EOI:
            return segment.start - 2
    return len(source.reader.data)


def _check_restarts(source: _Source) -> None:
    """Compare the restart markers with the size of the image: a decoder fills a missing interval with grey.

    Raises:
        CorruptImageError: a marker is missing or out of order.
    """
    segment = next((part for part in reversed(source.parts) if part.marker == DRI and part.length == 2), None)
    interval = source.reader.number(segment.start, 2) if segment else 0
    if interval == 0 or source.header.several_scans:
        return
    count = -(-_units(source) // interval) - 1
    end = source.reader.data.find(_END, source.pixels_at)
    markers = _RESTART.finditer(source.reader.data, source.pixels_at, end if end >= 0 else source.reader.size)
    numbers = [marker[0][1] & 7 for marker in islice(markers, count)]
    if any(number != index % 8 for index, number in enumerate(numbers)) or len(numbers) < count:
        raise _incomplete()


def _units(source: _Source) -> int:
    """Return the number of minimum coded units of a scan that has all channels (T.81, A.2)."""
    frame = next(part for part in source.parts if part.marker in FRAMES)
    table = source.reader.take(frame.start + 6, 3 * _channels(source))
    factors = table[1::3]
    across = max(factor >> 4 for factor in factors)
    down = max(factor & 15 for factor in factors)
    width, height = source.header.stored_size
    if len(table) == 3:  # a single channel is coded block by block, whatever its sampling factors
        across = down = 1
    return -(-width // (8 * across)) * -(-height // (8 * down))
