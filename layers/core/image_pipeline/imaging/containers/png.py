"""Read the parts of a PNG that determine its image (PNG 3rd edition, W3C 2025).

The chunks are parsed once; admission, metadata and decoder share the result. A damaged ancillary chunk is ignored.
After a wrong length, the parser searches for the next intact chunk.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.containers.chunks import Chunk
from image_pipeline.imaging.reader import BrokenContainerError, BudgetExceededError, CutOffError, Reader

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
"""Samples of a pixel, by colour type."""
_BITS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}

HEADER_END = 33
"""Offset of the end of the header, IHDR, which is the first chunk."""
_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_ONCE = frozenset({b"IHDR", b"PLTE"})
"""Critical chunks, which may occur only once. Of ancillary chunks of one kind, the first is used, as in libpng and
Chromium."""
_KEPT = frozenset({b"PLTE", b"tRNS", b"acTL", b"IDAT", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"})
_TEXTS = frozenset({b"tEXt", b"zTXt"})
_MOST_TEXTS = 100

_MOST_LENGTH = 2**31 - 1
"""Largest length of a chunk (section 5.3)."""
_LONGEST_TRANSPARENCY = 256
_LEAST_FRAME_BYTES = 38
"""Bytes of an fcTL chunk, which every frame of an animation has."""
_MOST_AFTER_PIXELS = 10_000
"""Chunks after the pixels that are read; none of them is needed."""

_SEARCH_BYTES = 256 * 1024
"""Bytes that are searched for the next intact chunk."""
_LANDMARKS = re.compile(rb"PLTE|tRNS|IDAT|cICP|iCCP|sRGB|gAMA|cHRM|eXIf|acTL")
_MOST_CANDIDATES = 20


@dataclass(frozen=True)
class Png:
    """The parts of a PNG."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    bits: int
    """Bits per sample."""
    colour_type: int
    """`GREY`, `RGB`, `PALETTE`, `GREY_ALPHA` or `RGBA`."""
    interlaced: bool
    palette: bytes
    """Red, green and blue of each entry; empty for other colour types."""
    transparency: bytes
    """Payload of tRNS: alpha of the palette's entries, or the samples of the transparent colour; empty if the image is
    opaque."""
    frames: int
    """Frames that an APNG declares; else 1."""
    chunks: dict[bytes, Chunk]
    """The first chunk of each relevant kind."""
    texts: tuple[Chunk, ...]
    """The first tEXt and zTXt chunks."""
    pixels: tuple[tuple[int, int], ...]
    """(start, length) of the image data; empty if the file is fetched in parts."""
    has_end: bool
    """Whether the file has its end marker, or was not read that far."""
    warnings: tuple[str, ...]
    """Messages for the user about ignored parts."""

    @property
    def is_plain(self) -> bool:
        """Whether it is one of the most frequent kinds: grey, RGB or RGBA of 8 bits, row by row."""
        frequent = self.bits == 8 and self.colour_type in (GREY, RGB, RGBA)
        return frequent and not self.interlaced and not self.transparency


def png(reader: Reader) -> Png:
    """Read the parts of a PNG.

    Raises:
        UnsupportedFormatError: it needs an unsupported feature.
        BrokenContainerError: an essential part is missing, damaged or duplicated.
    """
    return reader.once(_parse)


def payload(reader: Reader, chunk: Chunk | None) -> bytes | None:
    """Return the payload of a chunk; None if there is no chunk or its checksum is wrong.

    Raises:
        CutOffError, BudgetExceededError: as `Reader.take`.
    """
    if chunk is None:
        return None
    data = reader.take(chunk.start, chunk.length + 4)
    is_intact = zlib.crc32(data[:-4], zlib.crc32(chunk.kind)) == int.from_bytes(data[-4:], "big")
    return data[:-4] if is_intact else None


def exif_block(reader: Reader) -> Reader | None:
    """Return the EXIF block of eXIf, else of a text chunk as written by ImageMagick; None if there is none.

    Raises:
        BrokenContainerError: as `png`.
    """
    return reader.once(_exif_block)


# Chunks ---------------------------------------------------------------------------------------------------------------


def _parse(reader: Reader) -> Png:
    width, height, bits, colour_type, interlaced = _header(reader)
    chunks: dict[bytes, Chunk] = {}
    texts: list[Chunk] = []
    for chunk in _until_pixels(reader):
        if chunk.kind in _ONCE and chunk.kind in {b"IHDR", *chunks}:
            raise BrokenContainerError(f"it has two {chunk.kind.decode()} chunks")
        if chunk.kind in _KEPT:
            chunks.setdefault(chunk.kind, chunk)
        elif chunk.kind in _TEXTS and len(texts) < _MOST_TEXTS:
            texts.append(chunk)
    palette = _palette(reader, chunks.get(b"PLTE"), bits) if colour_type == PALETTE else b""
    transparency, warnings = _transparency(reader, chunks, colour_type, palette)
    pixels: tuple[tuple[int, int], ...] = ()
    has_end = True
    if reader.in_memory:
        pixels = tuple(_pixels(reader, chunks[b"IDAT"]))
        has_end = _read_after_pixels(reader, sum(pixels[-1]) + 4, chunks, texts)
    return Png(
        width, height, bits, colour_type, interlaced, palette, transparency, _frames(reader, chunks.get(b"acTL")),
        chunks, tuple(texts), pixels, has_end, warnings,
    )  # fmt: skip


