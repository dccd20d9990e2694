"""GIF files from parts, in any combination, valid or not (GIF89a specification)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from image_pipeline.errors import CorruptImageError
from tests.corpus import HOLE, SIZE, Bad, Good
from tests.corpus import QUARTERS as COLOURS

QUARTERS = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255))
"""A colour table of the four quarters' colours."""
NETSCAPE = b"\x21\xff\x0bNETSCAPE2.0"


def quarters(width: int, height: int) -> bytes:
    """Indices of the four quarters."""
    return bytes(2 * (2 * y >= height) + (2 * x >= width) for y in range(height) for x in range(width))


def lzw(indices: bytes, bits: int) -> bytes:
    """The code size and the codes, before they are divided into sub-blocks."""
    clear, end = 1 << bits, (1 << bits) + 1
    codes: list[tuple[int, int]] = []
    table: dict[bytes, int] = {}
    width, following = bits + 1, end + 1

    def restart() -> None:
        nonlocal table, width, following
        codes.append((clear, width))
        table = {bytes((value,)): value for value in range(clear)}
        width, following = bits + 1, end + 1

    restart()
    word = b""
    for at in range(len(indices)):
        longer = word + indices[at : at + 1]
        if longer in table:
            word = longer
            continue
        codes.append((table[word], width))
        table[longer] = following
        if following == 1 << width and width < 12:
            width += 1
        following += 1
        if following == 4095:
            restart()
        word = indices[at : at + 1]
    if word:
        codes.append((table[word], width))
        if following == 1 << width and width < 12:
            width += 1
    codes.append((end, width))
    value = shift = 0
    for code, size in codes:
        value |= code << shift
        shift += size
    return bytes((bits,)) + value.to_bytes((shift + 7) // 8, "little")


def blocks(data: bytes, size: int = 255) -> bytes:
    """Sub-blocks of at most `size` bytes, and the empty one that ends them."""
    parts = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def table(colours: bytes) -> tuple[int, bytes]:
    """Size field and padded colour table."""
    field = max(0, (len(colours) // 3 - 1).bit_length() - 1)
    return field, colours.ljust(3 << field + 1, b"\0")


def control(transparent: int | None = None, disposal: int = 0, delay: int = 0) -> bytes:
    """A graphic control extension."""
    flags = disposal << 2 | (transparent is not None)
    return b"\x21\xf9\x04" + struct.pack("<BHB", flags, delay, transparent or 0) + b"\0"


def extension(label: int, *payloads: bytes) -> bytes:
    """Any other extension."""
    return bytes((0x21, label)) + b"".join(bytes((len(payload),)) + payload for payload in payloads) + b"\0"


def frame(
    box: tuple[int, int, int, int],
    indices: bytes | None = None,
    *,
    bits: int = 2,
    colours: bytes = b"",
    interlaced: bool = False,
    data: bytes | None = None,
    size: int = 255,
) -> bytes:
    """An image descriptor with its colour table and pixels.

    Args:
        box: (left, top, width, height).
        indices: pixels; the four quarters if None.
        bits: smallest code size.
        colours: a local colour table.
        interlaced: whether rows are stored in four passes.
        data: code size and codes, instead of those for `indices`.
        size: bytes of a sub-block.
    """
    _, _, width, height = box
    indices = quarters(width, height) if indices is None else indices
    if interlaced:
        rows = [indices[at : at + width] for at in range(0, len(indices), width)] if width else []
        indices = b"".join(row for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for row in rows[start::step])
    field, local = table(colours) if colours else (0, b"")
    flags = bool(colours) << 7 | interlaced << 6 | field
    coded = lzw(indices, bits) if data is None else data
    head = b"\x2c" + struct.pack("<HHHHB", *box, flags)
    return head + local + coded[:1] + blocks(coded[1:], size)


def gif(
    size: tuple[int, int],
    parts: Iterable[bytes] | None = None,
    colours: bytes = QUARTERS,
    *,
    background: int = 0,
    version: bytes = b"89a",
    end: bytes = b";",
) -> bytes:
    """A whole file; without parts, its only frame has the four quarters."""
    field, globals_ = table(colours) if colours else (0, b"")
    screen = struct.pack("<HHBBB", *size, bool(colours) << 7 | 0x70 | field, background, 0)
    parts = (frame((0, 0, *size)),) if parts is None else parts
    return b"GIF" + version + screen + globals_ + b"".join(parts) + end


_BOX = (0, 0, *SIZE)

GOOD: tuple[Good, ...] = (
    Good("GIF interlaced", lambda: gif(SIZE, [frame(_BOX, interlaced=True)]), "GIF"),
    Good("GIF with a local table", lambda: gif(SIZE, [frame(_BOX, colours=QUARTERS)], b"\0" * 12), "GIF"),
    Good("GIF with a screen that is too small", lambda: gif((9, 9), [frame(_BOX)]), "GIF"),
    Good("GIF with a screen of no size", lambda: gif((0, 0), [frame(_BOX)]), "GIF"),
    Good(
        "GIF whose first frame lacks the last quarter",
        lambda: gif(SIZE, [control(3), frame(_BOX), frame(_BOX, bytes(SIZE[0] * SIZE[1]))]),
        "GIF",
        (*COLOURS[:3], HOLE),
        frames=2,
    ),
)

BAD: tuple[Bad, ...] = (
    Bad(
        "GIF of fewer pixels than its frame",
        lambda: gif(SIZE, [frame(_BOX, quarters(*SIZE)[: -SIZE[0]])]),
        CorruptImageError,
        "GIF",
        False,
    ),
    Bad("GIF with a frame of no height", lambda: gif(SIZE, [frame((0, 0, 240, 0), b"")]), CorruptImageError, "240 × 0"),
)
