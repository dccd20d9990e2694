"""Numbers of any count of bits, as video codecs write them."""

from __future__ import annotations

from image_pipeline.imaging.reader import CutOffError


class Bits:
    """Bits from the most significant one of the first byte on.

    Raises:
        CutOffError: by every method, when there are not enough of them.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int = 1) -> int:
        """An unsigned integer of `count` bits."""
        if count > self._left:
            raise CutOffError("the head of its coded picture is cut off")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def exponential(self) -> int:
        """An unsigned Exp-Golomb number: ue(v) of H.265, 9.2; uvlc() of AV1, 4.10.3."""
        zeros = 0
        while not self.take():
            zeros += 1
            if zeros > 32:
                raise CutOffError("the head of its coded picture is damaged")
        return (1 << zeros) - 1 + self.take(zeros)
