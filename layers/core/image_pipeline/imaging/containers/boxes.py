"""Boxes of ISO base media files (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader


@dataclass(frozen=True, slots=True)
class Box:
    """One box."""

    kind: bytes
    """Four letters."""
    body: Reader
    """What follows the size and the kind."""
    start: int
    """Where its size stands in the reader that holds it."""
    end: int
    """Where the next box starts in that reader."""


def boxes(reader: Reader, start: int = 0) -> Iterator[Box]:
    """Boxes one after another; fewer than 8 bytes behind the last one are ignored.

    Raises:
        CutOffError: a box goes on after the reader.
        BrokenContainerError: a box is smaller than its own head.
    """
    at = start
    while at + 8 <= reader.size:
        head = reader.take(at, 8)
        size, head_bytes = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, head_bytes = reader.number(at + 8, 8), 16
        elif size == 0:  # to the end of the file
            size = reader.size - at
        if size < head_bytes:
            raise BrokenContainerError(f"box {head[4:]!r} of {size} bytes at byte {at}")
        if at + size > reader.size:
            raise CutOffError(f"its box {head[4:]!r} is cut off")
        yield Box(head[4:], reader.part(at + head_bytes, size - head_bytes), at, at + size)
        at += size


def children(reader: Reader, start: int, kinds: frozenset[bytes]) -> dict[bytes, Box]:
    """The boxes of certain kinds, each of which may appear once.

    Args:
        reader: the body of the box that holds them.
        start: where the first one starts in it.
        kinds: which ones; others are ignored.

    Raises:
        BrokenContainerError: one of them appears twice, and as `boxes`.
    """
    by_kind: dict[bytes, Box] = {}
    for box in boxes(reader, start):
        if box.kind in by_kind:
            raise BrokenContainerError(f"it has two {box.kind.decode('latin-1')} boxes")
        if box.kind in kinds:
            by_kind[box.kind] = box
    return by_kind
