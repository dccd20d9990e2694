"""The header of a WebP."""

from __future__ import annotations

from image_pipeline.imaging.containers.chunks import Chunk, riff_chunks
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_BYTES_PER_PIXEL = 17
"""Of the most demanding kind, as `bench/memory.py` measures it, rounded up."""


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    chunks = list(riff_chunks(reader))
    if not chunks:
        raise CutOffError("it is cut off")
    width, height, mode = _size(reader, chunks[0])
    frames = sum(chunk.kind == b"ANMF" for chunk in chunks[: limits.max_frames + 8])
    orientation, camera = orientation_and_camera(reader)
    return Header.stored(
        "WEBP",
        width,
        height,
        mode,
        frames=max(1, frames),
        orientation=orientation,
        camera=camera,
        bytes_per_pixel=_BYTES_PER_PIXEL,
    )


def _size(reader: Reader, first: Chunk) -> tuple[int, int, str]:
    start = reader.take(first.start, 10) if first.kind != b"VP8L" else reader.take(first.start, 5)
    if first.kind == b"VP8X":
        width, height = int.from_bytes(start[4:7], "little") + 1, int.from_bytes(start[7:10], "little") + 1
        return width, height, "RGBA" if start[0] & 0x10 else "RGB"
    if first.kind == b"VP8 " and start[3:6] == b"\x9d\x01\x2a":
        sides = int.from_bytes(start[6:8], "little") & 0x3FFF, int.from_bytes(start[8:10], "little") & 0x3FFF
        return *sides, "RGB"
    if first.kind == b"VP8L" and start[0] == 0x2F:
        packed = int.from_bytes(start[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, "RGBA" if packed >> 28 & 1 else "RGB"
    raise BrokenContainerError(f"first chunk is {first.kind!r}")
