"""Read PNG chunks (PNG 3rd edition, section 5) and RIFF chunks (RFC 9649)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from image_pipeline.imaging.reader import Reader


@dataclass(frozen=True)
class Chunk:
    """One PNG or RIFF chunk."""

    kind: bytes
    """Four letters."""
    start: int
    """Offset of the payload."""
    length: int
    """Bytes of payload; the chunk may extend beyond the end of the file."""

    @property
    def end(self) -> int:
        """Offset of the end of the payload."""
        return self.start + self.length


def png_chunks(reader: Reader) -> Iterator[Chunk]:
    """Yield the chunks whose header is inside the file."""
    at = 8
    while at + 8 <= reader.size:
        head = reader.take(at, 8)
        length = int.from_bytes(head[:4], "big")
        yield Chunk(head[4:], at + 8, length)
        at += 12 + length


def riff_chunks(reader: Reader, start: int = 12) -> Iterator[Chunk]:
    """Yield the chunks whose header is inside the file."""
    at = start
    while at + 8 <= reader.size:
        head = reader.take(at, 8)
        length = int.from_bytes(head[4:], "little")
        yield Chunk(head[:4], at + 8, length)
        at += 8 + length + length % 2
