"""Animations of every kind, valid or not. All are small; `tools.animation_references` asks Chromium about each."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.corpus import gifs, pngs, webps

SIZE = (48, 32)
_BOX = (0, 0, *SIZE)
_COLOURS = bytes((255, 0, 0, 0, 200, 0, 0, 0, 255, 250, 250, 250))
_OTHERS = bytes((0, 255, 255, 255, 0, 255, 255, 255, 0, 20, 20, 20))

Box = tuple[int, int, int, int]


# GIF ------------------------------------------------------------------------------------------------------------------


def _plain(box: Box, index: int) -> bytes:
    """A frame of one colour."""
    return gifs.frame(box, bytes((index,)) * (box[2] * box[3]))


def _holed(box: Box, index: int) -> bytes:
    """A frame of one colour with a transparent (3) middle."""
    _, _, width, height = box
    middle = range(width // 4, width * 3 // 4), range(height // 4, height * 3 // 4)
    return gifs.frame(
        box, bytes(3 if x in middle[0] and y in middle[1] else index for y in range(height) for x in range(width))
    )


def loops(count: int, name: bytes = b"NETSCAPE2.0") -> bytes:
    """The extension with the number of repetitions."""
    return gifs.extension(0xFF, name, b"\1" + struct.pack("<H", count))


def _gif(*parts: bytes, **options: object) -> bytes:
    return gifs.gif(SIZE, parts, _COLOURS, **options)  # type: ignore[arg-type]


def _steps(disposal: int, *, first: int = 1, transparent: int | None = 3) -> list[bytes]:
    """A background, two partial frames, of which the first is disposed of, and one more frame."""
    return [
        gifs.control(transparent, first, 10), gifs.frame(_BOX),
        gifs.control(transparent, disposal, 20), _holed((8, 8, 24, 16), 1),
        gifs.control(transparent, 1, 30), _holed((20, 4, 24, 24), 2),
        gifs.control(transparent, 1, 40), _plain((0, 0, 6, 6), 1),
    ]  # fmt: skip


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


_FULL = gifs.frame(_BOX)

GIFS: dict[str, Callable[[], bytes]] = {
    "GIF keeps": lambda: _gif(loops(0), *_steps(1)),
    "GIF clears": lambda: _gif(loops(0), *_steps(2)),
    "GIF restores": lambda: _gif(loops(0), *_steps(3)),
    "GIF restores by 4": lambda: _gif(loops(0), *_steps(4)),
    "GIF with an unknown disposal": lambda: _gif(loops(0), *_steps(6)),
    "GIF clears its first frame": lambda: _gif(loops(0), *_steps(1, first=2)),
    "GIF restores its first frame": lambda: _gif(loops(0), *_steps(2, first=3)),
    "GIF clears, opaque": lambda: _gif(loops(0), *_steps(2, transparent=None), background=2),
    "GIF without loops": lambda: _gif(*_steps(1)),
    "GIF repeated once": lambda: _gif(loops(1), *_steps(1)),
    "GIF repeated 65535 times": lambda: _gif(loops(65535), *_steps(1)),
    "GIF with ANIMEXTS": lambda: _gif(loops(4, b"ANIMEXTS1.0"), *_steps(1)),
    "GIF with two loop counts": lambda: _gif(loops(3), loops(7), *_steps(1)),
    "GIF with a loop count at its end": lambda: _gif(*_steps(1), loops(3)),
    "GIF with delays of 0, 1, 2 and 65535": lambda: _gif(
        *(part for delay in (0, 1, 2, 65535) for part in (gifs.control(None, 1, delay), _plain(_BOX, delay % 4)))
    ),
    "GIF without controls": lambda: _gif(_FULL, _plain((4, 4, 20, 20), 1), _plain((10, 4, 20, 20), 2)),
    "GIF with a control for its first frame only": lambda: _gif(
        gifs.control(3, 2, 50), _FULL, gifs.frame((4, 4, 24, 20)), gifs.frame((20, 10, 24, 20))
    ),
    "GIF with two controls": lambda: _gif(
        gifs.control(3, 1, 10), _FULL, gifs.control(1, 2, 50), gifs.control(3, 1, 30), _holed((8, 8, 24, 16), 1)
    ),
    "GIF with local tables": lambda: _gif(
        gifs.control(None, 1, 10), _FULL, gifs.control(3, 1, 10),
        gifs.frame((8, 8, 24, 16), colours=_OTHERS), gifs.control(None, 1, 10),
        gifs.frame((4, 2, 24, 16), colours=_OTHERS[3:]),
    ),
    "GIF with local tables only": lambda: gifs.gif(
        SIZE, [gifs.frame(_BOX, colours=_COLOURS), gifs.frame((8, 8, 24, 16), colours=_OTHERS)], b""
    ),
    "GIF interlaced": lambda: _gif(
        gifs.control(None, 1, 10), gifs.frame(_BOX, interlaced=True), gifs.control(3, 1, 10),
        gifs.frame((6, 6, 31, 19), interlaced=True, colours=_OTHERS),
    ),
    "GIF with frames that cross the edge": lambda: _gif(
        gifs.control(3, 2, 10), _FULL, gifs.control(3, 1, 10), gifs.frame((40, 20, 24, 24)),
        gifs.control(3, 2, 10), gifs.frame((30, 28, 40, 40), colours=_OTHERS), gifs.control(3, 1, 10),
        _plain((0, 0, 4, 4), 1),
    ),
    "GIF with a frame outside": lambda: _gif(
        gifs.control(3, 1, 10), _FULL, gifs.control(3, 2, 20), _plain((60, 40, 8, 8), 1),
        gifs.control(3, 1, 30), _plain((0, 0, 4, 4), 1),
    ),
    "GIF with a small first frame": lambda: _gif(
        gifs.control(3, 1, 10), _plain((10, 10, 8, 8), 0), gifs.control(3, 1, 10), _plain((20, 10, 8, 8), 1)
    ),
    "GIF with an empty frame": lambda: _gif(
        gifs.control(3, 1, 10), _FULL, gifs.control(3, 1, 20), gifs.frame((0, 0, 0, 8), b""),
        gifs.control(3, 1, 30), _plain((0, 0, 4, 4), 1),
    ),
    "GIF cut off in its last frame": lambda: _gif(*_steps(1), end=b"")[:-12],
    "GIF cut off in a head": lambda: _gif(*_steps(1)[:5], b"\x2c\0\0", end=b""),
    "GIF without an end": lambda: _gif(*_steps(1), end=b""),
    "GIF with an unknown block": lambda: _gif(*_steps(1)[:4], b"\x99", *_steps(1)[4:]),
    "GIF with a short frame": lambda: _gif(
        gifs.control(None, 1, 10), _FULL,
        gifs.control(None, 1, 20), gifs.frame(_BOX, gifs.quarters(*SIZE)[:400], colours=_OTHERS),
        gifs.control(None, 1, 30), _plain((0, 0, 4, 4), 1),
    ),
}  # fmt: skip


# WebP -----------------------------------------------------------------------------------------------------------------


def _picture(size: tuple[int, int], colour: tuple[int, int, int, int], hole: bool = False) -> Image.Image:
    image = Image.new("RGBA", size, colour)
    if hole:
        image.paste((0, 0, 0, 0), (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    return image


_RED, _GREEN, _BLUE, _MIST = (255, 0, 0, 255), (0, 200, 0, 255), (0, 0, 255, 255), (200, 200, 0, 128)


def webp_frame(
    box: Box, colour: tuple[int, int, int, int], milliseconds: int, flags: int = 0, hole: bool = False
) -> bytes:
    """A frame of one colour; flag 1 clears it after its time, flag 2 replaces the pixels below it."""
    chunk = bytearray(webps.anmf(box, *webps.coded(_picture(box[2:], colour, hole)), flags=flags))
    chunk[20:23] = struct.pack("<I", milliseconds)[:3]
    return bytes(chunk)


def _webp(*frames: bytes, plays: int = 0, flags: int = webps.ANIMATION | webps.ALPHA) -> bytes:
    head = webps.chunk(b"ANIM", b"\x40\x80\xff\xff" + struct.pack("<H", plays))
    return webps.webp(webps.vp8x(SIZE, flags), head, *frames)


def _webp_steps(flags: int, colour: tuple[int, int, int, int] = _GREEN) -> list[bytes]:
    return [
        webp_frame(_BOX, _RED, 100),
        webp_frame((8, 8, 24, 16), colour, 200, flags, hole=True),
        webp_frame((20, 4, 24, 24), _MIST, 300, hole=True),
        webp_frame((0, 0, 6, 6), _BLUE, 400),
    ]


WEBPS: dict[str, Callable[[], bytes]] = {
    "WebP keeps": lambda: _webp(*_webp_steps(0)),
    "WebP clears": lambda: _webp(*_webp_steps(1)),
    "WebP replaces": lambda: _webp(*_webp_steps(2)),
    "WebP replaces and clears": lambda: _webp(*_webp_steps(3)),
    "WebP blends half transparent frames": lambda: _webp(*_webp_steps(0, _MIST), *_webp_steps(0, _MIST)[1:]),
    "WebP plays once": lambda: _webp(*_webp_steps(0), plays=1),
    "WebP plays five times": lambda: _webp(*_webp_steps(0), plays=5),
    "WebP with times of 0, 10, 11 and 16777215": lambda: _webp(
        *(webp_frame(_BOX, (time % 251, 0, 0, 255), time) for time in (0, 10, 11, 16777215))
    ),
    "WebP with a small first frame": lambda: _webp(
        webp_frame((8, 8, 8, 8), _RED, 100), webp_frame((20, 8, 8, 8), _BLUE, 100)
    ),
    "WebP with a frame outside": lambda: _webp(*_webp_steps(0)[:3], webp_frame((40, 0, 16, 16), _BLUE, 100)),
    "WebP cut off": lambda: webps.webp(_webp(*_webp_steps(0))[12:-20]),
}


# PNG ------------------------------------------------------------------------------------------------------------------


def _rows(size: tuple[int, int], colour: tuple[int, int, int, int], hole: bool) -> bytes:
    image = _picture(size, colour, hole)
    return b"".join(b"\0" + image.crop((0, y, size[0], y + 1)).tobytes() for y in range(size[1]))


class Apng:
    """Writes chunks with consecutive sequence numbers."""

    def __init__(self) -> None:
        self.sequence = 0

    def number(self) -> bytes:
        """The next sequence number."""
        self.sequence += 1
        return struct.pack(">I", self.sequence - 1)

    def control(self, box: Box, delay: tuple[int, int] = (1, 10), disposal: int = 0, over: int = 0) -> bytes:
        """The chunk fcTL."""
        left, top, width, height = box
        return pngs.chunk(
            b"fcTL", self.number() + struct.pack(">IIIIHHBB", width, height, left, top, *delay, disposal, over)
        )

    def data(self, box: Box, colour: tuple[int, int, int, int], hole: bool = False, pieces: int = 1) -> bytes:
        """The chunk fdAT."""
        packed = zlib.compress(_rows(box[2:], colour, hole))
        step = -(-len(packed) // pieces)
        return b"".join(
            pngs.chunk(b"fdAT", self.number() + packed[at : at + step]) for at in range(0, len(packed), step)
        )

    def frame(
        self, box: Box, colour: tuple[int, int, int, int], delay: tuple[int, int] = (1, 10), disposal: int = 0,
        over: int = 0, hole: bool = False, pieces: int = 1,
    ) -> bytes:  # fmt: skip
        """A frame after the default image."""
        return self.control(box, delay, disposal, over) + self.data(box, colour, hole, pieces)


def animation_control(frames: int, plays: int = 0) -> bytes:
    """The chunk acTL."""
    return pngs.chunk(b"acTL", struct.pack(">II", frames, plays))


def _still(colour: tuple[int, int, int, int]) -> bytes:
    return pngs.data(_rows(SIZE, colour, False))


def _apng(
    disposal: int, over: int, *, count: int = 4, plays: int = 0, first: int = 0, with_default: bool = True,
    delays: tuple[tuple[int, int], ...] = ((1, 10), (2, 10), (3, 10), (4, 10)), cut: int = 0,
    colour: tuple[int, int, int, int] = _GREEN,
) -> bytes:  # fmt: skip
    chunks = Apng()
    parts = [pngs.header(SIZE, 8, pngs.RGBA), animation_control(count, plays)]
    if with_default:
        parts += [chunks.control(_BOX, delays[0], first), _still(_RED)]
    else:
        parts += [_still(_MIST), chunks.frame(_BOX, _RED, delays[0], first)]
    parts += [
        chunks.frame((9, 7, 23, 17), colour, delays[1], disposal, over, hole=True, pieces=3),
        chunks.frame((20, 4, 24, 24), _MIST, delays[2], 0, 1, hole=True),
        chunks.frame((0, 0, 6, 6), _BLUE, delays[3]),
    ]
    data = pngs.png(*parts)
    return data[:-cut] if cut else data


def _broken_order() -> bytes:
    chunks = Apng()
    parts = [pngs.header(SIZE, 8, pngs.RGBA), animation_control(3), chunks.control(_BOX), _still(_RED)]
    parts.append(chunks.frame((8, 8, 8, 8), _GREEN))
    chunks.sequence += 1
    return pngs.png(*parts, chunks.frame((20, 8, 8, 8), _BLUE))


def _outside() -> bytes:
    chunks = Apng()
    parts = [pngs.header(SIZE, 8, pngs.RGBA), animation_control(3), chunks.control(_BOX), _still(_RED)]
    return pngs.png(*parts, chunks.frame((8, 8, 8, 8), _GREEN), chunks.frame((44, 8, 8, 8), _BLUE))


PNGS: dict[str, Callable[[], bytes]] = {
    "PNG keeps": lambda: _apng(0, 1),
    "PNG clears": lambda: _apng(1, 1),
    "PNG restores": lambda: _apng(2, 1),
    "PNG replaces": lambda: _apng(0, 0),
    "PNG replaces and clears": lambda: _apng(1, 0),
    "PNG restores its first frame": lambda: _apng(0, 1, first=2),
    "PNG clears its first frame": lambda: _apng(0, 1, first=1),
    "PNG blends half transparent frames": lambda: _apng(0, 1, colour=_MIST),
    "PNG with another default image": lambda: _apng(1, 1, with_default=False),
    "PNG plays once": lambda: _apng(0, 1, plays=1),
    "PNG plays three times": lambda: _apng(0, 1, plays=3),
    "PNG with odd times": lambda: _apng(0, 1, delays=((0, 0), (7, 0), (1, 30), (65535, 1000))),
    "PNG declares fewer frames": lambda: _apng(0, 1, count=3),
    "PNG declares more frames": lambda: _apng(0, 1, count=9),
    "PNG cut off in its last frame": lambda: _apng(0, 1, cut=20),
    "PNG without an end": lambda: _apng(0, 1, cut=12),
    "PNG with a frame outside": _outside,
    "PNG with chunks out of order": _broken_order,
}  # fmt: skip

ALL: dict[str, Callable[[], bytes]] = {**GIFS, **WEBPS, **PNGS}
"""Every animation by its name; the first word is the format."""


def saved(frames: list[Image.Image], image_format: str, **options: object) -> bytes:
    """An animation as Pillow writes it."""
    out = io.BytesIO()
    frames[0].save(out, image_format, save_all=True, append_images=frames[1:], **options)  # type: ignore[arg-type]
    return out.getvalue()
