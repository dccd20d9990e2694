"""image_pipeline.imaging.formats.header"""

import pytest

from image_pipeline.imaging.formats.header import Header, draft_scale
from image_pipeline.imaging.formats.limits import FORMATS


@pytest.mark.parametrize("image_format", sorted(FORMATS))
def test_memory_is_a_limit_of_its_own(image_format):
    """What a decoder would take is compared with what the function has."""
    header = Header(image_format, 8000, 6000, "RGB")
    memory = header.predicted_memory(2048)
    assert 0 < memory < 1_000_000_000
    assert Header(image_format, 16000, 12000, "RGB").predicted_memory(2048) > memory * 0.9


def test_progressive_jpeg_counts_its_coefficients():
    """Such a decoder holds the whole picture whatever size is wanted."""
    plain, progressive = (Header("JPEG", 8000, 6000, "RGB", progressive=each) for each in (False, True))
    assert progressive.predicted_memory(1600) - plain.predicted_memory(1600) == 8000 * 6000 * 3 * 2


@pytest.mark.parametrize(
    ("reduction", "camera", "scale"),
    [(1, True, 1), (2.4, True, 1), (2.5, True, 2), (2.9, False, 1), (3, False, 2), (5, True, 4), (99, False, 8)],
)
def test_draft_scale_leaves_the_last_step_to_lanczos(reduction, camera, scale):
    """Photographs keep a margin of 1.25, drawings of 1.5."""
    assert draft_scale(reduction, camera) == scale
