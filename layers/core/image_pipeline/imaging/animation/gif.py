"""Read the frames of a GIF (GIF89a specification, and what browsers do where it is silent)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from image_pipeline.imaging.animation.frames import MOST_FRAMES, Animation, Disposal, Frame, shown_milliseconds
from image_pipeline.imaging.containers.gif import (
    EXTENSION,
    GRAPHIC_CONTROL,
    IMAGE,
    TRAILER,
    Gif,
    colour_table,
    gif,
    read_frame,
    sub_blocks_end,
)
from image_pipeline.imaging.decoders.gif import decode_frame
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_APPLICATION = 0xFF
_LOOPS = (b"\x0bNETSCAPE2.0\x03\x01", b"\x0bANIMEXTS1.0\x03\x01")
"""The extension that contains the number of repetitions, without that number."""
_DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE, 4: Disposal.RESTORE}
"""Some encoders write 4 for 3, and browsers know it."""


@dataclass(frozen=True)
class _Control:
    """The graphic control of the next frame."""

    centiseconds: int = 0
    disposal: int = 0
    transparent: int | None = None


def read(reader: Reader) -> Animation:
    """Read the structure of all frames.

    Raises:
        BrokenContainerError: as `containers.gif.gif`.
    """
    first = gif(reader)
    frames: list[Frame] = []
    repetitions: int | None = None
    control = _Control()
    is_damaged = False
    table, at = colour_table(reader, 13, reader.number(10, 1))
    data = reader.data
    try:
        # A missing end marker is not damage: it cannot be known whether frames are missing.
        while at < reader.size and len(frames) <= MOST_FRAMES and (kind := reader.number(at, 1)) != TRAILER:
            if kind == IMAGE:
                part = read_frame(reader, at, table, control.transparent)
                at = sub_blocks_end(data, part.data_start, reader.budget)
                frames.append(_frame(data, replace(part, width=first.width, height=first.height), control))
                control = _Control()
                continue
            if kind != EXTENSION:
                raise BrokenContainerError(f"it has an unknown block {kind:#04x} at byte {at}")
            label = reader.number(at + 1, 1)
            if label == GRAPHIC_CONTROL:
                control = _control(reader.take(at + 2, 5))
            elif label == _APPLICATION and reader.up_to(at + 2, 14) in _LOOPS:
                repetitions = reader.number(at + 16, 2, little=True)  # the last one counts
            at = sub_blocks_end(data, at + 2, reader.budget)
    except (BrokenContainerError, IndexError):
        is_damaged = True
    return Animation(tuple(frames), _plays(repetitions), is_damaged)


def _control(block: bytes) -> _Control:
    if block[0] < 4:
        return _Control()
    return _Control(
        int.from_bytes(block[2:4], "little"), block[1] >> 2 & 7, transparent=block[4] if block[1] & 1 else None
    )


def _plays(repetitions: int | None) -> int:
    """Return how often the animation plays. The number in the file does not count the first time; 0 means forever."""
    if repetitions is None:
        return 1
    return repetitions + 1 if repetitions else 0


def _frame(data: bytes, part: Gif, control: _Control) -> Frame:
    right = min(part.left + part.frame_width, part.width)
    bottom = min(part.top + part.frame_height, part.height)
    return Frame(
        (part.left, part.top, right, bottom),
        part.frame_width * part.frame_height,
        shown_milliseconds(10 * control.centiseconds),
        _DISPOSALS.get(control.disposal, Disposal.KEEP),
        blends=True,
        decode=partial(decode_frame, data, part),
    )
