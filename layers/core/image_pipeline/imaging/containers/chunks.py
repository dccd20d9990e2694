"""PNG chunks (PNG 3rd edition, section 5) and RIFF chunks (RFC 9649)."""

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
    """Where the payload starts."""
    length: int
    """Bytes of payload; they may end after the file."""

    @property
    def end(self) -> int:
        """Where the payload ends."""
        return self.start + self.length


def png_chunks(reader: Reader) -> Iterator[Chunk]:
    """Chunks whose head lies inside the file."""
    at = 8
    while at + 8 <= reader.size:
        head = reader.take(at, 8)
        length = int.from_bytes(head[:4], "big")
        yield Chunk(head[4:], at + 8, length)
        at += 12 + length


def riff_chunks(reader: Reader, start: int = 12) -> Iterator[Chunk]:
    """Chunks whose head lies inside the file."""
    at = start
    while at + 8 <= reader.size:
        head = reader.take(at, 8)
        length = int.from_bytes(head[4:], "little")
        yield Chunk(head[:4], at + 8, length)
        at += 8 + length + length % 2
