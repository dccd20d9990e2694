"""image_pipeline.imaging.formats.header"""

from dataclasses import replace

import pytest

from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header, draft_scale
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from tests.corpus import GOOD, png


def test_memory_is_predicted_from_the_coded_pixels():
    """The decoder keeps all coded pixels in memory, even if fewer are displayed."""
    whole = Header("HEIF", 100, 50, "RGB", bytes_per_pixel=10)
    assert whole.predicted_memory(2048) - replace(whole, bytes_per_pixel=9).predicted_memory(2048) == 5_000
    assert replace(whole, width=10, coded_pixels=5000).predicted_memory(2048) == whole.predicted_memory(2048)


@pytest.mark.parametrize(("mode", "pixel_bytes"), [("L", 1), ("RGB", 4), ("RGBA", 4)])
def test_memory_includes_the_first_reduction(mode, pixel_bytes):
    """Besides the pixels, the resizer needs them at half the width, and the reduction is copied once."""
    header = Header("PNG", 4000, 3000, mode)
    assert header.predicted_memory(2000) == pixel_bytes * (12_000_000 + 6_000_000 + 2 * 3_000_000)
    assert header.predicted_memory(4000) == pixel_bytes * (12_000_000 + 2 * 12_000_000)


@pytest.mark.parametrize(("side", "measured"), [(3000, 7.6), (2727, 7.1), (2000, 4.5), (300, 2)])
def test_memory_of_a_png_includes_the_copy_of_a_large_rendition(side, measured):
    """Decoding an opaque PNG for a rendition of its own size takes half as much again as for a small one.

    The prediction is also that of Pillow, which decodes what libvips rejects.
    """
    data = png((3000, 3000), 8, 2, bytes(1 + 3 * 3000) * 3000)
    predicted = admit(Reader.of(data), Limits()).predicted_memory(side) / 9e6
    assert max(5, measured) <= predicted <= measured + 9


def test_every_kind_has_a_prediction():
    """Every kind of file has a predicted memory."""
    for case in GOOD:
        assert admit(Reader.of(case.make()), Limits()).predicted_memory(2048) >= 240 * 160 * 0.1, case


def test_progressive_jpeg_counts_its_coefficients():
    """The decoder of a progressive JPEG keeps all coefficients, whatever the target size."""
    plain, progressive = (Header("JPEG", 8000, 6000, "RGB", several_scans=several) for several in (False, True))
    assert progressive.predicted_memory(1600) - plain.predicted_memory(1600) == 8000 * 6000 * 3 * 2


@pytest.mark.parametrize(
    ("reduction", "photograph", "scale"),
    [
        (1, True, 1),
        (2.4, True, 1),
        (2.5, True, 2),
        (2.9, False, 1),
        (3, False, 2),
        (5, True, 2),
        (6, True, 4),
        (99, False, 8),
    ],
)
def test_draft_scale_leaves_the_last_step_to_lanczos(reduction, photograph, scale):
    """At half the size, photographs keep a margin of 1.25; otherwise it is 1.5."""
    assert draft_scale(reduction, photograph) == scale


@pytest.mark.parametrize(("orientation", "shown"), [(1, (30, 20)), (4, (30, 20)), (5, (20, 30)), (8, (20, 30))])
def test_a_quarter_turn_swaps_the_sides(orientation, shown):
    """Orientations from 5 on are turned by 90 degrees."""
    header = Header.stored("JPEG", 30, 20, "RGB", orientation=orientation)
    assert (header.width, header.height) == shown
    assert header.stored_size == (30, 20)
