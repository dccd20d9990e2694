"""Read the boxes of ISO base media files (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader


@dataclass(frozen=True, slots=True)
class IsoBox:
    """One box."""

    kind: bytes
    """Four letters."""
    body: Reader
    """The content after the size and the kind."""
    start: int
    """Offset of its size in the reader that contains it."""
    end: int
    """Offset of the next box in the same reader."""


def boxes(reader: Reader, start: int = 0) -> Iterator[IsoBox]:
    """Yield consecutive boxes; fewer than 8 bytes after the last one are ignored.

    Raises:
        CutOffError: a box extends beyond the end of the reader.
        BrokenContainerError: a box is smaller than its own header.
    """
    at = start
    while at + 8 <= reader.size:
        head = reader.take(at, 8)
        size = int.from_bytes(head[:4], "big")
        head_bytes = 8
        if size == 1:
            size = reader.number(at + 8, 8)
            head_bytes = 16
        elif size == 0:  # to the end of the file
            size = reader.size - at
        if size < head_bytes:
            raise BrokenContainerError(f"box {head[4:]!r} of {size} bytes at byte {at}")
        if at + size > reader.size:
            raise CutOffError(f"its box {head[4:]!r} is cut off")
        yield IsoBox(head[4:], reader.part(at + head_bytes, size - head_bytes), at, at + size)
        at += size


def children(reader: Reader, start: int, kinds: frozenset[bytes]) -> dict[bytes, IsoBox]:
    """Return the boxes of certain kinds, each of which may occur once.

    Args:
        reader: the body of the box that contains them.
        start: offset of the first one.
        kinds: the kinds; others are ignored.

    Raises:
        BrokenContainerError: a kind occurs twice, and as `boxes`.
    """
    by_kind: dict[bytes, IsoBox] = {}
    for box in boxes(reader, start):
        if box.kind in by_kind:
            raise BrokenContainerError(f"it has two {box.kind.decode('latin-1')} boxes")
        if box.kind in kinds:
            by_kind[box.kind] = box
    return by_kind
