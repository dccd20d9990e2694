"""image_pipeline.pauses"""

from itertools import islice

from image_pipeline import pauses


def test_pauses_grow_up_to_the_longest():
    """The first reads follow quickly, and later ones cost little."""
    assert list(islice(pauses.growing(0.5, 2.0, 1.5), 6)) == [0.5, 0.75, 1.125, 1.6875, 2.0, 2.0]
