"""JPEG marker segments (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

SOS, EOI, APP1 = 0xDA, 0xD9, 0xE1

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER = re.compile(rb"\xff+[^\x00\x01\xd0-\xd7\xff]")


@dataclass(frozen=True)
class Segment:
    """One marker segment."""

    marker: int
    """Second byte of the marker: 0xC0 for SOF0."""
    start: int
    """Where the payload starts, after the length."""
    end: int

    @property
    def length(self) -> int:
        """Bytes of payload."""
        return self.end - self.start


def segments(reader: Reader) -> Iterator[Segment]:
    """Segments from SOI up to and including the first SOS.

    Raises:
        BrokenContainerError
    """
    at = 2
    while True:
        head = reader.take(at, 2)
        if head[0] != 0xFF:
            raise BrokenContainerError(f"no JPEG marker at byte {at}")
        marker = head[1]
        if marker == 0xFF:  # any number of fill bytes may precede a marker
            at += 1
            continue
        at += 2
        if marker in _STANDALONE:
            continue
        if marker in (0x00, 0xD8, EOI):
            raise BrokenContainerError(f"marker FF{marker:02X} before the first scan")
        length = reader.number(at, 2)
        if length < 2:
            raise BrokenContainerError(f"JPEG segment of {length} bytes at byte {at}")
        yield Segment(marker, at + 2, at + length)
        if marker == SOS:
            return
        at += length


def count_scans(data: bytes, enough: int) -> int:
    """Number of scans of the first picture in `data`; counting stops after `enough` + 1.

    Thumbnails inside segments and further pictures after the end marker do not count. Where the quick count of the
    two bytes, which can only be too high, is not above `enough`, it is the answer.
    """
    quick = data.count(b"\xff\xda")
    if quick <= enough:
        return quick
    scans = 0
    reader = Reader.of(data)
    try:
        at = next(segment.end for segment in segments(reader) if segment.marker == SOS)
        while scans <= enough:
            scans += 1
            at = _next_marker(data, at)
            while data[at + 1] != SOS:
                if data[at + 1] == EOI:
                    return scans
                at = _next_marker(data, at + 2 + reader.number(at + 2, 2))
            at += 2 + reader.number(at + 2, 2)
    except (BrokenContainerError, StopIteration):
        pass
    return scans


def _next_marker(data: bytes, at: int) -> int:
    found = _MARKER.search(data, at)
    if found is None:
        raise CutOffError("it is cut off")
    return found.end() - 2
