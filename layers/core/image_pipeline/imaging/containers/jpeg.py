"""Read JPEG marker segments and scans (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

SOI, EOI, SOS, DRI = 0xD8, 0xD9, 0xDA, 0xDD
APP0, APP1, APP2, APP14, COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Markers of a frame header (SOF), decodable or not."""

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""Fill bytes (FF) before a marker match nothing. `\xff+` would try every start of a long run of them again."""
_SKIP_BYTES = 512
"""Bytes that are searched for a marker at a time, if other bytes are in its place."""


@dataclass(frozen=True)
class Segment:
    """One marker segment."""

    marker: int
    """Second byte of the marker: 0xC0 for SOF0."""
    start: int
    """Offset of the payload, after the length."""
    end: int

    @property
    def length(self) -> int:
        """Bytes of payload."""
        return self.end - self.start


@dataclass(frozen=True)
class Scan:
    """One scan header (T.81, B.2.3)."""

    components: tuple[int, ...]
    """Identifiers of the components in the scan."""
    first: int
    """First coefficient, in zigzag order; 0 is DC."""
    last: int
    low: int
    """Point transform: number of low bits that later scans contain."""


def segments(reader: Reader) -> Iterator[Segment]:
    """Yield the segments from SOI up to and including the first SOS.

    Like libjpeg and all viewers, skip bytes between segments up to the next marker, and treat a length below 2 as 2.

    Raises:
        BrokenContainerError
    """
    at = 2
    while True:
        marker, at = _marker_from(reader, at)
        if marker in _STANDALONE:
            continue
        if marker in (SOI, EOI):
            raise BrokenContainerError(f"it has marker FF{marker:02X} before the first scan")
        length = max(2, reader.number(at, 2))
        yield Segment(marker, at + 2, at + length)
        if marker == SOS:
            return
        at += length


def _marker_from(reader: Reader, at: int) -> tuple[int, int]:
    """Return the first marker at or after `at`, and the offset after it."""
    head = reader.take(at, 2)
    if head[0] == 0xFF and head[1] not in (0x00, 0xFF):
        return head[1], at + 2
    while True:
        block = reader.up_to(at, _SKIP_BYTES)
        if len(block) < 2:
            raise CutOffError("it is cut off")
        match = re.search(rb"\xff([^\x00\xff])", block)
        if match:
            return match[1][0], at + match.end()
        at += len(block) - 1  # the last byte may start a marker


def payloads(reader: Reader, parts: Sequence[Segment], marker: int, signature: bytes) -> Iterator[Reader]:
    """Yield the payloads of segments that start with a signature, without the signature."""
    for segment in parts:
        size = segment.length - len(signature)
        if segment.marker == marker and size > 0 and reader.up_to(segment.start, len(signature)) == signature:
            yield reader.part(segment.start + len(signature), size)


def parse_scan(reader: Reader, segment: Segment) -> Scan:
    """Read the header of a scan.

    Raises:
        BrokenContainerError: it is too short for the components that it declares.
    """
    payload = reader.take(segment.start, segment.length)
    count = payload[0] if payload else 0
    if len(payload) < 4 + 2 * count:
        raise BrokenContainerError("a scan header is too short")
    first, last, approximation = payload[1 + 2 * count : 4 + 2 * count]
    return Scan(tuple(payload[1 : 1 + 2 * count : 2]), first, last, approximation & 15)


def later_segments(data: bytes, at: int) -> Iterator[Segment]:
    """Yield the segments after the entropy-coded data that starts at `at`: those between scans, and the end marker.

    The end marker is a segment without payload. It is missing if the data ends before it. Thumbnails inside segments
    and other images after the end marker are ignored.
    """
    while match := _MARKER.search(data, at):
        at = match.end()
        marker = data[at - 1]
        if marker == EOI:
            yield Segment(EOI, at, at)
            return
        if at + 2 > len(data):
            return
        segment = Segment(marker, at + 2, at + max(2, int.from_bytes(data[at : at + 2], "big")))
        yield segment
        at = segment.end


def scans(reader: Reader, first: Segment) -> Iterator[Scan]:
    """Yield the headers of all scans of the image; the file must be in memory.

    Raises:
        BrokenContainerError
    """
    yield parse_scan(reader, first)
    for segment in later_segments(reader.data, first.end):
        if segment.marker == SOS:
            yield parse_scan(reader, segment)


@dataclass(frozen=True)
class CodedScan:
    """The entropy-coded data of one scan."""

    header: Scan
    interval: int
    """Minimum coded units between restart markers; 0 if there are none."""
    start: int
    end: int
    """Offset of the next marker that is not a restart marker, or of the end of the data."""


def coded_scans(reader: Reader, parts: Sequence[Segment]) -> Iterator[CodedScan]:
    """Yield the data of all scans of the image, whose first segments are `parts`; the file must be in memory.

    Raises:
        BrokenContainerError
    """
    interval = 0
    scan: Segment | None = None
    for segment in chain(parts, later_segments(reader.data, parts[-1].end)):
        if scan:
            end = segment.start - (2 if segment.marker == EOI else 4)
            yield CodedScan(parse_scan(reader, scan), interval, scan.end, end)
        scan = segment if segment.marker == SOS else None
        if segment.marker == DRI and segment.length == 2:
            interval = reader.number(segment.start, 2)
    if scan:
        yield CodedScan(parse_scan(reader, scan), interval, scan.end, max(scan.end, len(reader.data)))
