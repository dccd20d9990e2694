"""image_pipeline.imaging.pixels"""

import pytest
from PIL import Image

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import apply_palette, check_size

TURNED = Header("TIFF", 20, 30, "RGB", orientation=6)


def test_sizes_are_compared_as_stored_or_as_displayed():
    """A decoder that applies the orientation reports the displayed size."""
    check_size((30, 20), TURNED)
    check_size((20, 30), TURNED, upright=True)


@pytest.mark.parametrize(("size", "upright"), [((20, 30), False), ((30, 20), True), ((31, 20), False)])
def test_another_size_is_rejected(size, upright):
    """The limits and the predicted memory apply only to the admitted size."""
    with pytest.raises(CorruptImageError, match="contradicts itself"):
        check_size(size, TURNED, upright=upright)


@pytest.mark.parametrize(
    ("alpha", "mode", "pixels"),
    [
        (b"", "RGB", b"\1\2\3\4\5\6\0\0\0"),
        (b"\x80", "RGBA", b"\1\2\3\x80\4\5\6\xff\0\0\0\xff"),
        (b"\xff\0\x10", "RGBA", b"\1\2\3\xff\4\5\6\0\0\0\0\x10"),
    ],
)
def test_palettes_give_colour_and_opacity(alpha, mode, pixels):
    """Missing palette entries are black, and entries without alpha are opaque."""
    indices = Image.new("P", (3, 1))
    indices.putdata([0, 1, 2])
    image = apply_palette(indices, b"\1\2\3\4\5\6", alpha)
    assert (image.mode, image.tobytes()) == (mode, pixels)
