"""Segments, headers and pixels of JPEG."""

import pytest

from image_pipeline.imaging.containers.jpeg import count_scans, segments
from image_pipeline.imaging.reader import Reader
from tests.corpus import exif, many_scans, quarters, saved


def test_jpeg_segments_end_with_the_first_scan():
    """What follows is pixels, not structure."""
    found = list(segments(Reader.of(saved(quarters(), "JPEG"))))
    assert [segment.marker for segment in found][-1] == 0xDA
    assert 0xC0 in [segment.marker for segment in found]


@pytest.mark.parametrize("count", [1, 99, 100])
def test_jpeg_scans_are_counted(count):
    """Exactly, up to the limit."""
    data = many_scans(count)
    own = many_scans(0).count(b"\xff\xda")
    assert count_scans(data, 1000) == count + own
    assert count_scans(data, 3) == 4


def test_scans_of_thumbnails_and_second_pictures_do_not_count():
    """Only the picture that is decoded costs time."""
    thumbnail = exif(t0x010E="\xff\xda" * 300)
    data = saved(quarters(), "JPEG", exif=thumbnail) + many_scans(300)
    assert data.count(b"\xff\xda") > 300
    assert count_scans(data, 100) == 1
