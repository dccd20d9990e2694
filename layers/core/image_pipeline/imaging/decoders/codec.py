"""Run Pillow's codecs on chosen bytes, without its plugins, which would parse the whole file again in their own way."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, ImageFile

Blocks = Callable[[], Iterator[bytes]]
"""Each call iterates over the coded data from its start."""
IntBox = tuple[int, int, int, int]

_INKS = (0x5B, 0xA4)
"""Values that no sample of 1, 2 or 4 bits has, and that are rare among 8-bit samples."""


def decode(
    codec: str, args: tuple[Any, ...], mode: str, size: tuple[int, int], blocks: Blocks, last: IntBox
) -> Image.Image:
    """Decode one image.

    Args:
        codec: Pillow's name of the codec.
        args: arguments of the codec.
        mode: mode of the result.
        size: (width, height) in pixels.
        blocks: the coded data.
        last: box of the pixels that the codec writes last. A codec stops without an error if its data ends early; the
            image is complete only if these pixels were written.

    Raises:
        ValueError: the image is incomplete ("truncated").
        OSError: the data is damaged.
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
    """An image of one tile; a box of it is painted before decoding."""

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
        self._remaining = self._blocks()

    def load_read(self, _count: int) -> bytes:
        return next(self._remaining, b"")
