"""Structure, header and pixels of AVIF."""

import pytest

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.header import Header
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from tests.corpus import SIZE, quarters, saved


def test_the_decoder_has_the_admitted_size():
    """Admission and decoder read the same size, so limits hold."""
    reader = Reader.of(saved(quarters(), "AVIF"))
    assert decode(reader, admit(reader, Limits())).image.size == SIZE


def test_another_size_is_not_decoded():
    """A size that differs from the admitted one is rejected before a pixel is decoded."""
    reader = Reader.of(saved(quarters(), "AVIF"))
    with pytest.raises(CorruptImageError, match="240 × 160"):
        decode(reader, Header("AVIF", 24, 16, "RGB"))
