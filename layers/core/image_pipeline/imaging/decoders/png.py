"""PNG → pixels of its default image: Pillow's codec sees the image data and nothing else of the file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import partial

from PIL import Image, ImageChops

from image_pipeline.imaging.containers.png import CHANNELS, GREY, GREY_ALPHA, PALETTE, RGB, RGBA, Png, png
from image_pipeline.imaging.decoders import codec
from image_pipeline.imaging.decoders.png_colours import find_profile
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, check_size, coloured
from image_pipeline.imaging.reader import Reader

_RAW = {
    (GREY, 1): ("P", "P;1"),
    (GREY, 2): ("P", "P;2"),
    (GREY, 4): ("P", "P;4"),
    (GREY, 8): ("L", "L"),
    (GREY, 16): ("L", "L;16B"),
    (RGB, 8): ("RGB", "RGB"),
    (RGB, 16): ("RGB", "RGB;16B"),
    (PALETTE, 1): ("P", "P;1"),
    (PALETTE, 2): ("P", "P;2"),
    (PALETTE, 4): ("P", "P;4"),
    (PALETTE, 8): ("P", "P"),
    (GREY_ALPHA, 8): ("RGBA", "LA"),
    (GREY_ALPHA, 16): ("RGBA", "LA;16B"),
    (RGBA, 8): ("RGBA", "RGBA"),
    (RGBA, 16): ("RGBA", "RGBA;16B"),
}
"""(Mode, raw mode) of Pillow, by (colour type, bits). Of 16 bits the upper byte is taken (section 13.12)."""
_LOWER_BYTES = {"L;16B": "L;16", "RGB;16B": "RGB;16L"}
"""Raw modes that take the lower byte instead."""

_COLOURS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA"})

_IDAT = zlib.crc32(b"IDAT")
_BLOCK = 64 * 1024
_SHORT = 64
"""Bytes of a piece that is not handed on alone: the codec checks the sum of the data only where it comes together with
the last pixels."""


def decode(reader: Reader, header: Header, _reduction: float) -> Pixels:
    """Decode the default image; see `decode.decode`."""
    parts = png(reader)
    check_size((parts.width, parts.height), header)
    if not all(_is_intact(reader.data, piece) for piece in parts.pixels):
        _check_stream(reader.data, parts)
    image = _image(reader, parts)
    profile, warnings = find_profile(reader, parts) if _COLOURS & parts.chunks.keys() else (b"", ())
    warnings = (*parts.warnings, *warnings)
    if not parts.has_end:
        warnings = (*warnings, "The file has no end marker; its picture is complete.")
    return Pixels(image, (0, 0, *image.size), header.orientation, profile, warnings)


def _is_intact(data: bytes, piece: tuple[int, int]) -> bool:
    """Whether the checksum of an IDAT chunk is right."""
    start, length = piece
    end = start + length
    return zlib.crc32(memoryview(data)[start:end], _IDAT) == int.from_bytes(data[end : end + 4].ljust(4), "big")


def _check_stream(data: bytes, parts: Png) -> None:
    """Find out by the sum of the whole stream whether only a checksum is wrong, or the data is.

    Raises:
        ValueError: the data is damaged, or more than the picture needs.
        zlib.error: the data is damaged.
    """
    left = 2 * (parts.width * parts.bits * CHANNELS[parts.colour_type] // 8 + 2) * parts.height + _BLOCK
    inflater = zlib.decompressobj()
    for block in _blocks(data, parts.pixels):
        while block and not inflater.eof and left > 0:
            left -= len(inflater.decompress(block, _BLOCK))
            block = inflater.unconsumed_tail
    if not inflater.eof:
        raise ValueError("truncated" if left > 0 else "damaged")


def _image(reader: Reader, parts: Png) -> Image.Image:
    """Mode L, RGB or RGBA."""
    mode, raw = _RAW[parts.colour_type, parts.bits]
    decoded = partial(_decoded, reader, parts)
    if parts.colour_type == PALETTE:
        return coloured(decoded(mode, raw), parts.palette, parts.transparency)
    key = _key(parts)
    if parts.colour_type == GREY and parts.bits < 8:
        return _from_ramp(decoded(mode, raw), parts.bits, key)
    if not key:
        return decoded(mode, raw)
    if parts.bits == 8:
        return _keyed(decoded(mode, raw), key)
    lower = _keyed(decoded(mode, _LOWER_BYTES[raw]), tuple(value & 255 for value in key)).getchannel("A")
    image = _keyed(decoded(mode, raw), tuple(value >> 8 for value in key))
    image.putalpha(ImageChops.lighter(lower, image.getchannel("A")))
    return image


def _from_ramp(samples: Image.Image, bits: int, key: tuple[int, ...]) -> Image.Image:
    """Grey samples of less than 8 bits, as indices → mode L, or RGBA where one of them is transparent."""
    most = (1 << bits) - 1
    greys = [value * 255 // most for value in range(most + 1)]
    if key:
        return coloured(samples, bytes(grey for grey in greys for _ in range(3)), b"\xff" * key[0] + b"\0")
    return samples.point(greys + [0] * (255 - most), "L")


def _key(parts: Png) -> tuple[int, ...]:
    """Samples of the transparent colour; empty where there is none."""
    if parts.colour_type not in (GREY, RGB):
        return ()
    pairs = parts.transparency[::2], parts.transparency[1::2]
    most = (1 << parts.bits) - 1  # other bits are to be ignored (section 11.3.1.1)
    return tuple((high << 8 | low) & most for high, low in zip(*pairs, strict=True))


def _keyed(image: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """The picture, mode L or RGB, with a transparent colour."""
    image.info["transparency"] = key if len(key) > 1 else key[0]
    return image.convert("RGBA")


def _decoded(reader: Reader, parts: Png, mode: str, raw: str) -> Image.Image:
    size = parts.width, parts.height
    blocks = partial(_blocks, reader.data, parts.pixels)
    return codec.decode("zip", (raw, int(parts.interlaced)), mode, size, blocks, _last(*size, parts.interlaced))


def _blocks(data: bytes, pieces: tuple[tuple[int, int], ...]) -> Iterator[bytes]:
    """The image data in blocks of a size that suits the codec, whatever the size of its chunks."""
    held: list[bytes] = []
    count = 0
    for start, length in pieces:
        for at in range(start, start + length, _BLOCK):
            piece = data[at : min(at + _BLOCK, start + length)]
            if count >= _BLOCK and len(piece) >= _SHORT:
                yield b"".join(held)
                held, count = [], 0
            held.append(piece)
            count += len(piece)
    yield b"".join(held)


def _last(width: int, height: int, interlaced: bool) -> codec.IntBox:
    """The pixels that are decoded last: the last row, or those of the last pass of Adam7 (section 8.2)."""
    if not interlaced:
        return 0, height - 1, width, height
    if height > 1:
        row = height // 2 * 2 - 1
        return 0, row, width, row + 1
    column = max(0, width // 2 * 2 - 1)
    return column, 0, column + 1, 1
