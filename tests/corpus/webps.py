"""WebP files from chunks, in any combination, valid or not (RFC 9649); Pillow encodes the images."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from PIL import Image

from image_pipeline.errors import CorruptImageError
from tests.corpus import HOLE, QUARTERS, SIZE, Bad, Good, holed, quarters

ICC, ALPHA, EXIF, XMP, ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02
"""Flags of VP8X."""


def chunk(kind: bytes, payload: bytes, length: int | None = None) -> bytes:
    """One chunk, padded to an even length."""
    return kind + struct.pack("<I", len(payload) if length is None else length) + payload + b"\0" * (len(payload) % 2)


def webp(*chunks: bytes, size: int | None = None) -> bytes:
    """A file of these chunks; `size` replaces the correct one."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, payload) of each chunk."""
    at = 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def coded(image: Image.Image, *, lossless: bool = True) -> list[bytes]:
    """The chunks of an encoded image: VP8L, or VP8 with ALPH before it if there is alpha."""
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=lossless, quality=95)
    return [chunk(kind, data) for kind, data in chunks_of(out.getvalue()) if kind in (b"VP8 ", b"VP8L", b"ALPH")]


def vp8x(size: tuple[int, int], flags: int = 0) -> bytes:
    """The chunk of an extended file."""
    width, height = (struct.pack("<I", side - 1)[:3] for side in size)
    return chunk(b"VP8X", struct.pack("<I", flags) + width + height)


def anim(background: tuple[int, int, int, int] = (255, 255, 255, 255)) -> bytes:
    """The chunk of an animation; the background is blue, green, red, alpha."""
    return chunk(b"ANIM", bytes(background) + b"\0\0")


def anmf(box: tuple[int, int, int, int], *parts: bytes, flags: int = 0) -> bytes:
    """A frame at (left, top, width, height); left and top are even."""
    left, top, width, height = box
    numbers = b"".join(struct.pack("<I", n)[:3] for n in (left // 2, top // 2, width - 1, height - 1, 100))
    return chunk(b"ANMF", numbers + bytes((flags,)) + b"".join(parts))


_BOX = (0, 0, *SIZE)
_HOLED = (*QUARTERS[:3], HOLE)


def _animation(image: Image.Image, *, lossless: bool = True) -> bytes:
    first, second = (anmf(_BOX, *coded(source, lossless=lossless)) for source in (image, quarters()))
    return webp(vp8x(SIZE, ANIMATION | ALPHA), anim((0, 0, 255, 255)), first, second)


GOOD: tuple[Good, ...] = (
    Good("WebP animated, with alpha", lambda: _animation(holed()), "WEBP", _HOLED, frames=2),
    Good("WebP animated, lossy", lambda: _animation(quarters(), lossless=False), "WEBP", QUARTERS, 16, 2),
    Good("WebP animated, lossy, with alpha", lambda: _animation(holed(), lossless=False), "WEBP", _HOLED, 16, 2),
)

BAD: tuple[Bad, ...] = (
    Bad(
        "WebP with a canvas of another size",
        lambda: webp(vp8x((480, 320)), *coded(quarters())),
        CorruptImageError,
        "480 × 320",
    ),
    Bad(
        "WebP with two canvases",
        lambda: webp(vp8x(SIZE), vp8x(SIZE), *coded(quarters())),
        CorruptImageError,
        "two VP8X",
    ),
    Bad(
        "WebP animated without a frame",
        lambda: webp(vp8x(SIZE, ANIMATION), anim()),
        CorruptImageError,
        "no frame",
    ),
)
