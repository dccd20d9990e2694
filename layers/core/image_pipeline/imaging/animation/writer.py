"""Write an animated WebP (RFC 9649, section 2.7.1) frame by frame.

libwebp's own encoder of animations is not used. It skips pixels that are nearly equal to those of the original before,
so a slow fade stays at its first frames. Here each frame contains every block of pixels that changed at all, and no
other block is coded again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import Image, ImageChops

from image_pipeline.imaging.animation.frames import MOST_MILLISECONDS, Rectangle
from image_pipeline.imaging.containers.chunks import riff_chunks
from image_pipeline.imaging.encode import encode
from image_pipeline.imaging.reader import Reader

_BLOCK = 16
"""Side in pixels of the blocks in which VP8 codes an image (RFC 6386, section 2)."""
_ANIMATION, _ALPHA, _EXIF = 0x02, 0x10, 0x08
_REPLACE = 0x02
"""Flag of a frame that is not blended with the canvas."""
_MOST_PLAYS = 0xFFFF
_EXIF_PREFIX = b"Exif\0\0"


@dataclass
class _CodedFrame:
    """A coded frame."""

    box: Rectangle
    flags: int
    data: bytes
    milliseconds: int

    def chunk(self) -> bytes:
        left, top, right, bottom = self.box
        numbers = left // 2, top // 2, right - left - 1, bottom - top - 1, self.milliseconds
        return _chunk(b"ANMF", b"".join(map(_three_bytes, numbers)) + bytes((self.flags,)) + self.data)


class Writer:
    """Codes frames of one size as they come; keeps the previous image and the coded data."""

    def __init__(self, quality: int) -> None:
        self._quality = quality
        self._previous: Image.Image | None = None
        self._frames: list[_CodedFrame] = []
        self.size_bytes = 0
        """Bytes of the coded frames."""

    @property
    def frames(self) -> int:
        """Frames of the file: fewer than were added, if some of them are equal."""
        return len(self._frames)

    def add(self, image: Image.Image, milliseconds: int) -> None:
        """Add a frame, mode L, RGB or RGBA. A frame that equals the previous one extends the time of that one."""
        rgba = image.convert("RGBA")  # a copy: the caller may draw the next frame into the same image
        blocks = _changed_blocks(self._previous, rgba)
        self._previous = rgba
        changed = blocks.getbbox()
        if changed is None:
            last = self._frames[-1]
            if last.milliseconds + milliseconds <= MOST_MILLISECONDS:
                last.milliseconds += milliseconds
                return
            changed = (0, 0, 1, 1)  # a frame cannot be empty
        part = blocks.crop(changed)
        frame = self._code(rgba, changed, part, milliseconds, is_opaque=image.mode != "RGBA")
        self._frames.append(frame)
        self.size_bytes += len(frame.data)

    def file(self, size: tuple[int, int], plays: int, rights: bytes) -> bytes:
        """Return the file.

        Args:
            size: (width, height) of the frames, in pixels.
            plays: how often it plays; 0 means forever.
            rights: EXIF block with artist and copyright; empty if neither is known.
        """
        has_alpha = any(frame.data.startswith(b"ALPH") for frame in self._frames)
        flags = _ANIMATION | (_ALPHA if has_alpha else 0) | (_EXIF if rights else 0)
        chunks = [
            _chunk(b"VP8X", struct.pack("<I", flags) + b"".join(_three_bytes(side - 1) for side in size)),
            _chunk(b"ANIM", struct.pack("<IH", 0, min(plays, _MOST_PLAYS))),
            *(frame.chunk() for frame in self._frames),
            *([_chunk(b"EXIF", rights.removeprefix(_EXIF_PREFIX))] if rights else []),
        ]
        return b"".join((b"RIFF", struct.pack("<I", 4 + sum(map(len, chunks))), b"WEBP", *chunks))

    def _code(
        self, image: Image.Image, changed: Rectangle, blocks: Image.Image, milliseconds: int, *, is_opaque: bool
    ) -> _CodedFrame:
        """Code the rectangle with all changed blocks. In an opaque image, its other blocks are transparent.

        Args:
            image: the frame, mode RGBA.
            changed: the rectangle in blocks.
            blocks: one pixel for each block of the rectangle.
            milliseconds: the time of the frame.
            is_opaque: whether the image is opaque.
        """
        left, top, right, bottom = (_BLOCK * side for side in changed)
        box = left, top, min(right, image.width), min(bottom, image.height)
        part = image.crop(box)
        flags = _REPLACE
        if is_opaque and blocks.getextrema() != (255, 255):
            mask = blocks.resize((right - left, bottom - top), Image.Resampling.NEAREST)
            part.putalpha(mask.crop((0, 0, *part.size)))
            flags = 0
        elif is_opaque:
            part = part.convert("RGB")
        return _CodedFrame(box, flags, _image_chunks(encode(part, "webp", self._quality, b"")), milliseconds)


def _changed_blocks(previous: Image.Image | None, image: Image.Image) -> Image.Image:
    """Return an image with one pixel for each block: 255 if any pixel of the block differs, else 0."""
    if previous is None:
        return Image.new("L", (-(-image.width // _BLOCK), -(-image.height // _BLOCK)), 255)
    red, green, blue, alpha = ImageChops.difference(previous, image).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), ImageChops.lighter(blue, alpha))
    # The mean of a block is rounded: one pixel of 255 among 256 gives 1.
    return most.point(_IS_CHANGED).reduce(_BLOCK).point(_IS_CHANGED)


_IS_CHANGED = [0] + [255] * 255


def _image_chunks(data: bytes) -> bytes:
    """Return the chunks of a WebP that contain its pixels."""
    image_chunks = [chunk for chunk in riff_chunks(Reader.of(data)) if chunk.kind in (b"ALPH", b"VP8 ", b"VP8L")]
    return b"".join(_chunk(chunk.kind, data[chunk.start : chunk.end]) for chunk in image_chunks)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return b"".join((kind, struct.pack("<I", len(payload)), payload, b"\0" * (len(payload) % 2)))


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")
