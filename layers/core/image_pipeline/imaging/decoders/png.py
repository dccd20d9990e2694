"""Decode the default image of a PNG. The decoders see only its image data.

libvips decodes the frequent kinds, in half the time. Pillow's codec decodes the others. It also decodes the files that
libvips rejects, so the outcome of a broken file is the same with and without libvips.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image, ImageChops

from image_pipeline.imaging import libvips
from image_pipeline.imaging.containers.png import (
    CHANNELS,
    GREY,
    GREY_ALPHA,
    HEADER_END,
    PALETTE,
    RGB,
    RGBA,
    Png,
    png,
)
from image_pipeline.imaging.decoders import codec
from image_pipeline.imaging.decoders.png_colours import find_profile
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import Pixels, apply_palette, check_size
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
"""Pillow's (mode, raw mode) by (colour type, bits). 16-bit samples keep their upper byte (section 13.12)."""
_LOWER_BYTES = {"L;16B": "L;16", "RGB;16B": "RGB;16L"}
"""Raw modes that keep the lower byte instead."""

_COLOURS = frozenset({b"cICP", b"iCCP", b"sRGB", b"gAMA"})

_IDAT = zlib.crc32(b"IDAT")
_BLOCK = 64 * 1024
_SHORT = 64
"""A shorter piece is joined to the block before it: the codec verifies the checksum of the data only if it arrives
together with the last pixels."""
_TAIL = 4096
"""Bytes of the last chunk for libvips: libpng reads as many at a time (PNG_IDAT_READ_SIZE), so the checksum of the data
also arrives together with the last pixels."""


def decode(reader: Reader, header: Header, reduction: float) -> Pixels:
    """Decode the default image, reduced if the renditions allow it; see `decode.decode`."""
    parts = png(reader)
    check_size((parts.width, parts.height), header)
    image = _reduced(reader.data, parts, reduction) if parts.is_plain else None
    if image is None:
        if not all(_is_intact(reader.data, piece) for piece in parts.pixels):
            _check_stream(reader.data, parts)
        image = decode_image(reader, parts)
    profile, warnings = find_profile(reader, parts) if _COLOURS & parts.chunks.keys() else (b"", ())
    warnings = (*parts.warnings, *warnings)
    if not parts.has_end:
        warnings = (*warnings, "The file has no end marker; its image is complete.")
    return Pixels(image, (0, 0, *image.size), header.orientation, profile, warnings)


def _is_intact(data: bytes, piece: tuple[int, int]) -> bool:
    """Return whether the checksum of an IDAT chunk is right."""
    start, length = piece
    end = start + length
    return zlib.crc32(memoryview(data)[start:end], _IDAT) == _stored_checksum(data, end)


def _stored_checksum(data: bytes, end: int) -> int:
    """Return the checksum after the payload of a chunk; wrong if the file ends before it."""
    return int.from_bytes(data[end : end + 4].ljust(4), "big")


