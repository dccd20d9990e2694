"""Structure, header and pixels of BMP."""

import pytest

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from tests.corpus import SIZE, quarters, saved


def test_the_decoder_has_the_admitted_size():
    """Limits hold because both read the same size."""
    reader = Reader.of(saved(quarters(), "BMP"))
    assert decode(reader, admit(reader, Limits())).image.size == SIZE


def test_another_size_is_not_decoded():
    """A file that tells its decoder another size is rejected before a pixel is decoded."""
    reader = Reader.of(saved(quarters(), "BMP"))
    with pytest.raises(CorruptImageError, match="240 × 160"):
        decode(reader, Header("BMP", 24, 16, "RGB"))
