"""Read lens and date from an XMP packet (ISO 16684-1), for files whose EXIF lacks them.

Editors that strip EXIF often keep XMP. A packet is untrusted XML: this module reads only small packets and stops at a
document type in any encoding, so that the parser expands no entities.
"""

from __future__ import annotations

from image_pipeline.imaging.containers.chunks import png_chunks, riff_chunks
from image_pipeline.imaging.containers.jpeg import APP1, payloads, segments
from image_pipeline.imaging.containers.tiff import Tiff
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_MOST_BYTES = 256 * 1024
_IN_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
_IN_PNG = b"XML:com.adobe.xmp\x00\x00\x00"
"""Keyword of an uncompressed iTXt chunk (XMP specification, part 3); an empty language and translation follow."""
_IN_TIFF = 700

LENS = ("http://ns.adobe.com/exif/1.0/aux/ Lens", "http://cipa.jp/exif/1.0/ LensModel")
TAKEN_AT = (
    "http://ns.adobe.com/exif/1.0/ DateTimeOriginal",
    "http://ns.adobe.com/photoshop/1.0/ DateCreated",
    "http://ns.adobe.com/xap/1.0/ CreateDate",
)
"""Properties by namespace and name, the most trusted first."""


def read_properties(reader: Reader) -> dict[str, str]:
    """Return simple properties of the XMP packet by namespace and name, as in `LENS`; empty if none is readable."""
    try:
        packet = _find_packet(reader)
    except BrokenContainerError:
        return {}
    if packet is None or not 0 < packet.size <= _MOST_BYTES:
        return {}
    try:
        data = packet.take(0, packet.size)
    except BrokenContainerError:
        return {}
    return _parse(data)


def _find_packet(reader: Reader) -> Reader | None:
    head = reader.up_to(0, 12)
    if head[:3] == b"\xff\xd8\xff":
        return next(payloads(reader, list(segments(reader)), APP1, _IN_JPEG), None)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        for chunk in png_chunks(reader):
            start = len(_IN_PNG) + 2  # two empty texts
            if chunk.kind == b"iTXt" and reader.up_to(chunk.start, start) == _IN_PNG + b"\x00\x00":
                return reader.part(chunk.start + start, chunk.length - start)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        packets = (chunk for chunk in riff_chunks(reader) if chunk.kind == b"XMP ")
        return next((reader.part(chunk.start, chunk.length) for chunk in packets), None)
    if head[:2] in (b"II", b"MM"):
        tiff = Tiff(reader)
        entry = tiff.directory(tiff.first).entries.get(_IN_TIFF)
        return reader.part(entry.start, entry.length) if entry else None
    return None


def _parse(data: bytes) -> dict[str, str]:
    from xml.parsers.expat import ExpatError, ParserCreate

    known_names = frozenset((*LENS, *TAKEN_AT))
    attributes_found: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    open_names: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        open_names.append(name)
        for attribute in known_names & attributes.keys():
            attributes_found.setdefault(attribute, attributes[attribute])

    def text(data: str) -> None:
        if open_names and open_names[-1] in known_names:
            texts.setdefault(open_names[-1], []).append(data)

    def refuse(*_: object) -> None:
        raise ValueError("An XMP packet has no document type.")

    parser = ParserCreate(namespace_separator=" ")
    parser.buffer_text = True  # else each line is a call
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_names.pop()
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data.rstrip(b"\x00 \n"), True)
    except (ExpatError, ValueError):
        return {}
    joined = {name: "".join(parts) for name, parts in texts.items()}
    return {name: attributes_found.get(name, "") + joined.get(name, "") for name in {*attributes_found, *joined}}
