"""image_pipeline.imaging.photograph, and the shortcuts that it allows"""

import random
from functools import cache

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from image_pipeline.imaging.decode import decode
from image_pipeline.imaging.formats.admission import admit
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.photograph import is_photograph
from image_pipeline.imaging.reader import Reader
from tests.corpus import saved
from tests.unit.imaging.test_exif import block

SIZE = (1200, 900)


@cache
def scene(size=SIZE):
    """An image of a lens: shapes without hard edges, and the noise of a sensor."""
    shapes = Image.frombytes("RGB", (30, 22), random.Random(1).randbytes(3 * 30 * 22)).resize(size)
    noise = Image.effect_noise(size, 12).convert("RGB")
    return Image.blend(shapes.filter(ImageFilter.GaussianBlur(1)), noise, 0.1)


@cache
def screen(size=SIZE):
    """Black text on white."""
    image = Image.new("RGB", size, "white")
    text = "\n".join("The quick brown fox jumps over the lazy dog. " * 4 for _ in range(size[1] // 12))
    ImageDraw.Draw(image).text((4, 4), text, "black", ImageFont.load_default(11))
    return image


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_photographs_and_screenshots_are_distinguished(mode):
    """The result is correct in any mode that decoders return, and after a first reduction."""
    for reduction in (1, 2):
        size = SIZE[0] // reduction, SIZE[1] // reduction
        assert is_photograph(scene().convert(mode).resize(size))
        assert not is_photograph(screen().convert(mode).resize(size))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 500), (3, 3)])
def test_any_size_is_accepted(size):
    """The smallest images raise no error."""
    assert is_photograph(Image.new("RGB", size)) in (True, False)


def test_one_colour_is_not_a_photograph():
    """Without differences, there is no evidence that coarser steps are harmless."""
    assert not is_photograph(Image.new("RGB", SIZE))


def columns(lines):
    """An image whose neighbours differ by one step, with some white lines in each third."""
    row = [100 + x % 2 for x in range(160)]
    for line in range(lines):
        row[40 + 60 * line] = 255
    image = Image.new("L", (480, 480))
    image.putdata(row * 3 * 480)
    return image


@pytest.mark.parametrize(("lines", "photograph"), [(1, True), (2, False)])
def test_the_share_of_strong_differences_decides(lines, photograph):
    """At most 2 % of the differences in a photograph are strong: 1.3 % are few, 2.5 % are many."""
    assert is_photograph(columns(lines)) is photograph


@pytest.mark.parametrize("place", [(0, 0), (320, 0), (160, 160), (0, 320), (320, 320)])
def test_text_in_any_corner_or_in_the_centre_is_found(place):
    """Each of these parts is looked at."""
    image = columns(0)
    image.paste(Image.linear_gradient("L").resize((160, 160)).point(lambda value: 255 * (value & 1)).rotate(90), place)
    assert not is_photograph(image)


def decoded_width(image, **options):
    """Width at which a JPEG of 1200 pixels is decoded for a rendition of 460."""
    reader = Reader.of(saved(image, "JPEG", quality=90, **options))
    return decode(reader, admit(reader, Limits()), 1200 / 460).image.width


def test_photographs_without_exif_are_decoded_as_small_as_those_of_cameras():
    """A photograph needs less margin for the Lanczos filter, whether or not EXIF names a camera."""
    assert decoded_width(scene(), exif=block()) == decoded_width(scene()) == 600
    assert decoded_width(screen()) == 1200
    assert decoded_width(scene(), progressive=True) == 1200


def test_a_screenshot_that_begins_like_a_photograph_is_not_decoded_small():
    """The first rows allow the attempt; the whole image decides."""
    image = screen().copy()
    image.paste(scene((1200, 150)), (0, 0))
    assert decoded_width(image) == 1200


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_a_cut_photograph_is_rejected(share):
    """The attempt with the first rows does not hide that the others are missing."""
    data = saved(scene(), "JPEG", quality=90)
    reader = Reader.of(data[: int(share * len(data))])
    with pytest.raises(Exception, match="cut off"):
        decode(reader, admit(reader, Limits()), 1200 / 460)
