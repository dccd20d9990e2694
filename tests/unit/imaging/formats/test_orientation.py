"""image_pipeline.imaging.formats.orientation"""

import pytest

from image_pipeline.imaging.formats.orientation import orientation_and_camera
from image_pipeline.imaging.reader import Reader
from tests.corpus import exif, quarters, saved


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_invalid_orientation_is_ignored(orientation):
    """An invalid orientation in EXIF is ignored."""
    data = saved(quarters(), "JPEG", exif=exif(t0x0112=orientation))
    assert orientation_and_camera(Reader.of(data)) == (1, False)


def test_the_maker_identifies_a_photograph():
    """An image is treated as a photograph if EXIF names a camera maker."""
    data = saved(quarters(), "JPEG", exif=exif(t0x0112=6, t0x010F="Kamera"))
    assert orientation_and_camera(Reader.of(data)) == (6, True)


def test_an_image_without_exif_is_upright():
    """No EXIF means orientation 1 and no camera."""
    assert orientation_and_camera(Reader.of(saved(quarters(), "JPEG"))) == (1, False)