def _header(reader: Reader) -> tuple[int, int, int, int, bool]:
    """Read (width, height, bits, colour type, interlaced)."""
    head = Chunk(reader.take(12, 4), 16, reader.number(8, 4))
    if head.kind == b"CgBI":
        raise UnsupportedFormatError(
            "The content is Apple's variant of PNG (CgBI), which only Apple's software can read.",
            "Export the image as an ordinary PNG and upload it.",
        )
    if head.kind != b"IHDR" or head.length != 13:
        raise BrokenContainerError("its first chunk is not IHDR")
    data = payload(reader, head)
    if data is None:
        raise BrokenContainerError("the checksum of its IHDR chunk is wrong")
    bits, colour_type, *methods = data[8:]
    if bits not in _BITS.get(colour_type, ()):
        raise BrokenContainerError(f"it has {bits} bits per sample with colour type {colour_type}")
    if methods not in ([0, 0, 0], [0, 0, 1]):
        compression, filtering, interlacing = methods
        raise BrokenContainerError(
            f"it has compression method {compression}, filter method {filtering} and interlace method {interlacing}"
        )
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big"), bits, colour_type, bool(methods[2])


def _until_pixels(reader: Reader) -> Iterator[Chunk]:
    """Yield the chunks after the header, up to and including the first IDAT."""
    at = HEADER_END
    chunk = None
    while chunk is None or chunk.kind != b"IDAT":
        search_start = chunk.start if chunk else at
        chunk = _chunk_at(reader, at)
        if chunk is None or not _is_possible(reader, chunk):
            chunk = _next_intact(reader, search_start)
        if chunk.kind == b"IEND":
            raise BrokenContainerError("it has no pixels")
        yield chunk
        at = chunk.end + 4


def _chunk_at(reader: Reader, at: int) -> Chunk | None:
    """Return the chunk that starts at an offset; None if the bytes there cannot start a chunk."""
    head = reader.up_to(at, 8) if at < reader.size else b""
    length = int.from_bytes(head[:4], "big")
    is_chunk = len(head) == 8 and head[4:].isalpha() and length <= _MOST_LENGTH
    return Chunk(head[4:], at + 8, length) if is_chunk else None


def _is_possible(reader: Reader, chunk: Chunk) -> bool:
    """Return whether this can be a chunk; if not, the length of the previous chunk is wrong."""
    if chunk.kind == b"IDAT":
        return True
    if chunk.end > reader.size:
        return False
    if chunk.kind in _CRITICAL or chunk.kind[0] & 0x20:  # a small letter: ancillary (section 5.4)
        return True
    if payload(reader, chunk) is None:
        return False
    raise UnsupportedFormatError(
        f"The PNG has the critical chunk {chunk.kind.decode()}, which is not part of the PNG standard.",
        "Export the image as an ordinary PNG and upload it.",
    )


def _next_intact(reader: Reader, at: int) -> Chunk:
    """Return the next intact chunk of a relevant kind.

    Raises:
        CutOffError: there is none within the searched bytes.
    """
    data = reader.up_to(at, _SEARCH_BYTES)
    for match, _ in zip(_LANDMARKS.finditer(data, 4), range(_MOST_CANDIDATES), strict=False):
        length = int.from_bytes(data[match.start() - 4 : match.start()], "big")
        chunk = Chunk(match[0], at + match.end(), length)
        if _is_intact(reader, chunk):
            return chunk
    raise CutOffError("it is cut off")


def _is_intact(reader: Reader, chunk: Chunk) -> bool:
    if chunk.kind == b"IDAT":  # may be as long as the file, so only the zlib header at its start is checked (RFC 1950)
        start = reader.up_to(chunk.start, min(chunk.length, 2))
        return len(start) == 2 and start[0] & 15 == 8 and int.from_bytes(start, "big") % 31 == 0
    return chunk.length < _SEARCH_BYTES and chunk.end + 4 <= reader.size and payload(reader, chunk) is not None


def _pixels(reader: Reader, first: Chunk) -> Iterator[tuple[int, int]]:
    """Yield (start, length) of the consecutive IDAT chunks."""
    chunk: Chunk | None = first
    while chunk is not None and chunk.kind == b"IDAT":
        yield chunk.start, min(chunk.length, reader.size - chunk.start)
        chunk = _chunk_at(reader, chunk.end + 4)


