"""Read the parts of a GIF that determine a frame, usually the first one (GIF89a specification)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from image_pipeline.imaging.reader import BrokenContainerError, Budget, BudgetExceededError, Reader

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
GRAPHIC_CONTROL = 0xF9
_CODE_SIZES = range(2, 9)

_SUB_BLOCKS_PER_READ = 32
"""Sub-blocks that are skipped for one read of the budget; only their lengths are read."""


@dataclass(frozen=True)
class Gif:
    """The parts of a GIF."""

    width: int
    """Pixels of the canvas: the logical screen, enlarged to contain the first frame."""
    height: int
    """Pixels of the canvas."""
    left: int
    """Position of the first frame on the canvas."""
    top: int
    """Position of the first frame on the canvas."""
    frame_width: int
    """Pixels."""
    frame_height: int
    """Pixels."""
    interlaced: bool
    palette: bytes
    """Red, green and blue of each entry that the first frame uses."""
    transparent: int | None
    """The transparent entry of the palette."""
    code_size: int
    """Bits of the smallest LZW code."""
    data_start: int
    """Offset of the sub-blocks of the first frame."""
    frames: int
    """Number of frames; 1 if the file is fetched in parts, because counting would read all of it."""


def gif(reader: Reader) -> Gif:
    """Read the parts of a GIF.

    Raises:
        BrokenContainerError: the first frame or a part of it is missing.
    """
    return reader.once(_parse)


def _parse(reader: Reader) -> Gif:
    screen = reader.take(6, 7)
    table, at = colour_table(reader, 13, screen[4])
    at, transparent = _first_image(reader, at)
    first = read_frame(reader, at, table, transparent)
    if not first.frame_width or not first.frame_height:
        raise BrokenContainerError(f"its first frame has {first.frame_width} × {first.frame_height} pixels")
    return replace(
        first,
        width=max(int.from_bytes(screen[:2], "little"), first.width),
        height=max(int.from_bytes(screen[2:4], "little"), first.height),
        frames=_count_frames(reader.data, first.data_start, reader.budget) if reader.in_memory else 1,
    )


def read_frame(reader: Reader, at: int, table: bytes, transparent: int | None) -> Gif:
    """Read one frame, on the smallest canvas that contains it.

    Args:
        reader: the file.
        at: offset of the image descriptor.
        table: the global colour table.
        transparent: the transparent entry of the palette.

    Raises:
        BrokenContainerError: the frame cannot be decoded.
    """
    descriptor = reader.take(at + 1, 9)
    left, top, width, height = (int.from_bytes(descriptor[i : i + 2], "little") for i in (0, 2, 4, 6))
    local, at = colour_table(reader, at + 10, descriptor[8])
    code_size = reader.number(at, 1)
    if code_size not in _CODE_SIZES:
        raise BrokenContainerError(f"its LZW codes have {code_size} bits")
    return Gif(
        width=left + width,
        height=top + height,
        left=left,
        top=top,
        frame_width=width,
        frame_height=height,
        interlaced=bool(descriptor[8] & 0x40),
        palette=local or table,
        transparent=transparent,
        code_size=code_size,
        data_start=at + 1,
        frames=1,
    )


def colour_table(reader: Reader, at: int, flags: int) -> tuple[bytes, int]:
    """Return a colour table, empty if the flags declare none, and the offset after it."""
    length = 3 << (flags & 7) + 1 if flags & 0x80 else 0
    return reader.take(at, length), at + length


def _first_image(reader: Reader, at: int) -> tuple[int, int | None]:
    """Return the offset of the first image, and the transparent entry of the last graphic control before it."""
    transparent = None
    while (kind := reader.number(at, 1)) != IMAGE:
        if kind == TRAILER:
            raise BrokenContainerError("it has no frame")
        if kind != EXTENSION:
            raise BrokenContainerError(f"it has an unknown block {kind:#04x} at byte {at}")
        if reader.number(at + 1, 1) == GRAPHIC_CONTROL:
            control = reader.take(at + 2, 5)
            transparent = control[4] if control[0] >= 4 and control[1] & 1 else None
        at += 2
        while length := reader.number(at, 1):
            at += 1 + length
        at += 1
    return at, transparent


def _count_frames(data: bytes, at: int, budget: Budget) -> int:
    """Count the frames, including the first one, whose sub-blocks start at `at`; stop when the budget is spent."""
    frames = 1
    try:
        while True:
            at = sub_blocks_end(data, at, budget)
            if data[at] == IMAGE:
                flags = data[at + 9]
                at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
                frames += 1
            elif data[at] == EXTENSION:
                at += 2
            else:
                return frames
    except (IndexError, BudgetExceededError):
        return frames


def sub_blocks_end(data: bytes, at: int, budget: Budget) -> int:
    """Return the offset after the sub-blocks that start at `at`.

    Raises:
        IndexError: the data ends before.
        BudgetExceededError: the budget is spent.
    """
    while True:
        budget.spend(0)
        for _ in range(_SUB_BLOCKS_PER_READ):
            length = data[at]
            at += 1 + length
            if not length:
                return at