def _check_stream(data: bytes, parts: Png) -> None:
    """Verify the checksum of the whole stream, to distinguish a wrong chunk checksum from damaged data.

    Raises:
        ValueError: the data is damaged, or longer than the image needs.
        zlib.error: the data is damaged.
    """
    allowance = 2 * (parts.width * parts.bits * CHANNELS[parts.colour_type] // 8 + 2) * parts.height + _BLOCK
    inflater = zlib.decompressobj()
    for block in _blocks(data, parts.pixels):
        while block and not inflater.eof and allowance > 0:
            allowance -= len(inflater.decompress(block, _BLOCK))
            block = inflater.unconsumed_tail
    if not inflater.eof:
        raise ValueError("truncated" if allowance > 0 else "damaged")


def _reduced(data: bytes, parts: Png, reduction: float) -> Image.Image | None:
    """Decode and reduce the image with libvips; None if libvips is not installed or rejects the data."""
    file = _plain_file(data, parts)
    width, height = (max(1, round(side / reduction)) for side in (parts.width, parts.height))
    return libvips.decode_png(file, (width, height)) if file else None


def _plain_file(data: bytes, parts: Png) -> bytes | None:
    """Write a PNG of the image data alone; None if its end is damaged.

    libvips would also parse all other chunks, without a budget. The chunks of image data keep their checksums, which
    libvips verifies. Only the last ones are verified here, because they are joined to one chunk.
    """
    view = memoryview(data)
    spans = list(parts.pixels)
    tail = b""
    while spans and len(tail) < _TAIL:
        start, length = spans.pop()
        split = start + max(0, length + len(tail) - _TAIL)
        end = start + length
        checksum = zlib.crc32(view[start:split], _IDAT)
        if zlib.crc32(view[split:end], checksum) != _stored_checksum(data, end):
            return None
        tail = data[split:end] + tail
    return b"".join(
        (
            data[:HEADER_END],
            view[parts.pixels[0][0] - 8 : start - 8],
            *_chunk(b"IDAT", view[start:split], checksum),
            *_chunk(b"IDAT", tail, zlib.crc32(tail, _IDAT)),
            *_chunk(b"IEND", b"", zlib.crc32(b"IEND")),
        )
    )


def _chunk(kind: bytes, payload: bytes | memoryview, checksum: int) -> tuple[bytes | memoryview, ...]:
    return struct.pack(">I", len(payload)) + kind, payload, struct.pack(">I", checksum)


def decode_image(reader: Reader, parts: Png) -> Image.Image:
    """Decode to mode L, RGB or RGBA."""
    mode, raw = _RAW[parts.colour_type, parts.bits]
    decode_as = partial(_decode_as, reader, parts)
    if parts.colour_type == PALETTE:
        return apply_palette(decode_as(mode, raw), parts.palette, parts.transparency)
    key = _colour_key(parts)
    if parts.colour_type == GREY and parts.bits < 8:
        return _from_ramp(decode_as(mode, raw), parts.bits, key)
    if not key:
        return decode_as(mode, raw)
    if parts.bits == 8:
        return _apply_key(decode_as(mode, raw), key)
    return _deep_with_key(decode_as, mode, raw, key)


def _deep_with_key(
    decode_as: Callable[[str, str], Image.Image], mode: str, raw: str, key: tuple[int, ...]
) -> Image.Image:
    """Decode 16-bit samples with a transparent colour, which both bytes of a sample must match."""
    lower = _apply_key(decode_as(mode, _LOWER_BYTES[raw]), tuple(value & 255 for value in key)).getchannel("A")
    image = _apply_key(decode_as(mode, raw), tuple(value >> 8 for value in key))
    image.putalpha(ImageChops.lighter(lower, image.getchannel("A")))
    return image


def _from_ramp(samples: Image.Image, bits: int, key: tuple[int, ...]) -> Image.Image:
    """Convert grey samples of fewer than 8 bits to mode L, or to RGBA if one of them is transparent."""
    most = (1 << bits) - 1
    greys = [value * 255 // most for value in range(most + 1)]
    if key:
        return apply_palette(samples, bytes(grey for grey in greys for _ in range(3)), b"\xff" * key[0] + b"\0")
    return samples.point(greys + [0] * (255 - most), "L")


def _colour_key(parts: Png) -> tuple[int, ...]:
    """Return the samples of the transparent colour; empty if there is none."""
    if parts.colour_type not in (GREY, RGB):
        return ()
    pairs = parts.transparency[::2], parts.transparency[1::2]
    most = (1 << parts.bits) - 1  # higher bits must be ignored (section 11.3.1.1)
    return tuple((high << 8 | low) & most for high, low in zip(*pairs, strict=True))


def _apply_key(image: Image.Image, key: tuple[int, ...]) -> Image.Image:
    """Make one colour of an image, mode L or RGB, transparent."""
    image.info["transparency"] = key if len(key) > 1 else key[0]
    return image.convert("RGBA")


def _decode_as(reader: Reader, parts: Png, mode: str, raw: str) -> Image.Image:
    size = parts.width, parts.height
    blocks = partial(_blocks, reader.data, parts.pixels)
    return codec.decode("zip", (raw, int(parts.interlaced)), mode, size, blocks, _last(*size, parts.interlaced))


def _blocks(data: bytes, spans: tuple[tuple[int, int], ...]) -> Iterator[bytes]:
    """Yield the image data in blocks of a size that suits the codec, whatever the size of its chunks."""
    pieces: list[bytes] = []
    count = 0
    for start, length in spans:
        for at in range(start, start + length, _BLOCK):
            piece = data[at : min(at + _BLOCK, start + length)]
            if count >= _BLOCK and len(piece) >= _SHORT:
                yield b"".join(pieces)
                pieces, count = [], 0
            pieces.append(piece)
            count += len(piece)
    yield b"".join(pieces)


def _last(width: int, height: int, interlaced: bool) -> codec.IntBox:
    """Return the box of the pixels that are decoded last: the last row, or the last pass of Adam7 (section 8.2)."""
    if not interlaced:
        return 0, height - 1, width, height
    if height > 1:
        row = height // 2 * 2 - 1
        return 0, row, width, row + 1
    column = max(0, width // 2 * 2 - 1)
    return column, 0, column + 1, 1
