"""Read numbers of any width in bits, as video codecs write them."""

from __future__ import annotations

from image_pipeline.imaging.reader import CutOffError


class Bits:
    """A bit stream that starts at the most significant bit of the first byte.

    Raises:
        CutOffError: by every method, if too few bits remain.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._remaining = 8 * len(data)

    def take(self, count: int = 1) -> int:
        """Read an unsigned integer of `count` bits."""
        if count > self._remaining:
            raise CutOffError("the header of its coded image is cut off")
        self._remaining -= count
        return self._value >> self._remaining & ((1 << count) - 1)

    def exponential(self) -> int:
        """Read an unsigned Exp-Golomb number: ue(v) of H.265, 9.2; uvlc() of AV1, 4.10.3."""
        zeros = 0
        while not self.take():
            zeros += 1
            if zeros > 32:
                raise CutOffError("the header of its coded image is damaged")
        return (1 << zeros) - 1 + self.take(zeros)
