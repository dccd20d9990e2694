"""The header of a PNG."""

from __future__ import annotations

from image_pipeline.imaging.containers.chunks import png_chunks
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_BYTES_PER_PIXEL = 9
"""Of the most demanding kind, as `bench/memory.py` measures it, rounded up."""

_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    first = reader.take(8, 25)
    if first[:8] != b"\x00\x00\x00\x0dIHDR":
        raise BrokenContainerError("IHDR is not its first chunk")
    bits, kind = first[16], first[17]
    if bits not in _BITS.get(kind, ()):
        raise BrokenContainerError(f"colour type {kind} with {bits} bits")
    frames = 1
    for chunk in png_chunks(reader):
        if chunk.kind == b"acTL":
            frames = reader.number(chunk.start, 4)
        if chunk.kind == b"IDAT":
            break
        if chunk.end > reader.size:
            raise BrokenContainerError(f"chunk {chunk.kind!r} ends after the file")
    else:
        raise CutOffError("it is cut off")
    mode = "I;16" if (kind, bits) == (0, 16) else "1" if (kind, bits) == (0, 1) else _MODES[kind]
    width, height = int.from_bytes(first[8:12], "big"), int.from_bytes(first[12:16], "big")
    orientation, _ = orientation_and_camera(reader)
    return Header.stored(
        "PNG",
        width,
        height,
        mode,
        frames=max(1, frames),
        orientation=orientation,
        bits=bits,
        bytes_per_pixel=_BYTES_PER_PIXEL,
    )
