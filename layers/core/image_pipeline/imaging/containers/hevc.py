"""Read the headers of HEVC images (ITU-T H.265, 7.3) in items (ISO/IEC 14496-15, 8.3)."""

from __future__ import annotations

from dataclasses import dataclass

from image_pipeline.imaging.containers.bits import Bits
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_SPS = 33
_LAST_SLICE = 31
_MOST_SPS = 512
"""Bytes of a sequence parameter set that are read; its size and depth are within the first 200."""
_MOST_SEQUENCES = 16
"""Number of values of sps_seq_parameter_set_id (ITU-T H.265, 7.4.3.2.1)."""
_CHROMA = {0: 0, 1: 0.5, 2: 1, 3: 2}
"""Samples of Cb and Cr together per pixel, by chroma_format_idc."""


@dataclass(frozen=True)
class SequenceParameters:
    """The relevant fields of a sequence parameter set."""

    size: tuple[int, int]
    """(width, height) in pixels, inside the conformance window."""
    bits: int
    """Bits of a luma sample."""
    chroma: float
    """Samples of Cb and Cr together per pixel: 0 for grey, 0.5 for 4:2:0, 1 for 4:2:2, 2 for 4:4:4."""


@dataclass(frozen=True)
class HevcConfiguration:
    """The `hvcC` property of an item."""

    sequences: tuple[SequenceParameters, ...]
    length_bytes: int
    """Bytes of the length before every NAL unit of the item."""


@dataclass(frozen=True)
class HevcContent:
    """The coded data of an item."""

    sequences: tuple[SequenceParameters, ...]
    """Additional sequence parameter sets; usually none."""
    slices: int


def configuration(body: Reader) -> HevcConfiguration:
    """Read the body of an `hvcC` box.

    Raises:
        BrokenContainerError
    """
    sequences = []
    head = body.take(21, 2)
    at = 23
    for _ in range(head[1]):
        array = body.take(at, 3)
        at += 3
        for _ in range(int.from_bytes(array[1:], "big")):
            length = body.number(at, 2)
            if array[0] & 63 == _SPS:
                sequences.append(_sequence(body.joined([(at + 2, length)])))
                _check_count(sequences)
            at += 2 + length
    return HevcConfiguration(tuple(sequences), (head[0] & 3) + 1)


def content(data: Reader, length_bytes: int) -> HevcContent:
    """Read the NAL units of an item, which must contain one image.

    Raises:
        BrokenContainerError: the item contains none or several, or a NAL unit is cut off.
    """
    sequences = []
    at = images = slices = 0
    while at + length_bytes + 3 <= data.size:
        head = data.take(at, length_bytes + 3)
        length = int.from_bytes(head[:length_bytes], "big")
        kind = head[-3] >> 1 & 63
        layer = (head[-3] & 1) << 5 | head[-2] >> 3
        unit = data.joined([(at + length_bytes, length)])
        if layer == 0 and kind <= _LAST_SLICE:
            slices += 1
            images += head[-1] >> 7  # first_slice_segment_in_pic_flag
        elif layer == 0 and kind == _SPS:
            sequences.append(_sequence(unit))
            _check_count(sequences)
        at += length_bytes + length
    if images != 1:
        raise BrokenContainerError(f"an item contains {images} coded images")
    return HevcContent(tuple(sequences), slices)


def _check_count(sequences: list[SequenceParameters]) -> None:
    if len(sequences) > _MOST_SEQUENCES:
        raise BrokenContainerError(f"it has more than {_MOST_SEQUENCES} sequence parameter sets")


def _sequence(unit: Reader) -> SequenceParameters:
    """Read a sequence parameter set NAL unit up to its bit depth (7.3.2.2.1)."""
    # Remove the emulation prevention bytes (7.3.1.1).
    bits = Bits(unit.up_to(2, _MOST_SPS).replace(b"\0\0\3", b"\0\0"))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_profile(bits, layers)
    bits.exponential()
    chroma = bits.exponential()
    if chroma == 3:
        bits.take(1)
    width = bits.exponential()
    height = bits.exponential()
    if bits.take():
        left, right, top, bottom = (bits.exponential() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    return SequenceParameters((width, height), 8 + bits.exponential(), _CHROMA.get(chroma, 2))


def _skip_profile(bits: Bits, layers: int) -> None:
    """profile_tier_level(), 7.3.3."""
    bits.take(96)
    present = [(bits.take(), bits.take()) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
