"""image_pipeline.imaging.encode"""

import io

import pytest
from PIL import Image

from image_pipeline.imaging import encode as module
from image_pipeline.imaging.encode import CONTENT_TYPES, EXTENSIONS, WITH_ALPHA, Encoder, encode
from image_pipeline.imaging.recipes import FORMATS
from tests.corpus import holed, quarters


def test_every_format_of_the_recipes_can_be_written():
    """The encoder supports the formats of the recipes."""
    assert set(CONTENT_TYPES) == set(EXTENSIONS) == set(FORMATS)


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_the_encoded_bytes_match_their_type(output_format, mode):
    """Format, size and transparency are as declared."""
    if mode == "RGBA" and output_format not in WITH_ALPHA:
        pytest.skip("flattened before")
    image = holed() if mode == "RGBA" else quarters(mode)
    out = Image.open(io.BytesIO(encode(image, output_format, 80, b"")))
    assert Image.MIME[out.format] == CONTENT_TYPES[output_format]
    assert out.size == image.size
    assert out.has_transparency_data == (mode == "RGBA")


@pytest.mark.parametrize("output_format", FORMATS)
def test_metadata_of_the_upload_is_not_written(output_format):
    """The encoder ignores comments, profiles and EXIF in `info`, which Pillow would save."""
    image = quarters()
    image.info = {"comment": b"secret", "icc_profile": b"secret", "exif": b"Exif\0\0secret", "xmp": b"secret"}
    assert b"secret" not in encode(image, output_format, 80, b"")


@pytest.mark.parametrize("output_format", ["jpeg", "webp", "avif"])
def test_the_quality_is_applied(output_format):
    """A lower quality gives a smaller file."""
    image = Image.effect_noise((128, 128), 60).convert("RGB")
    assert len(encode(image, output_format, 30, b"")) < len(encode(image, output_format, 90, b""))


@pytest.mark.parametrize(
    ("output_format", "settings"),
    [
        ("jpeg", {"quality": 77}),
        ("png", {"compress_level": 6}),
        ("webp", {"quality": 77, "method": 2}),
        ("avif", {"quality": 77, "speed": 9}),
    ],
)
def test_files_have_the_documented_settings(output_format, settings):
    """The files equal those of Pillow with the settings in docs/images.md, byte for byte."""
    image = Image.effect_mandelbrot((120, 90), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    out = io.BytesIO()
    image.save(out, output_format.upper(), **settings)
    assert encode(image, output_format, 77, b"") == out.getvalue()


@pytest.mark.parametrize("output_format", FORMATS)
def test_rights_are_written(output_format):
    """The EXIF block with artist and copyright is part of every file."""
    tags = Image.Exif()
    tags[0x013B] = "Ann"
    out = Image.open(io.BytesIO(encode(quarters(), output_format, 80, tags.tobytes())))
    assert out.getexif()[0x013B] == "Ann"


def test_the_same_image_is_encoded_once(monkeypatch):
    """A second rendition of the same image, format and quality gets the bytes of the first one."""
    calls = []
    monkeypatch.setattr(module, "encode", lambda *args: calls.append(args) or b"%d" % len(calls))
    encoder = Encoder(b"")
    image = quarters()
    files = [encoder.encode(image, *settings) for settings in (("jpeg", 80), ("jpeg", 80), ("jpeg", 70), ("webp", 80))]
    assert files == [b"1", b"1", b"2", b"3"]


def test_another_image_with_the_same_id_is_encoded(monkeypatch):
    """Python gives the id of a deleted image to another one."""
    monkeypatch.setattr(module, "id", lambda _: 1, raising=False)
    encoder = Encoder(b"")
    first = encoder.encode(quarters(), "png", 80)
    assert encoder.encode(holed(), "png", 80) not in (first, b"")
