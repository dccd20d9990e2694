"""image_pipeline.imaging.formats.heif_image"""

import pytest

from image_pipeline.errors import UnsupportedFormatError
from image_pipeline.imaging.formats.heif_image import read_image
from image_pipeline.imaging.reader import BrokenContainerError, Reader
from tests.corpus import SIZE
from tests.corpus import heif as corpus
from tests.corpus.heif import HeifFile, Item, av1, clap, grid, irot, ispe


def image_of(*items, **changes):
    """The image of a file of these items."""
    return read_image(Reader.of(HeifFile(items, **changes).data))


def test_the_primary_item_is_the_image():
    """Other content before or after it does not matter."""
    other = av1((9, 9, 9), (64, 64))
    assert image_of(other, av1(), other, primary=2).item.size == (120, 80)


def test_a_sequence_beside_the_image_is_only_counted():
    """The primary item is shown, and the frames of the sequence are counted."""
    heif_image = read_image(Reader.of(corpus.sequence()))
    assert (heif_image.item.number, heif_image.frames, heif_image.codec) == (1, 3, b"av01")
    assert read_image(Reader.of(corpus.sequence(b"meta"))).item.size == SIZE


def test_a_broken_sequence_does_not_reject_the_image():
    """The tables of a sequence matter only without a primary item."""
    assert read_image(Reader.of(corpus.sequence(b"stsd"))).frames == 1
    with pytest.raises(UnsupportedFormatError, match="video"):
        read_image(Reader.of(corpus.sequence(b"stsd", b"pitm")))


def test_tiles_and_their_alpha_belong_to_the_image():
    """Tiles and their alpha are listed in the order of the grid."""
    item = read_image(Reader.of(corpus.tiles_with_alpha("AVIF").data)).item
    assert [part.number for part in item.coded()] == [2, 3, 4, 5]
    assert [part.number for part in item.alphas()] == [6, 7, 8, 9]
    assert item.transparent


def test_a_copy_is_transformed_after_its_source():
    """A copy shows the transformed image of the copied item."""
    copy = Item(b"iden", b"", (ispe(60, 80), irot(1)), ((b"dimg", (2,)),))
    placement = image_of(copy, av1().having(clap(60, 80, 0, 0, (120, 80)))).placement
    assert (placement.box, placement.orientation) == ((0, 0, 60, 80), 8)


@pytest.mark.parametrize("targets", [(), (2, 2), (1,)])
def test_a_copy_has_one_source(targets):
    """A copy of no item, of two items or of itself is rejected."""
    with pytest.raises((BrokenContainerError, UnsupportedFormatError)):
        image_of(Item(b"iden", b"", (ispe(120, 80),), ((b"dimg", targets),)), av1())


def test_unknown_descriptions_are_ignored():
    """Light levels and descriptions do not change the image, even if they are marked as essential."""
    described = corpus.box(b"clli", bytes(4))
    item = corpus.replace(av1().having(described), essential=(*corpus.ESSENTIAL, b"clli"))
    assert image_of(item).item.size == (120, 80)


def test_a_large_grid_stores_its_size_in_four_bytes():
    """The first bit of the flags selects fields of four bytes."""
    item = grid(1, 1, 120, 80, (2,))
    data = b"\0\1\0\0" + (120).to_bytes(4, "big") + (80).to_bytes(4, "big")
    assert image_of(corpus.replace(item, data=data), av1()).item.size == (120, 80)
