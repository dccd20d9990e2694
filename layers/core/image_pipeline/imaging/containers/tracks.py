"""Read the tracks of image sequences (ISO/IEC 14496-12, 8.3 to 8.7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.imaging.containers.boxes import IsoBox, boxes, children
from image_pipeline.imaging.containers.heif import Property
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_ENTRY_BYTES = 78
"""Bytes of a sample entry before the boxes in it (12.1.3)."""


@dataclass(frozen=True)
class Track:
    """One track and its first image."""

    number: int
    handler: bytes
    """`pict` for images, `auxv` for auxiliary images such as alpha."""
    auxiliary_of: tuple[int, ...]
    """Numbers of the tracks to which this one is auxiliary."""
    samples: int
    kind: bytes
    """`av01`, `hvc1` …"""
    size: tuple[int, int]
    """(width, height) in pixels."""
    properties: tuple[Property, ...]
    """The boxes of the sample entry, for example decoder configuration and colours."""
    first: tuple[int, int]
    """Start and length of the first sample in the file."""


def image_tracks(moov: Reader) -> Iterator[Track]:
    """Yield the tracks of a `moov` box that contain images.

    Raises:
        BrokenContainerError
    """
    for box in boxes(moov):
        if box.kind == b"trak" and (track := _track(box.body)):
            yield track


def _track(trak: Reader) -> Track | None:
    parts = children(trak, 0, frozenset({b"tkhd", b"tref", b"mdia"}))
    media = children(_body(parts, b"mdia"), 0, frozenset({b"hdlr", b"minf"}))
    handler = _body(media, b"hdlr").take(8, 4)
    if handler not in (b"pict", b"auxv"):
        return None
    information = children(_body(media, b"minf"), 0, frozenset({b"stbl"}))
    tables = children(_body(information, b"stbl"), 0, frozenset({b"stsd", b"stsz", b"stco", b"co64"}))
    entry = next(boxes(_body(tables, b"stsd"), 8), None)
    if entry is None:
        raise BrokenContainerError("a track has no sample entry")
    sizes = _body(tables, b"stsz")
    length = sizes.number(4, 4)
    samples = sizes.number(8, 4)
    if samples and not length:
        length = sizes.number(12, 4)
    start = _body(tables, b"co64").number(8, 8) if b"co64" in tables else _body(tables, b"stco").number(8, 4)
    header = _body(parts, b"tkhd")
    return Track(
        number=header.number(20 if header.number(0, 1) else 12, 4),
        handler=handler,
        auxiliary_of=tuple(_references(parts.get(b"tref"))),
        samples=samples,
        kind=entry.kind,
        size=(entry.body.number(24, 2), entry.body.number(26, 2)),
        properties=tuple(Property(box.kind, box.body, False) for box in boxes(entry.body, _ENTRY_BYTES)),
        first=(start, length),
    )


def _references(tref: IsoBox | None) -> Iterator[int]:
    if tref is None:
        return
    for box in boxes(tref.body):
        if box.kind == b"auxl":
            yield box.body.number(0, 4)


def _body(parts: dict[bytes, IsoBox], kind: bytes) -> Reader:
    if kind not in parts:
        raise BrokenContainerError(f"a track has no {kind.decode()} box")
    return parts[kind].body