def _read_after_pixels(reader: Reader, at: int, chunks: dict[bytes, Chunk], texts: list[Chunk]) -> bool:
    """Collect EXIF and texts after the pixels; return False if the end marker is missing."""
    try:
        for _ in range(_MOST_AFTER_PIXELS):
            chunk = _chunk_at(reader, at)
            if chunk is None or chunk.end > reader.size:
                return False
            if chunk.kind == b"IEND":
                return True
            if chunk.kind == b"eXIf":
                chunks.setdefault(chunk.kind, chunk)
            elif chunk.kind in _TEXTS and len(texts) < _MOST_TEXTS:
                texts.append(chunk)
            at = chunk.end + 4
    except BudgetExceededError:
        pass  # the image is complete without these chunks
    return True


# Content of chunks ----------------------------------------------------------------------------------------------------


def _palette(reader: Reader, chunk: Chunk | None, bits: int) -> bytes:
    if chunk is None:
        raise BrokenContainerError("it has no palette")
    if not 3 <= chunk.length <= 3 * 256:
        raise BrokenContainerError(f"its palette has {chunk.length} bytes")
    data = payload(reader, chunk)
    if data is None:
        raise BrokenContainerError("the checksum of its PLTE chunk is wrong")
    return data[: min(len(data) // 3, 1 << bits) * 3]


def _transparency(
    reader: Reader, chunks: dict[bytes, Chunk], colour_type: int, palette: bytes
) -> tuple[bytes, tuple[str, ...]]:
    """Return the payload of tRNS, and a warning if it is damaged."""
    chunk = chunks.get(b"tRNS")
    if chunk is None or colour_type in (GREY_ALPHA, RGBA):
        return b"", ()
    size = len(palette) // 3 if colour_type == PALETTE else 2 * CHANNELS[colour_type]
    least = 0 if colour_type == PALETTE else size
    is_in_order = colour_type != PALETTE or chunk.start > chunks[b"PLTE"].start
    if is_in_order and least <= chunk.length <= _LONGEST_TRANSPARENCY:
        data = payload(reader, chunk)
        if data is not None:
            return data[:size], ()
    return b"", ("The transparency (tRNS) is damaged and was ignored.",)


def _frames(reader: Reader, chunk: Chunk | None) -> int:
    """Return the frames of an APNG; 1 if their number is damaged or larger than the bytes allow."""
    data = payload(reader, chunk) if chunk and chunk.length == 8 else None
    count = int.from_bytes(data[:4], "big") if data else 1
    return count if 0 < count <= reader.size // _LEAST_FRAME_BYTES else 1


# EXIF -----------------------------------------------------------------------------------------------------------------

_RAW_PROFILE = re.compile(rb"Raw profile type (?:exif|APP1)\x00", re.IGNORECASE)
_HEX = re.compile(rb"\n?[^\n]*\n\s*(\d+)\s([\s0-9a-fA-F]*)")
_LONGEST_RAW_PROFILE = 1024 * 1024
_INFLATION_COST = 3
_WHITESPACE = b" \t\n\r\x0b\x0c"
_PREFIX = b"Exif\x00\x00"


def _exif_block(reader: Reader) -> Reader | None:
    parts = png(reader)
    data = payload(reader, parts.chunks.get(b"eXIf"))
    if data is None:
        data = next((raw for text in parts.texts if (raw := _raw_profile(reader, text))), None)
    return Reader.of(data.removeprefix(_PREFIX), reader.budget) if data else None


def _raw_profile(reader: Reader, chunk: Chunk) -> bytes | None:
    """Decode EXIF that ImageMagick and exiv2 write as text: a name, the number of bytes, and hexadecimal digits."""
    keyword = _RAW_PROFILE.match(reader.up_to(chunk.start, min(chunk.length, 30)))
    if keyword is None or chunk.length > _LONGEST_RAW_PROFILE:
        return None
    text = (payload(reader, chunk) or b"")[keyword.end() :]
    if chunk.kind == b"zTXt":
        reader.budget.spend(_INFLATION_COST * len(text))  # before, because blocks of no output take time, too
        try:
            text = zlib.decompressobj().decompress(text[1:], _LONGEST_RAW_PROFILE)
        except zlib.error:
            reader.budget.spend(_LONGEST_RAW_PROFILE)  # as much may have been inflated before the error
            return None
        reader.budget.spend(len(text))
    match = _HEX.match(text)
    if match is None or len(match[1]) > 9:
        return None
    digits = match[2].translate(None, _WHITESPACE)[: 2 * int(match[1])]  # `split` would make an object for each word
    data = bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
    return data if data.startswith((_PREFIX, b"II", b"MM")) else None
