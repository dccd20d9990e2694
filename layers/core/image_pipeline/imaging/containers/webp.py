"""The parts of a WebP that decide its first frame (RFC 9649)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_pipeline.imaging.containers.chunks import Chunk, riff_chunks
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_PICTURES = (b"VP8 ", b"VP8L")
_ONCE = frozenset({b"VP8X", b"ANIM", b"ALPH", *_PICTURES})
"""Chunks that decide what is decoded: two of them contradict each other. Of ICCP and EXIF the first counts, as the RFC
allows."""
_KEPT = _ONCE | {b"ANMF", b"ICCP", b"EXIF"}
_FIRST = frozenset({b"VP8X", b"ALPH", *_PICTURES})
_ICC_FLAG, _ALPHA_FLAG, _ANIMATION_FLAG = 0x20, 0x10, 0x02
_EXTENDED_LENGTH = 10
_TOO_LONG = "a chunk ends after the part that holds it"
_CHUNK_HEAD, _FRAME_HEADER = 8, 16
_MOST_CHUNKS = 20_000
"""Chunks that are looked at: frames of the longest animation that is admitted, and as many others."""


@dataclass(frozen=True)
class Frame:
    """One coded picture."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    lossy: bool
    has_alpha: bool
    start: int
    """Where its chunks start: ALPH if there is one, then VP8 or VP8L."""
    end: int
    """Where their payload ends."""
    left: int = 0
    """On the canvas."""
    top: int = 0
    """On the canvas."""


@dataclass(frozen=True)
class Webp:
    """What a WebP consists of."""

    width: int
    """Pixels of the canvas."""
    height: int
    """Pixels of the canvas."""
    has_alpha: bool
    """Of any frame, as the file says."""
    frame: Frame
    """The first one, or the only one."""
    frames: int
    """1 where the file is fetched in parts: the others are spread over all of it."""
    icc: Chunk | None
    exif: Chunk | None


def webp(reader: Reader) -> Webp:
    """The parts of a WebP.

    Raises:
        BrokenContainerError: there is no picture, or its parts contradict each other.
    """
    return reader.once(_parse)


def _parse(reader: Reader) -> Webp:
    size = 8 + reader.number(4, 4, little=True)
    if size > reader.size:
        raise CutOffError("it is cut off")
    file = reader.part(0, size)
    chunks, frames = _chunks(file, 12, to_the_end=reader.in_memory)
    extended = chunks.get(b"VP8X")
    if extended is None:
        frame = _frame(file, chunks)
        return Webp(frame.width, frame.height, frame.has_alpha, frame, 1, None, chunks.get(b"EXIF"))
    if extended.length != _EXTENDED_LENGTH:
        raise BrokenContainerError(f"a VP8X chunk of {extended.length} bytes")
    head = file.take(extended.start, _EXTENDED_LENGTH)
    flags, canvas = head[0], (_side(head[4:7]), _side(head[7:10]))
    animated = flags & _ANIMATION_FLAG
    frame = _first_frame(file, chunks.get(b"ANMF")) if animated else _frame(file, chunks)
    right, bottom = frame.left + frame.width, frame.top + frame.height
    if (right, bottom) != canvas if not animated else right > canvas[0] or bottom > canvas[1]:
        raise BrokenContainerError(
            f"a picture of {frame.width} × {frame.height} pixels on a canvas of {canvas[0]} × {canvas[1]}"
        )
    icc = chunks.get(b"ICCP") if flags & _ICC_FLAG else None
    alpha = bool(flags & _ALPHA_FLAG) or frame.has_alpha
    return Webp(*canvas, alpha, frame, max(1, frames), icc, chunks.get(b"EXIF"))


def _chunks(reader: Reader, start: int, *, to_the_end: bool) -> tuple[dict[bytes, Chunk], int]:
    """The first chunk of each kind that matters, and the number of frames.

    Args:
        reader: the file, or the part of it that ends with a frame.
        start: where the first chunk starts.
        to_the_end: whether to go on behind the first frame of an animation.
    """
    chunks: dict[bytes, Chunk] = {}
    frames = 0
    for number, chunk in enumerate(riff_chunks(reader, start)):
        if number == 0 and chunk.kind not in _FIRST:
            raise BrokenContainerError(f"first chunk is {chunk.kind!r}")
        if chunk.kind in _ONCE and chunk.kind in chunks:
            raise BrokenContainerError(f"it has two {chunk.kind.decode().strip()} chunks")
        if chunk.kind in _KEPT:
            chunks.setdefault(chunk.kind, chunk)
        if chunk.kind == b"ANMF":
            frames += 1
            if not to_the_end:
                break
        if number == _MOST_CHUNKS:
            break
    if not chunks:
        raise BrokenContainerError("it has no chunks")
    return chunks, frames


def _first_frame(reader: Reader, chunk: Chunk | None) -> Frame:
    if chunk is None:
        raise BrokenContainerError("an animation without a frame")
    if chunk.end > reader.size:
        raise BrokenContainerError(_TOO_LONG)
    head = reader.take(chunk.start, _FRAME_HEADER)
    chunks, _ = _chunks(reader.part(0, chunk.end), chunk.start + _FRAME_HEADER, to_the_end=True)
    frame = _frame(reader, chunks)
    announced = _side(head[6:9]), _side(head[9:12])
    if announced != (frame.width, frame.height):
        raise BrokenContainerError(
            f"a frame of {announced[0]} × {announced[1]} pixels with a picture of {frame.width} × {frame.height}"
        )
    left, top = (2 * int.from_bytes(head[at : at + 3], "little") for at in (0, 3))
    return replace(frame, left=left, top=top)


def _side(stored: bytes) -> int:
    return int.from_bytes(stored, "little") + 1


def _frame(reader: Reader, chunks: dict[bytes, Chunk]) -> Frame:
    """The picture that these chunks code, at the upper left corner."""
    lossy, lossless = chunks.get(b"VP8 "), chunks.get(b"VP8L")
    if lossy and lossless:
        raise BrokenContainerError("it has a VP8 and a VP8L chunk")
    picture = lossy or lossless
    if picture is None:
        raise BrokenContainerError("no picture")
    if picture.end > reader.size:
        raise BrokenContainerError(_TOO_LONG)
    if lossy is None:  # which has its own transparency: ALPH is to be ignored
        width, height, has_alpha = _lossless_size(reader.take(picture.start, 5))
        return Frame(width, height, False, has_alpha, picture.start - _CHUNK_HEAD, picture.end)
    width, height = _lossy_size(reader.take(picture.start, 10))
    alpha = chunks.get(b"ALPH")
    first = alpha if alpha and alpha.start < picture.start else picture
    return Frame(width, height, True, first is alpha, first.start - _CHUNK_HEAD, picture.end)


def _lossy_size(head: bytes) -> tuple[int, int]:
    """(width, height) of a VP8 key frame (RFC 6386, section 9.1); two more bits of each ask viewers to enlarge it."""
    if head[0] & 1 or head[3:6] != b"\x9d\x01\x2a":
        raise BrokenContainerError("a VP8 chunk without a key frame")
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF


def _lossless_size(head: bytes) -> tuple[int, int, bool]:
    """(width, height, whether there may be transparency) of VP8L (RFC 9649, section 3.4)."""
    packed = int.from_bytes(head[1:5], "little")
    if head[0] != 0x2F or packed >> 29:
        raise BrokenContainerError("a VP8L chunk that does not start like one")
    return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, bool(packed >> 28 & 1)
