"""image_pipeline.imaging.containers.hevc"""

import pytest

from image_pipeline.imaging.containers.hevc import configuration, content
from image_pipeline.imaging.reader import BrokenContainerError, Reader
from tests.corpus import HERE
from tests.corpus import heif as corpus
from tests.corpus.heif import hevc

CASES = HERE / "cases"


def sequences(data):
    """The sequence parameter sets in the first `hvcC` box of a file."""
    return configuration(Reader.of(corpus.property_of(data, b"hvcC")[8:])).sequences


@pytest.mark.parametrize(
    ("path", "size", "bits", "chroma"),
    [
        (HERE / "turned-1.heic", (240, 160), 8, 2),
        (HERE / "deep.heic", (240, 160), 10, 2),
        (CASES / "c1_50x40.heic", (64, 64), 8, 0.5),
        (CASES / "c3_crop_150x202.heic", (302, 202), 8, 0.5),
        (HERE / "parts" / "half-subsampled.heic", (120, 80), 8, 1),
        (HERE / "parts" / "half.heic", (120, 80), 8, 0),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_sequence_parameter_sets(path, size, bits, chroma):
    """Size, depth and sampling equal those that x265 wrote."""
    (sequence,) = sequences(path.read_bytes())
    assert (sequence.size, sequence.bits, sequence.chroma) == (size, bits, chroma)


def test_parameter_sets_in_an_item_are_read():
    """A decoder uses them, too."""
    data = corpus.nal(corpus.sequence_set(4000, 3000)) + hevc().data
    inside = content(Reader.of(data), 4)
    assert [sequence.size for sequence in inside.sequences] == [(4000, 3000)]
    assert inside.slices == 1


@pytest.mark.parametrize("data", [b"", corpus.nal(b"\x46\x01\xff"), hevc().data * 2])
def test_an_item_contains_one_image(data):
    """An item without an image, or with two, is rejected."""
    with pytest.raises(BrokenContainerError, match="coded images"):
        content(Reader.of(data), 4)


def test_other_layers_are_ignored():
    """The decoder ignores them as well."""
    other = bytearray(hevc().data)
    other[5] |= 8  # nuh_layer_id 1
    assert content(Reader.of(hevc().data + bytes(other)), 4).slices == 1


@pytest.mark.parametrize("length", range(5, 45, 4))
def test_cut_items_are_errors(length):
    """NAL units and parameter sets that are cut off are detected."""
    with pytest.raises(BrokenContainerError):
        content(Reader.of(hevc().data[:length]), 4)
    with pytest.raises(BrokenContainerError):
        configuration(Reader.of(hevc().properties[0][8 : 8 + length]))
