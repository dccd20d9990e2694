"""Pillow's codecs over chosen bytes, without its plugins: those parse the whole file again, and in their own way."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, ImageFile

Blocks = Callable[[], Iterator[bytes]]
"""Starts from the beginning of the coded data each time it is called."""
IntBox = tuple[int, int, int, int]

_INKS = (0x5B, 0xA4)
"""No samples of 1, 2 or 4 bits, and rare ones of 8."""


def decode(
    codec: str, args: tuple[Any, ...], mode: str, size: tuple[int, int], blocks: Blocks, last: IntBox
) -> Image.Image:
    """Decode one picture.

    Args:
        codec: Pillow's name of the codec.
        args: its arguments.
        mode: of the result.
        size: (width, height) in pixels.
        blocks: the coded data.
        last: the pixels that the codec writes last, within the picture. A codec ends without complaint where its data
            says so; the picture is complete only if these were written.

    Raises:
        ValueError: the picture is incomplete ("truncated").
        OSError: the data is broken.
    """
    for ink in _INKS:
        coded = _Coded(codec, args, mode, size, blocks, (ink, last))
        coded.load()
        image = Image.Image()._new(coded.im)
        if any(extrema != (ink, ink) for extrema in _extrema(image.crop(last))):
            return image
    raise ValueError("truncated")


def _extrema(image: Image.Image) -> list[Any]:
    return [band.getextrema() for band in image.split()]


class _Coded(ImageFile.ImageFile):
    """One picture that is one tile; before it is decoded, a part of it is painted."""

    def __init__(
        self,
        codec: str,
        args: tuple[Any, ...],
        mode: str,
        size: tuple[int, int],
        blocks: Blocks,
        paint: tuple[int, IntBox],
    ) -> None:
        self._tile = ImageFile._Tile(codec, (0, 0, *size), 0, args)
        self._kind = mode, size
        self._blocks = blocks
        self._paint = paint
        super().__init__(io.BytesIO())

    def _open(self) -> None:
        self._mode, self._size = self._kind
        self.tile = [self._tile]

    def load_prepare(self) -> None:
        super().load_prepare()
        ink, box = self._paint
        bands = Image.getmodebands(self.mode)
        self.im.paste(ink if bands == 1 else (ink,) * bands, box)

    def load_seek(self, _pos: int) -> None:
        self._left = self._blocks()

    def load_read(self, _count: int) -> bytes:
        return next(self._left, b"")
