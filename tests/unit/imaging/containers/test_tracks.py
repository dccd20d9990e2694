"""image_pipeline.imaging.containers.tracks"""

import pytest

from image_pipeline.imaging.containers.heif import main_boxes
from image_pipeline.imaging.containers.tracks import image_tracks
from image_pipeline.imaging.reader import BrokenContainerError, Reader
from tests.corpus import SIZE
from tests.corpus import heif as corpus


def tracks(data):
    """The tracks of a file."""
    return list(image_tracks(main_boxes(Reader.of(data))[b"moov"]))


def test_a_sequence_has_a_track_of_images_and_one_of_alpha():
    """Each track has the location of its first image."""
    colours, alpha = tracks(corpus.sequence(alpha=True))
    assert (colours.handler, colours.kind, colours.size, colours.samples) == (b"pict", b"av01", SIZE, 3)
    assert (alpha.handler, alpha.auxiliary_of) == (b"auxv", (colours.number,))
    assert {entry.kind for entry in colours.properties} >= {b"av1C", b"colr"}
    assert colours.first != alpha.first


@pytest.mark.parametrize("kind", [b"mdia", b"stbl", b"stsd", b"stsz", b"stco", b"tkhd"])
def test_a_track_without_its_tables_is_broken(kind):
    """The message names the missing table; an image with a primary item is still decoded."""
    data = corpus.sequence(kind)
    with pytest.raises(BrokenContainerError, match=kind.decode()):
        tracks(data)
