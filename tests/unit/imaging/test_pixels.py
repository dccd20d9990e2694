"""image_pipeline.imaging.pixels"""

import pytest

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.pixels import check_size

TURNED = Header("TIFF", 20, 30, "RGB", orientation=6)


def test_sizes_are_compared_as_stored_or_as_displayed():
    """A decoder that turns the picture itself has the sides of the displayed one."""
    check_size((30, 20), TURNED)
    check_size((20, 30), TURNED, upright=True)


@pytest.mark.parametrize(("size", "upright"), [((20, 30), False), ((30, 20), True), ((31, 20), False)])
def test_another_size_is_corrupt(size, upright):
    """Limits and predicted memory were judged by the admitted size."""
    with pytest.raises(CorruptImageError, match="contradicts itself"):
        check_size(size, TURNED, upright=upright)
