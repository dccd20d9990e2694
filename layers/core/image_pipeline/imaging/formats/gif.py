"""The header of a GIF."""

from __future__ import annotations

from collections.abc import Iterator

from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, BudgetExceededError, CutOffError, Reader

_BYTES_PER_PIXEL = 9
"""Of the most demanding kind, as `bench/memory.py` measures it, rounded up."""


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    screen = reader.take(6, 7)
    width, height = int.from_bytes(screen[:2], "little"), int.from_bytes(screen[2:4], "little")
    at = 13 + (3 << (screen[4] & 7) + 1 if screen[4] & 0x80 else 0)
    frames = 0
    for left, top, wide, high in _frames(reader, at):
        if frames == 0:  # viewers enlarge the screen to hold the first frame
            width, height = max(width, left + wide), max(height, top + high)
        frames += 1
        if frames > limits.max_frames:
            break
    return Header("GIF", width, height, "P", frames, bytes_per_pixel=_BYTES_PER_PIXEL)


def _frames(reader: Reader, at: int) -> Iterator[tuple[int, int, int, int]]:
    """(left, top, width, height) of the frames; ends quietly where the data does, but never before the first."""
    found = False
    try:
        while True:
            kind = reader.take(at, 1)[0]
            if kind == 0x3B:
                if not found:
                    raise BrokenContainerError("no frame")
                return
            if kind == 0x2C:
                box = reader.take(at + 1, 9)
                yield tuple(int.from_bytes(box[i : i + 2], "little") for i in (0, 2, 4, 6))  # type: ignore[misc]
                found = True
                at += 11 + (3 << (box[8] & 7) + 1 if box[8] & 0x80 else 0)
            elif kind == 0x21:
                at += 2
            else:
                if found:
                    return
                raise BrokenContainerError(f"block {kind:#04x} at byte {at}")
            while (length := reader.take(at, 1)[0]) != 0:
                at += 1 + length
            at += 1
    except (CutOffError, BudgetExceededError):
        if not found:
            raise
