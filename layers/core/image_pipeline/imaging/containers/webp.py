"""Read the parts of a WebP that determine a frame, usually the first one (RFC 9649)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_pipeline.imaging.containers.chunks import Chunk, riff_chunks
from image_pipeline.imaging.reader import BrokenContainerError, CutOffError, Reader

_IMAGE_CHUNKS = (b"VP8 ", b"VP8L")
_ONCE = frozenset({b"VP8X", b"ANIM", b"ALPH", *_IMAGE_CHUNKS})
"""Chunks that determine the decoded image, which may occur only once. Of several ICCP or EXIF chunks, the first is
used, as the RFC allows."""
_KEPT = _ONCE | {b"ANMF", b"ICCP", b"EXIF"}
_FIRST = frozenset({b"VP8X", b"ALPH", *_IMAGE_CHUNKS})
_ICC_FLAG, _ALPHA_FLAG, _ANIMATION_FLAG = 0x20, 0x10, 0x02
_EXTENDED_LENGTH = 10
_TOO_LONG = "a chunk extends beyond the end of the part that contains it"
_CHUNK_HEAD, _FRAME_HEADER = 8, 16
_MOST_CHUNKS = 20_000
"""Chunks that are read: the frames of the longest admitted animation, and as many others."""


@dataclass(frozen=True)
class WebpFrame:
    """One coded image."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    lossy: bool
    has_alpha: bool
    start: int
    """Offset of its chunks: ALPH if there is one, then VP8 or VP8L."""
    end: int
    """End of their payload."""
    left: int = 0
    """Position on the canvas."""
    top: int = 0
    """Position on the canvas."""


@dataclass(frozen=True)
class Webp:
    """The parts of a WebP."""

    width: int
    """Pixels of the canvas."""
    height: int
    """Pixels of the canvas."""
    has_alpha: bool
    """Whether any frame has alpha, according to the file."""
    frame: WebpFrame
    """The first or only frame."""
    frames: int
    """Number of frames; 1 if the file is fetched in parts, because counting would read all of it."""
    icc: Chunk | None
    exif: Chunk | None


def webp(reader: Reader) -> Webp:
    """Read the parts of a WebP.

    Raises:
        BrokenContainerError: there is no image, or its parts contradict each other.
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
        raise BrokenContainerError(f"its VP8X chunk has {extended.length} bytes")
    head = file.take(extended.start, _EXTENDED_LENGTH)
    flags = head[0]
    canvas = _side(head[4:7]), _side(head[7:10])
    animated = bool(flags & _ANIMATION_FLAG)
    frame = animation_frame(file, chunks.get(b"ANMF")) if animated else _frame(file, chunks)
    if not _fits(frame, canvas, animated=animated):
        raise BrokenContainerError(
            f"its canvas has {canvas[0]} × {canvas[1]} pixels, "
            f"but its image has {frame.width} × {frame.height} pixels at ({frame.left}, {frame.top})"
        )
    icc = chunks.get(b"ICCP") if flags & _ICC_FLAG else None
    has_alpha = bool(flags & _ALPHA_FLAG) or frame.has_alpha
    return Webp(*canvas, has_alpha, frame, max(1, frames), icc, chunks.get(b"EXIF"))


def _fits(frame: WebpFrame, canvas: tuple[int, int], *, animated: bool) -> bool:
    """Return whether a still image covers the canvas, or a frame of an animation is within it."""
    right = frame.left + frame.width
    bottom = frame.top + frame.height
    if animated:
        return right <= canvas[0] and bottom <= canvas[1]
    return (right, bottom) == canvas


def _chunks(reader: Reader, start: int, *, to_the_end: bool) -> tuple[dict[bytes, Chunk], int]:
    """Return the first chunk of each relevant kind, and the number of frames.

    Args:
        reader: the file, or its part up to the end of a frame.
        start: offset of the first chunk.
        to_the_end: whether to continue after the first frame of an animation.
    """
    chunks: dict[bytes, Chunk] = {}
    frames = 0
    for number, chunk in enumerate(riff_chunks(reader, start)):
        if number == 0 and chunk.kind not in _FIRST:
            raise BrokenContainerError(f"its first chunk is {chunk.kind!r}")
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


def animation_frame(reader: Reader, chunk: Chunk | None) -> WebpFrame:
    """Return the frame in an ANMF chunk.

    Raises:
        BrokenContainerError: there is no chunk, or its parts contradict each other.
    """
    if chunk is None:
        raise BrokenContainerError("its animation has no frame")
    if chunk.end > reader.size:
        raise BrokenContainerError(_TOO_LONG)
    head = reader.take(chunk.start, _FRAME_HEADER)
    chunks, _ = _chunks(reader.part(0, chunk.end), chunk.start + _FRAME_HEADER, to_the_end=True)
    frame = _frame(reader, chunks)
    declared = _side(head[6:9]), _side(head[9:12])
    if declared != (frame.width, frame.height):
        raise BrokenContainerError(
            f"a frame declares {declared[0]} × {declared[1]} pixels, but its image has {frame.width} × {frame.height}"
        )
    left, top = (2 * int.from_bytes(head[at : at + 3], "little") for at in (0, 3))
    return replace(frame, left=left, top=top)


def _side(stored: bytes) -> int:
    return int.from_bytes(stored, "little") + 1


def _frame(reader: Reader, chunks: dict[bytes, Chunk]) -> WebpFrame:
    """Return the image that these chunks contain, at the upper left corner."""
    lossy = chunks.get(b"VP8 ")
    lossless = chunks.get(b"VP8L")
    if lossy and lossless:
        raise BrokenContainerError("it has a VP8 and a VP8L chunk")
    image_chunk = lossy or lossless
    if image_chunk is None:
        raise BrokenContainerError("it has no image")
    if image_chunk.end > reader.size:
        raise BrokenContainerError(_TOO_LONG)
    if lossy is None:  # a lossless image contains its transparency, and ALPH must be ignored
        width, height, has_alpha = _lossless_size(reader.take(image_chunk.start, 5))
        return WebpFrame(width, height, False, has_alpha, image_chunk.start - _CHUNK_HEAD, image_chunk.end)
    width, height = _lossy_size(reader.take(image_chunk.start, 10))
    alpha = chunks.get(b"ALPH")
    first = alpha if alpha and alpha.start < image_chunk.start else image_chunk
    return WebpFrame(width, height, True, first is alpha, first.start - _CHUNK_HEAD, image_chunk.end)


def _lossy_size(head: bytes) -> tuple[int, int]:
    """Return (width, height) of a VP8 key frame (RFC 6386, section 9.1), without the two scaling bits of each."""
    if head[0] & 1 or head[3:6] != b"\x9d\x01\x2a":
        raise BrokenContainerError("its VP8 chunk does not start with a key frame")
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF


def _lossless_size(head: bytes) -> tuple[int, int, bool]:
    """Return (width, height, whether there may be transparency) of VP8L (RFC 9649, section 3.4)."""
    fields = int.from_bytes(head[1:5], "little")
    if head[0] != 0x2F or fields >> 29:
        raise BrokenContainerError("its VP8L chunk does not start with the VP8L signature")
    return (fields & 0x3FFF) + 1, (fields >> 14 & 0x3FFF) + 1, bool(fields >> 28 & 1)
