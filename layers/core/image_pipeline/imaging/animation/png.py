"""Read the frames of an animated PNG (PNG 3rd edition, section 11.3.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from image_pipeline.imaging.animation.frames import MOST_FRAMES, Animation, Disposal, Frame, shown_milliseconds
from image_pipeline.imaging.containers.chunks import Chunk, png_chunks
from image_pipeline.imaging.containers.png import Png, payload, png
from image_pipeline.imaging.decoders.png import decode_image
from image_pipeline.imaging.decoders.png_colours import find_profile
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_CONTROL = struct.Struct(">IIIIIHHBB")
_DISPOSALS = {0: Disposal.KEEP, 1: Disposal.CLEAR, 2: Disposal.RESTORE}
_OVER = 1
_DEFAULT_DENOMINATOR = 100


@dataclass
class _Part:
    """The control of a frame, and where its data is."""

    control: tuple[int, ...]
    data: list[tuple[int, int]] = field(default_factory=list)
    """(start, length) of each piece."""


def read(reader: Reader) -> Animation:
    """Read the structure of all frames. The default image is one of them only if a frame control precedes it.

    Raises:
        BrokenContainerError: as `containers.png.png`.
    """
    parts = png(reader)
    count, plays = struct.unpack(">II", payload(reader, parts.chunks[b"acTL"]) or bytes(8))
    frames: list[Frame] = []
    try:
        for part in _parts(reader):
            frames.append(_frame(reader, parts, part, is_first=not frames))
            if len(frames) in (count, MOST_FRAMES + 1):
                break
    except BrokenContainerError:
        pass  # fewer frames than declared, which is reported
    profile, _ = find_profile(reader, parts)
    return Animation(tuple(frames), plays, len(frames) < min(count, MOST_FRAMES), profile)


def _parts(reader: Reader) -> Iterator[_Part]:
    """Yield the frames whose data is within the file; only decoding tells whether it is complete."""
    part: _Part | None = None
    following = 0
    for chunk in png_chunks(reader):
        if chunk.kind in (b"fcTL", b"IEND") and part is not None:
            yield part
        if chunk.kind == b"IEND":
            return
        if chunk.kind in (b"fcTL", b"fdAT"):
            if reader.number(chunk.start, 4) != following:
                raise BrokenContainerError("the chunks of its animation are not in order")
            following += 1
        if chunk.kind == b"fcTL":
            part = _Part(_control(reader, chunk))
        elif chunk.kind in (b"IDAT", b"fdAT") and chunk.end > reader.size:
            raise CutOffError("it is cut off")
        elif chunk.kind == b"IDAT" and part is not None:
            part.data.append((chunk.start, chunk.length))
        elif chunk.kind == b"fdAT":
            if part is None:
                raise BrokenContainerError("a frame of its animation has no control")
            part.data.append((chunk.start + 4, chunk.length - 4))
    if part is not None:
        yield part


def _control(reader: Reader, chunk: Chunk) -> tuple[int, ...]:
    data = payload(reader, chunk) if chunk.length == _CONTROL.size else None
    if data is None:
        raise BrokenContainerError("a frame control of its animation is damaged")
    return _CONTROL.unpack(data)


def _frame(reader: Reader, parts: Png, part: _Part, *, is_first: bool) -> Frame:
    _, width, height, left, top, numerator, denominator, disposal, blending = part.control
    box = left, top, left + width, top + height
    canvas = 0, 0, parts.width, parts.height
    if not width or not height or box[2] > parts.width or box[3] > parts.height or (is_first and box != canvas):
        raise BrokenContainerError("a frame is empty or outside of the canvas")
    if not part.data:
        raise BrokenContainerError("a frame has no data")
    return Frame(
        box,
        width * height,
        shown_milliseconds(round(1000 * numerator / (denominator or _DEFAULT_DENOMINATOR))),
        _DISPOSALS.get(disposal, Disposal.KEEP),
        blends=blending == _OVER,
        decode=partial(decode_image, reader, replace(parts, width=width, height=height, pixels=tuple(part.data))),
    )
