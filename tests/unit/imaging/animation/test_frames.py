"""image_pipeline.imaging.animation.frames"""

import pytest

from image_pipeline.imaging.animation.frames import shown_milliseconds


@pytest.mark.parametrize(
    ("stored", "shown"),
    [(0, 100), (10, 100), (11, 11), (100, 100), (655_350, 655_350), (65_535_000, 0xFF_FFFF)],
)
def test_frames_have_the_times_of_browsers(stored, shown):
    """Up to 10 ms means 100 ms; a time that the 24 bits of a WebP cannot store becomes the longest one."""
    assert shown_milliseconds(stored) == shown
