"""Read the header of a JPEG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from image_pipeline.errors import ImageTooLargeError, UnsupportedFormatError
from image_pipeline.imaging.containers.jpeg import APP1, FRAMES, Scan, Segment, parse_scan, payloads, scans, segments
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.orientation import read_orientation
from image_pipeline.imaging.reader import BrokenContainerError, Reader

MAX_SCANS = 100
"""Largest number of scans of one JPEG. Encoders write about 10."""

MAX_SCANNED_SAMPLES = 1_600_000_000
"""Largest number of samples in all scans of one JPEG together. Encoders write 8 for each pixel at 4:2:0 and 14 at
4:4:4. A decoder takes up to 8 ns for each, whatever the size of the renditions."""

_PROGRESSIVE = frozenset({0xC2, 0xCA})
_DECODABLE = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}


def read_header(reader: Reader, _limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    parts = list(segments(reader))
    frame = _frame(parts)
    if frame.marker not in _DECODABLE:
        raise UnsupportedFormatError(
            "The content is a lossless or hierarchical JPEG, which is not supported.",
            "Save it as an ordinary JPEG and upload it again.",
        )
    fixed = reader.take(frame.start, 6)
    bits, channels = fixed[0], fixed[5]
    if bits != 8:
        raise UnsupportedFormatError(
            f"The content is a JPEG with {bits} bits per channel, which is not supported.",
            "Save it with 8 bits per channel and upload it again.",
        )
    if channels not in _MODES:
        raise BrokenContainerError(f"it has {channels} colour channels")
    table = reader.take(frame.start + 6, 3 * channels)
    factors = [(factor >> 4, factor & 15) for factor in table[1::3]]
    if not all(1 <= h <= 4 and 1 <= v <= 4 for h, v in factors):
        raise BrokenContainerError("its sampling factors are out of range")
    largest = max(h for h, _ in factors) * max(v for _, v in factors)
    width = int.from_bytes(fixed[3:5], "big")
    height = int.from_bytes(fixed[1:3], "big")
    progressive = frame.marker in _PROGRESSIVE
    # A decoder keeps the coefficients of the whole image if no scan has all of its channels.
    several_scans = progressive or len(parse_scan(reader, parts[-1]).components) < channels
    if several_scans and reader.in_memory:
        samples = {name: width * height * h * v / largest for name, (h, v) in zip(table[::3], factors, strict=True)}
        _check_scans(scans(reader, parts[-1]), samples)
    exif = next(payloads(reader, parts, APP1, b"Exif\x00\x00"), None)
    orientation, camera = read_orientation(exif) if exif else (1, False)
    return Header.stored(
        "JPEG",
        width=width,
        height=height,
        mode=_MODES[channels],
        orientation=orientation,
        camera=camera,
        several_scans=several_scans,
        sampling=sum(h * v for h, v in factors) / largest,
        other_bytes=reader.size if several_scans else 0,
    )


def _frame(parts: Sequence[Segment]) -> Segment:
    """Return the only frame header; reject a second one, from which a decoder might take the size."""
    frames = [segment for segment in parts if segment.marker in FRAMES]
    if not frames:
        raise BrokenContainerError("it has no frame header before its pixels")
    if len(frames) > 1:
        raise BrokenContainerError("it has two frame headers")
    return frames[0]


def _check_scans(scan_headers: Iterable[Scan], samples: dict[int, float]) -> None:
    """Limit the work of the decoder, which processes the image once for each scan.

    Args:
        scan_headers: headers of the scans.
        samples: number of samples of each component of the image, by its identifier.

    Raises:
        ImageTooLargeError: there are too many scans, or too many samples in all of them.
    """
    scanned_samples = 0.0
    for number, scan in enumerate(scan_headers, 1):
        scanned_samples += sum(samples.get(component, 0) for component in scan.components)
        if number > MAX_SCANS:
            raise ImageTooLargeError(
                f"The image has more than {MAX_SCANS} scans.", "Save it as an ordinary JPEG and upload it again."
            )
        if scanned_samples > MAX_SCANNED_SAMPLES:
            raise ImageTooLargeError(
                f"The scans of the image have more than {MAX_SCANNED_SAMPLES / 1e6:,.0f} million samples.",
                "Save it as a baseline JPEG or with fewer pixels, and upload it again.",
            )
