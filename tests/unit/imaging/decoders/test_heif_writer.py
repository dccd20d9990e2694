"""image_pipeline.imaging.decoders.heif_writer"""

import pytest

from image_pipeline.imaging.containers.boxes import boxes
from image_pipeline.imaging.decoders import heif_writer
from image_pipeline.imaging.formats.heif_image import read_image
from image_pipeline.imaging.reader import Reader
from tests.corpus import SIZE
from tests.corpus import heif as corpus
from tests.corpus.heif import HeifFile, grid
from tests.unit.imaging.test_heif import admitted, near, rendered


@pytest.mark.parametrize("entry", corpus.ODD_ITEMS.values(), ids=corpus.ODD_ITEMS.keys())
def test_the_decoder_gets_only_the_image(entry):
    """C code does not see names, metadata or properties that decoding does not need."""
    written = heif_writer.write(read_image(Reader.of(corpus.with_item(entry))).item)
    assert entry[8:] not in written
    assert b"Exif" not in written
    assert [entry.kind for entry in boxes(Reader.of(written))] == [b"ftyp", b"meta", b"mdat"]


@pytest.mark.parametrize(("codec", "brand"), [("AVIF", b"avif"), ("HEIC", b"heic")])
def test_the_brand_is_that_of_the_coded_image(codec, brand):
    """It names the decoder, whatever the brand of the upload."""
    swapped = corpus.tiled(codec).items
    data = HeifFile(swapped, brands=corpus.brands("HEIC" if codec == "AVIF" else "AVIF")).data
    assert heif_writer.write(read_image(Reader.of(data)).item)[8:12] == brand


def test_crops_and_rotations_are_not_passed_to_the_decoder():
    """The pipeline applies them in the same way for both decoders."""
    data = HeifFile((grid(2, 2, *SIZE, (2, 3, 4, 5), corpus.irot(1), corpus.imir(0)), *corpus.four("HEIC"))).data
    heif_image = read_image(Reader.of(data))
    assert heif_image.placement.orientation != 1
    written = heif_writer.write(heif_image.item)
    assert not any(kind in written for kind in (b"irot", b"imir", b"clap"))


def test_shared_tiles_are_copied_for_each_use_and_counted(monkeypatch):
    """Tiles may share bytes; the predicted memory includes a copy for each tile."""
    tile = corpus.four("AVIF")[0]
    data = HeifFile((grid(2, 2, *SIZE, (2, 2, 2, 2)), tile)).data
    assert admitted(data).other_bytes == 2 * 4 * len(tile.data)
    image = rendered(data)
    assert all(near(image.getpixel(at), (255, 0, 0)) for at in ((5, 5), (235, 5), (5, 155), (235, 155)))
