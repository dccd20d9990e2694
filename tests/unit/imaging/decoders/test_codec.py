"""image_pipeline.imaging.decoders.codec"""

import zlib

import pytest

from image_pipeline.imaging.decoders import codec

ROWS = b"".join(b"\0" + bytes((row,)) * 6 for row in range(4))


def decoded(raw, blocks=None, mode="L", size=(6, 4)):
    """The rows of a PNG."""
    packed = zlib.compress(raw)
    return codec.decode("zip", ("L", 0), mode, size, lambda: iter(blocks or [packed]), (0, size[1] - 1, *size))


def test_a_complete_image_is_decoded():
    """The image is decoded from the blocks alone."""
    assert decoded(ROWS).tobytes() == bytes(row for row in range(4) for _ in range(6))


@pytest.mark.parametrize("rows", range(4))
def test_missing_rows_are_noticed(rows):
    """Missing rows are detected, even if the codec reports no error."""
    with pytest.raises((ValueError, OSError), match="truncated"):
        decoded(ROWS[: 7 * rows])


@pytest.mark.parametrize("value", range(0, 256, 7))
def test_a_last_row_of_any_colour_is_accepted(value):
    """The decoder draws on two canvases of different colours, which are compared."""
    raw = ROWS[:21] + b"\0" + bytes((value,)) * 6
    assert decoded(raw).tobytes()[-6:] == bytes((value,)) * 6


def test_the_data_is_read_again_for_the_second_canvas():
    """The second attempt reads the data from its start."""
    starts = []

    def blocks():
        starts.append(1)
        yield zlib.compress(ROWS[:21] + b"\0" + bytes((codec._INKS[0],)) * 6)

    image = codec.decode("zip", ("L", 0), "L", (6, 4), blocks, (0, 3, 6, 4))
    assert image.tobytes()[-6:] == bytes((codec._INKS[0],)) * 6
    assert len(starts) == 2
