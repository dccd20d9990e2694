"""image_pipeline.imaging.decode"""

import pytest

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.decoders import heif
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.reader import Reader
from tests.corpus import GOOD, HERE, quarters, saved


def decoded(data, reduction=1.0):
    """Pixels of admitted data."""
    reader = Reader.of(data)
    return decode(reader, admit(reader, Limits()), reduction)


def test_every_image_has_a_mode_that_can_be_reduced():
    """Palettes, bits, floats and 16 bits are converted by the decoder."""
    for case in GOOD:
        assert decoded(case.make()).image.mode in ("L", "RGB", "RGBA", "CMYK"), case


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_jpeg_is_decoded_at_a_fraction(scale):
    """The image has the reduced size, and the box ends at the exact edge of the image."""
    pixels = decoded(saved(quarters(size=(2001, 1001)), "JPEG"), scale * 1.5)
    assert pixels.image.size == (-(-2001 // scale), -(-1001 // scale))
    assert pixels.box == (0, 0, 2001 / scale, 1001 / scale)


def test_other_formats_ignore_the_fraction():
    """BMP is decoded at full size."""
    assert decoded(saved(quarters(), "BMP"), 4).image.size == (240, 160)


def test_a_missing_end_marker_is_a_warning():
    """A complete image is decoded, with a warning."""
    whole = saved(quarters(), "JPEG")
    assert "end marker" in decoded(whole[:-2]).warnings[0]
    assert decoded(whole[:-2]).image.tobytes() == decoded(whole).image.tobytes()


@pytest.mark.parametrize("missing", [20, 200, 400])
def test_missing_pixels_are_rejected(missing):
    """The renditions of an incomplete image would be cached forever."""
    from tests.corpus import noisy

    with pytest.raises(CorruptImageError, match="JPEG is cut off"):
        decoded(noisy("JPEG")[:-missing])


def test_a_memory_error_means_that_the_image_is_too_large(monkeypatch):
    """If the predicted memory was too low, the image is rejected as too large."""
    from image_pipeline.errors import ImageTooLargeError
    from image_pipeline.imaging.decoders import codec

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(codec, "decode", fail)
    with pytest.raises(ImageTooLargeError, match="memory"):
        decoded(saved(quarters().convert("P"), "PNG"))


def test_a_missing_decoder_is_an_internal_error(monkeypatch):
    """A missing decoder is an error of the deployment, not a corrupt image."""
    data = (HERE / "turned-1.heic").read_bytes()

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(heif, "import_module", missing)
    with pytest.raises(ImportError):
        decoded(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_cut_file_is_reported_as_cut(kind):
    """The message says that the file is cut off."""
    data = saved(quarters(size=(600, 400)), kind, quality=95)[:-200]
    with pytest.raises(CorruptImageError, match=f"{kind} is cut off"):
        decoded(data)
