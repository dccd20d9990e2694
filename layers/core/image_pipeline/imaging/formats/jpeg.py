"""The header of a JPEG."""

from __future__ import annotations

from image_pipeline.errors import ImageTooLargeError, UnsupportedFormatError
from image_pipeline.imaging.containers.jpeg import count_scans, segments
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import BrokenContainerError, Reader

MAX_SCANS = 100
"""Scans of one JPEG. Encoders write about 10; a thousand keep the decoder busy for half a minute."""

_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    for segment in segments(reader):
        if segment.marker in _OTHER_FRAMES:
            raise UnsupportedFormatError(
                "The content is a lossless or hierarchical JPEG.", "Save it as an ordinary JPEG and upload it again."
            )
        if segment.marker in _FRAMES:
            break
    else:
        raise BrokenContainerError("pixels come before their size")
    frame = reader.take(segment.start, 6)
    bits, parts = frame[0], frame[5]
    if bits != 8:
        raise UnsupportedFormatError(
            f"The content is a JPEG with {bits} bits per channel.", "Save it with 8 bits and upload it again."
        )
    if parts not in _MODES:
        raise BrokenContainerError(f"{parts} colour channels")
    factors = [(factor >> 4, factor & 15) for factor in reader.take(segment.start + 6, 3 * parts)[1::3]]
    largest = max(h for h, _ in factors) * max(v for _, v in factors)
    if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in factors):
        raise BrokenContainerError("sampling factors out of range")
    if reader.in_memory and count_scans(reader.data, MAX_SCANS) > MAX_SCANS:
        raise ImageTooLargeError(
            f"The picture has more than {MAX_SCANS} scans.", "Save it as an ordinary JPEG and upload it again."
        )
    orientation, camera = orientation_and_camera(reader)
    return Header.stored(
        "JPEG",
        width=int.from_bytes(frame[3:5], "big"),
        height=int.from_bytes(frame[1:3], "big"),
        mode=_MODES[parts],
        orientation=orientation,
        camera=camera,
        progressive=segment.marker in (0xC2, 0xCA),
        sampling=sum(h * v for h, v in factors) / largest,
    )
