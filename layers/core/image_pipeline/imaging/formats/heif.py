"""The header of an AVIF or HEIF: judged by the boxes and by the heads of the coded pictures in them."""

from __future__ import annotations

from dataclasses import dataclass

from image_pipeline.errors import ImageTooLargeError, UnsupportedFormatError
from image_pipeline.imaging.containers import av1, hevc
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.heif_picture import AV1, Item, read_picture
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_COPIES = 2
"""Of the coded data: ours, and the decoder's."""
_MOST_SLICED_PIXELS = 1_000_000_000
"""Pixels of all slices together where each covers its whole picture: some ten seconds of decoding. Cameras write one
slice for each picture."""


def read_header(reader: Reader, limits: Limits) -> Header:
    """Read the header.

    Where the file is in memory, the heads of all its coded pictures are read, else those of the first one for colour
    and of the first one for alpha.

    Raises:
        BrokenContainerError, and what `admission.admit` raises.
    """
    picture = read_picture(reader)
    # A HEIF brand may hold AV1 and the other way round: the item decides who can decode it.
    actual = "AVIF" if picture.codec == AV1 else "HEIF"
    if actual not in limits.formats:
        raise UnsupportedFormatError(f"The content is {actual}.", f"Upload {', '.join(sorted(limits.formats))}.")
    colours = _read_heads(list(picture.item.coded()), reader.in_memory)
    alphas = _read_heads(list(picture.item.alphas()), reader.in_memory)
    _check_slices([*colours, *alphas])
    bits = max(head.bits for head in (*colours, *alphas))
    chroma = max(head.chroma for head in colours)
    memory = _avif_memory if actual == "AVIF" else _heif_memory
    return Header.stored(
        actual,
        width=picture.placement.width,
        height=picture.placement.height,
        frames=picture.frames,
        mode=("RGB" if chroma else "L") + ("A" if picture.item.transparent else ""),
        orientation=picture.placement.orientation,
        bits=bits,
        bytes_per_pixel=memory(bits > 8, chroma, bool(alphas), any(head.film_grain for head in (*colours, *alphas))),
        coded_pixels=max(sum(head.pixels for head in colours), sum(head.pixels for head in alphas)),
        copied_bytes=_COPIES * sum(head.bytes for head in (*colours, *alphas)),
    )


def _check_slices(heads: list[_Head]) -> None:
    sliced = [head for head in heads if head.slices > 1]
    if sum(head.slices * head.pixels for head in sliced) > _MOST_SLICED_PIXELS:
        raise ImageTooLargeError(
            f"The picture is coded in {sum(head.slices for head in sliced)} slices, which may take too long to decode.",
            "Export the picture again and upload it.",
        )


def _planes(deep: bool, chroma: float, alpha: bool) -> float:
    """Bytes per pixel of the decoded planes, of 16 bits above a depth of 8."""
    return (1 + chroma + alpha) * (2 if deep else 1)


def _avif_memory(deep: bool, chroma: float, alpha: bool, film_grain: bool) -> float:
    """Peak bytes per pixel (see `bench.engine.memory`): planes (twice with film grain), RGB and its copies."""
    return _planes(deep, chroma, alpha) * (2 if film_grain else 1) + (9.5 if deep or alpha else 8.25)


def _heif_memory(deep: bool, chroma: float, alpha: bool, _film_grain: bool) -> float:
    """As `_avif_memory`; libheif makes more copies of deep pixels and of those with alpha."""
    return _planes(deep, chroma, alpha) + 8 + (2 if deep else 0) + (2.5 if alpha else 0)


@dataclass(frozen=True)
class _Head:
    """The head of one coded picture."""

    bits: int
    chroma: float
    """Samples of both colour differences per pixel."""
    pixels: int
    """Of all frames that the decoder holds."""
    bytes: int
    film_grain: bool = False
    slices: int = 1
    """Parts that are decoded one after another, each of which may cover the whole picture."""


def _read_heads(items: list[Item], every: bool) -> list[_Head]:
    configurations: dict[Reader, hevc.Configuration] = {}
    heads = []
    for index, item in enumerate(items):
        data = item.data if every or index == 0 else None
        heads.append(_av1_head(item, data) if item.kind == AV1 else _hevc_head(item, data, configurations))
    return heads


def _av1_head(item: Item, data: Reader | None) -> _Head:
    """Compare the size of an item with its configuration and, where they are at hand, with its frames."""
    configuration = item.body_of(b"av1C")
    sequence = av1.configured_sequence(configuration) if configuration else None
    sizes: tuple[tuple[int, int], ...] = (item.size,)
    if data is not None:
        frames = av1.frames_in(data)
        if sequence not in (None, frames.sequence):
            raise BrokenContainerError("the decoder configuration is that of another picture")
        sequence, sizes = frames.sequence, frames.sizes
    if item.size not in sizes:
        raise _other_size(item.size, max(sizes))
    sequence = sequence or av1.Sequence()  # of a tile that is elsewhere: the first one counts
    pixels = sum(width * height for width, height in sizes)
    return _Head(sequence.bits, sequence.chroma, pixels, item.data.size, sequence.film_grain)


def _hevc_head(item: Item, data: Reader | None, known: dict[Reader, hevc.Configuration]) -> _Head:
    """Compare the size of an item with all of its sequence parameter sets."""
    body = item.body_of(b"hvcC")
    assert body is not None  # noqa: S101  `read_picture` has seen it
    if body not in known:
        known[body] = hevc.configuration(body)
    sequences, slices = known[body].sequences, 1
    if data is not None:
        content = hevc.content(data, known[body].length_bytes)
        sequences, slices = sequences + content.sequences, content.slices
    if not sequences:
        raise BrokenContainerError("a coded picture has no sequence parameter set")
    for sequence in sequences:
        if sequence.size != item.size:
            raise _other_size(item.size, sequence.size)
    bits, chroma = max(each.bits for each in sequences), max(each.chroma for each in sequences)
    return _Head(bits, chroma, item.size[0] * item.size[1], item.data.size, slices=slices)


def _other_size(said: tuple[int, int], coded: tuple[int, int]) -> BrokenContainerError:
    return BrokenContainerError(
        f"it says {said[0]} × {said[1]} pixels, and its coded picture has {coded[0]} × {coded[1]}"
    )
