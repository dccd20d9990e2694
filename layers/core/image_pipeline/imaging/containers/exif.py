"""Find the EXIF block in any container. Each function imports the parser of its container: a file has only one."""

from __future__ import annotations

from image_pipeline.imaging.reader import BrokenContainerError, Reader


def find_exif(reader: Reader) -> Reader:
    """Return the EXIF block, a TIFF structure, from any container; of size 0 if there is none."""
    try:
        return _find_exif(reader) or reader.part(0, 0)
    except BrokenContainerError:
        return reader.part(0, 0)


def _find_exif(reader: Reader) -> Reader | None:
    head = reader.up_to(0, 12)
    if head[:3] == b"\xff\xd8\xff":
        return _in_jpeg(reader)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        from image_pipeline.imaging.containers.png import exif_block

        return exif_block(reader)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _in_webp(reader)
    if head[4:8] == b"ftyp":
        return _in_boxes(reader)
    return reader if head[:2] in (b"II", b"MM") else None


def _in_jpeg(reader: Reader) -> Reader | None:
    from image_pipeline.imaging.containers.jpeg import APP1, segments

    for segment in segments(reader):
        if segment.marker == APP1 and reader.up_to(segment.start, 6) == b"Exif\x00\x00":
            return reader.part(segment.start + 6, segment.length - 6)
    return None


def _in_webp(reader: Reader) -> Reader | None:
    from image_pipeline.imaging.containers.webp import webp

    chunk = webp(reader).exif
    if chunk is None:
        return None
    prefix_bytes = 6 if reader.up_to(chunk.start, 6) == b"Exif\x00\x00" else 0
    return reader.part(chunk.start + prefix_bytes, chunk.length - prefix_bytes)


def _in_boxes(reader: Reader) -> Reader | None:
    from image_pipeline.imaging.containers.heif import heif_items

    items = heif_items(reader)
    block = items.exif() if items is not None else None
    if block is None:
        return None
    # ISO/IEC 23008-12 A.2.1: the first four bytes contain the distance from their end to the TIFF header.
    start = 4 + block.number(0, 4)
    if block.up_to(start, 6) == b"Exif\x00\x00":
        start += 6
    return block.part(start, block.size - start)
