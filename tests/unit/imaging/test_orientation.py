"""image_pipeline.imaging.formats.orientation"""

import pytest

from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import Reader
from tests.corpus import exif, quarters, saved


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientation_counts_as_none(orientation):
    """EXIF that says nonsense leaves the image as it is stored."""
    data = saved(quarters(), "JPEG", exif=exif(t0x0112=orientation))
    assert orientation_and_camera(Reader.of(data)) == (1, False)


def test_a_maker_makes_a_camera():
    """An image is taken for a photograph when EXIF names a maker."""
    data = saved(quarters(), "JPEG", exif=exif(t0x0112=6, t0x010F="Kamera"))
    assert orientation_and_camera(Reader.of(data)) == (6, True)
