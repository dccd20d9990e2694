"""The header of an AVIF or HEIF: items in boxes."""

from __future__ import annotations

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.heif import HeifItems, heif_items
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.formats.recognise import sniff
from image_pipeline.imaging.reader import FIRST_BYTES, BrokenContainerError, Reader

_BYTES_PER_PIXEL = 10
"""Of the most demanding kind, as `bench/memory.py` measures it, rounded up."""


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    items = heif_items(reader)
    size = items.properties.get(b"ispe", b"")
    if len(size) < 12:
        raise BrokenContainerError("the primary picture has no size")
    # A HEIF brand may hold AV1 and the other way round: the item decides who can decode it.
    branded = sniff(reader.up_to(0, FIRST_BYTES))
    actual = "AVIF" if b"av01" in items.types else "HEIF" if b"hvc1" in items.types else branded
    if actual not in limits.formats:
        raise UnsupportedFormatError(f"The content is {actual}.", f"Upload {', '.join(sorted(limits.formats))}.")
    pixels = items.properties.get(b"pixi", b"")
    bits = pixels[5] if len(pixels) > 5 else 8
    return Header.stored(
        actual,
        width=int.from_bytes(size[4:8], "big"),
        height=int.from_bytes(size[8:12], "big"),
        mode="RGBA" if items.alpha else "RGB",
        orientation=box_orientation(items),
        bits=bits,
        bytes_per_pixel=_BYTES_PER_PIXEL * (2 if bits > 8 else 1),  # their planes are 16 bits then
    )


# (quarter turns anticlockwise by `irot`, mirrored after them by `imir`: None, top-bottom 0, left-right 1) → EXIF
_TURNS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (0, 1): 2, (1, 0): 5, (1, 1): 7, (2, 0): 2, (2, 1): 4, (3, 0): 7, (3, 1): 5,
}  # fmt: skip


def box_orientation(items: HeifItems) -> int:
    """EXIF orientation that stands for the `irot` and `imir` properties (ISO/IEC 23008-12, 6.5.10 and 6.5.12)."""
    turn = items.properties.get(b"irot", b"\x00")[0] & 3
    mirror = items.properties[b"imir"][0] & 1 if items.properties.get(b"imir") else None
    if mirror is not None and b"irot" in items.order and items.order.index(b"imir") < items.order.index(b"irot"):
        # mirroring before a quarter turn is mirroring in the other axis after it
        mirror = mirror ^ (turn & 1)
    return _TURNS[turn, mirror]
