"""image_pipeline.imaging.containers.bits"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_pipeline.imaging.containers.bits import Bits
from image_pipeline.imaging.reader import CutOffError


def test_bits_come_from_the_most_significant_one():
    """Bits are read from the most significant one, as in video codecs."""
    bits = Bits(b"\xa5\x0f")
    assert [bits.take(), bits.take(3), bits.take(8), bits.take(0), bits.take(4)] == [1, 2, 0x50, 0, 15]
    with pytest.raises(CutOffError):
        bits.take()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 2))
def test_exponential_numbers(value):
    """Exp-Golomb numbers are read as defined in H.265, 9.2."""
    digits = f"{value + 1:b}"
    text = "0" * (len(digits) - 1) + digits
    data = int(text.ljust(80, "1"), 2).to_bytes(10, "big")
    assert Bits(data).exponential() == value


@pytest.mark.parametrize("data", [b"", b"\0\0", bytes(20)])
def test_numbers_without_an_end_are_errors(data):
    """A number that consists only of zeros is an error."""
    with pytest.raises(CutOffError):
        Bits(data).exponential()
