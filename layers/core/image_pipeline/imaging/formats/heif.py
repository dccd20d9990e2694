"""Read the header of an AVIF or HEIF: its boxes, and the headers of the coded images in them."""

from __future__ import annotations

from dataclasses import dataclass

from image_pipeline.errors import ImageTooLargeError, UnsupportedFormatError
from image_pipeline.imaging.containers import av1, hevc
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_image import AV1, Item, read_image
from image_pipeline.imaging.formats.limits import Limits, format_names
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_COPIES = 2
"""Copies of the coded data: in the new file, and in the decoder."""
_MOST_SLICED_PIXELS = 1_000_000_000
"""Largest sum of pixels over all slices, if each slice covers its whole image: about ten seconds of decoding. Cameras
write one slice for each image."""


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    If the file is in memory, the headers of all coded images are read, else only those of the first colour image and
    of the first alpha image.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    heif_image = read_image(reader)
    # A file with a HEIF brand may contain AV1 and vice versa: the coded item decides the format.
    actual_format = "AVIF" if heif_image.codec == AV1 else "HEIF"
    if actual_format not in limits.formats:
        raise UnsupportedFormatError(
            f"The content is {actual_format}, which is not an accepted format.",
            f"Convert it to one of {format_names(limits.formats)} and upload it again.",
        )
    colours = _read_heads(list(heif_image.item.coded()), reader.in_memory)
    alphas = _read_heads(list(heif_image.item.alphas()), reader.in_memory)
    _check_slices([*colours, *alphas])
    bits = max(head.bits for head in (*colours, *alphas))
    chroma = max(head.chroma for head in colours)
    memory = _avif_memory if actual_format == "AVIF" else _heif_memory
    return Header.stored(
        actual_format,
        width=heif_image.placement.width,
        height=heif_image.placement.height,
        frames=heif_image.frames,
        mode=("RGB" if chroma else "L") + ("A" if heif_image.item.transparent else ""),
        orientation=heif_image.placement.orientation,
        bits=bits,
        bytes_per_pixel=memory(bits > 8, chroma, bool(alphas), any(head.film_grain for head in (*colours, *alphas))),
        coded_pixels=max(sum(head.pixels for head in colours), sum(head.pixels for head in alphas)),
        other_bytes=_COPIES * sum(head.bytes for head in (*colours, *alphas)),
    )


def _check_slices(heads: list[_Head]) -> None:
    sliced = [head for head in heads if head.slices > 1]
    if sum(head.slices * head.pixels for head in sliced) > _MOST_SLICED_PIXELS:
        raise ImageTooLargeError(
            f"The image is coded in {sum(head.slices for head in sliced)} slices, which would take too long to decode.",
            "Export the image again and upload it.",
        )


def _planes(deep: bool, chroma: float, alpha: bool) -> float:
    """Return the bytes per pixel of the decoded planes, which have 16 bits above a depth of 8."""
    return (1 + chroma + alpha) * (2 if deep else 1)


def _avif_memory(deep: bool, chroma: float, alpha: bool, film_grain: bool) -> float:
    """Return the peak bytes per pixel (see `bench/engine/memory.py`): planes (twice with film grain) and RGB copies."""
    copies = {(False, False): 8.25, (True, False): 9.5, (False, True): 11.5, (True, True): 19.0}[deep, alpha]
    return _planes(deep, chroma, alpha) * (2 if film_grain else 1) + copies


def _heif_memory(deep: bool, chroma: float, alpha: bool, _film_grain: bool) -> float:
    """Return the same as `_avif_memory`; libheif makes more copies of deep pixels and of pixels with alpha."""
    return _planes(deep, chroma, alpha) + 8 + (2 if deep else 0) + (2.5 if alpha else 0)


@dataclass(frozen=True)
class _Head:
    """The properties of one coded image."""

    bits: int
    chroma: float
    """Samples of Cb and Cr together per pixel."""
    pixels: int
    """Pixels of all frames that the decoder keeps in memory."""
    bytes: int
    film_grain: bool = False
    slices: int = 1
    """Parts that are decoded one after another; each may cover the whole image."""


def _read_heads(items: list[Item], read_all: bool) -> list[_Head]:
    configurations: dict[Reader, hevc.HevcConfiguration] = {}
    head_of: dict[int, _Head] = {}  # by number: a grid may show one tile in many places
    for index, item in enumerate(items):
        if item.number not in head_of:
            data = item.data if read_all or index == 0 else None
            head = _av1_head(item, data) if item.kind == AV1 else _hevc_head(item, data, configurations)
            head_of[item.number] = head
    return [head_of[item.number] for item in items]


def _av1_head(item: Item, data: Reader | None) -> _Head:
    """Compare the size of an item with its configuration and, if the data is available, with its frames."""
    configuration = item.body_of(b"av1C")
    sequence = av1.configured_sequence(configuration) if configuration else None
    sizes: tuple[tuple[int, int], ...] = (item.size,)
    if data is not None:
        frames = av1.frames_in(data)
        if sequence not in (None, frames.sequence):
            raise BrokenContainerError("the decoder configuration does not match the coded image")
        sequence, sizes = frames.sequence, frames.sizes
    if item.size not in sizes:
        raise _other_size(item.size, max(sizes))
    sequence = (
        sequence or av1.SequenceHeader()
    )  # the data of this tile was not read: the first tile determines the result
    pixels = sum(width * height for width, height in sizes)
    return _Head(sequence.bits, sequence.chroma, pixels, item.data.size, sequence.film_grain)


def _hevc_head(item: Item, data: Reader | None, configurations: dict[Reader, hevc.HevcConfiguration]) -> _Head:
    """Compare the size of an item with all of its sequence parameter sets."""
    body = item.body_of(b"hvcC")
    assert body is not None  # noqa: S101  `read_image` has checked it
    if body not in configurations:
        configurations[body] = hevc.configuration(body)
    configuration = configurations[body]
    sequences = configuration.sequences
    slices = 1
    if data is not None:
        content = hevc.content(data, configuration.length_bytes)
        sequences += content.sequences
        slices = content.slices
    if not sequences:
        raise BrokenContainerError("a coded image has no sequence parameter set")
    for sequence in sequences:
        if sequence.size != item.size:
            raise _other_size(item.size, sequence.size)
    bits = max(sequence.bits for sequence in sequences)
    chroma = max(sequence.chroma for sequence in sequences)
    return _Head(bits, chroma, item.size[0] * item.size[1], item.data.size, slices=slices)


def _other_size(declared: tuple[int, int], coded: tuple[int, int]) -> BrokenContainerError:
    return BrokenContainerError(
        f"it declares {declared[0]} × {declared[1]} pixels, but its coded image has {coded[0]} × {coded[1]}"
    )
