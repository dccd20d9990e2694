"""Read the frames of an animated WebP (RFC 9649)."""

from __future__ import annotations

from functools import partial

from PIL import Image

from image_pipeline.imaging.animation.frames import MOST_FRAMES, Animation, Disposal, Frame, shown_milliseconds
from image_pipeline.imaging.containers import webp as container
from image_pipeline.imaging.containers.chunks import Chunk, riff_chunks
from image_pipeline.imaging.decoders.webp import decode_frame, profile
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_DISPOSE, _REPLACE = 1, 2
"""Flags of a frame."""


def read(reader: Reader) -> Animation:
    """Read the structure of all frames.

    Raises:
        BrokenContainerError: as `containers.webp.webp`.
    """
    parts = container.webp(reader)
    file = reader.part(0, 8 + reader.number(4, 4, little=True))
    frames: list[Frame] = []
    plays = 0
    is_damaged = False
    try:
        for chunk in riff_chunks(file):
            if chunk.kind == b"ANIM":
                plays = file.number(chunk.start + 4, 2, little=True)
            elif chunk.kind == b"ANMF":
                frames.append(_frame(file, chunk, parts, reader.data))
            if len(frames) > MOST_FRAMES:
                break
    except BrokenContainerError:
        is_damaged = True
    return Animation(tuple(frames), plays, is_damaged, profile(reader, parts))


def _frame(file: Reader, chunk: Chunk, parts: container.Webp, data: bytes) -> Frame:
    """Return a frame.

    Args:
        file: the file up to its declared end.
        chunk: the chunk of the frame.
        parts: the parts of the file.
        data: all bytes, also those after the declared end: without them, each frame would have a copy of the file.
    """
    frame = container.animation_frame(file, chunk)
    right, bottom = frame.left + frame.width, frame.top + frame.height
    if right > parts.width or bottom > parts.height:
        raise BrokenContainerError("a frame is outside of the canvas")
    head = file.take(chunk.start + 12, 4)
    return Frame(
        (frame.left, frame.top, right, bottom),
        frame.width * frame.height,
        shown_milliseconds(int.from_bytes(head[:3], "little")),
        Disposal.CLEAR if head[3] & _DISPOSE else Disposal.KEEP,
        blends=not head[3] & _REPLACE,
        decode=partial(_decode, data, frame),
    )


def _decode(data: bytes, frame: container.WebpFrame) -> Image.Image:
    return decode_frame(data, frame, (frame.width, frame.height))
