"""A file-like view of selected parts of a file, for decoders that must not see the rest. It copies nothing."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterable


class PartStream:
    """Reads parts as if they were one file."""

    def __init__(self, parts: Iterable[bytes | memoryview]) -> None:
        self._parts = [memoryview(part) for part in parts if len(part)]
        self._starts = []
        size = 0
        for part in self._parts:
            self._starts.append(size)
            size += len(part)
        self._size = size
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        """Return at most `count` bytes; all remaining bytes if it is negative."""
        end = self._size if count < 0 else min(self._size, self._at + count)
        out = []
        while self._at < end:
            index = bisect_right(self._starts, self._at) - 1
            start = self._at - self._starts[index]
            piece = self._parts[index][start : start + end - self._at]
            out.append(piece)
            self._at += len(piece)
        return bytes(out[0]) if len(out) == 1 else b"".join(out)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position, as in any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._at
