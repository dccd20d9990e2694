"""image_pipeline.imaging.decoders.heif_pixels"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from image_pipeline.errors import CorruptImageError
from image_pipeline.imaging.colour import ADOBE_RGB, BT2020, DISPLAY_P3, matrix_profile
from image_pipeline.imaging.decoders.heif_pixels import check_sizes
from image_pipeline.imaging.formats.header import Header
from tests.corpus import heif as corpus
from tests.corpus.heif import HeifFile, av1, grid, hevc, nclx
from tests.unit.imaging.test_colour import exact
from tests.unit.imaging.test_heif import admitted, near, rendered

RED = (200, 30, 30)


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
def test_premultiplied_colours_are_divided(codec):
    """Colours that are stored multiplied by alpha are restored."""
    dark, half = (av1((128, 0, 0)), av1(128)) if codec == "AVIF" else (hevc("dark"), hevc("half"))
    dark = replace(dark, references=((b"prem", (2,)),))
    image = rendered(HeifFile((dark, corpus.alpha_of(1, half)), brands=corpus.brands(codec)).data)
    red, green, blue, alpha = image.getpixel((60, 40))
    assert (red > 245, green < 10, blue < 10, abs(alpha - 128) < 4) == (True,) * 4


def test_alpha_of_another_size_is_scaled_in_heic():
    """Alpha is scaled as by libheif; a larger alpha counts as memory."""
    small = HeifFile((*corpus.tiled("HEIC").items, corpus.alpha_of(1, hevc("half"))), brands=corpus.HEIC).data
    assert rendered(small).getpixel((200, 130)) == (255, 255, 255, 128)
    large = corpus.alpha_of(1, grid(2, 2, 240, 160, (3, 4, 5, 6)))
    data = HeifFile((hevc(), large, *[hevc("half")] * 4), brands=corpus.HEIC).data
    assert admitted(data).coded_pixels == 240 * 160
    assert rendered(data).getpixel((60, 40))[3] == 128


def test_other_auxiliary_images_are_not_alpha():
    """Depth and gain maps are ignored, whatever their size."""
    depth = replace(
        av1(9, (64, 64)).having(corpus.auxc(b"urn:mpeg:hevc:2015:auxid:2\0")), references=((b"auxl", (1,)),)
    )
    header = admitted(HeifFile((av1(), depth)).data)
    assert (header.mode, header.width) == ("RGB", 120)


def coloured(codec, *colr):
    """An image of RED with these colour properties."""
    item = av1(RED) if codec == "AVIF" else hevc("subsampled")
    return HeifFile((corpus.having(item, *colr),), brands=corpus.brands(codec)).data


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
@pytest.mark.parametrize(
    ("code_points", "space"),
    [((12, 13), (DISPLAY_P3, None)), ((9, 14), (BT2020, None)), ((9, 13), (BT2020, None)), ((1, 13), None)],
)
def test_code_points_become_srgb(codec, code_points, space):
    """An `nclx` box has the same effect as the equivalent ICC profile."""
    expected = RED if space is None else [round(min(255, max(0, value))) for value in exact(RED, *space)]
    assert near(rendered(coloured(codec, nclx(*code_points))).getpixel((60, 40)), expected)


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
@pytest.mark.parametrize("icc_first", [False, True])
def test_an_icc_profile_wins_over_code_points(codec, icc_first):
    """With an ICC profile, code points describe only the coding (ISO/IEC 23008-12, 6.5.5)."""
    both = [nclx(12, 13), corpus.icc(matrix_profile(ADOBE_RGB, 563 / 256))]
    item = av1(RED) if codec == "AVIF" else hevc("subsampled")
    item = replace(corpus.having(item, nclx(1, 13)), properties=tuple(p for p in item.properties if p[4:8] != b"colr"))
    item = item.having(*(reversed(both) if icc_first else both))
    image = rendered(HeifFile((item,), brands=corpus.brands(codec)).data)
    expected = [round(min(255, max(0, value))) for value in exact(RED, ADOBE_RGB, 563 / 256)]
    assert near(image.getpixel((60, 40)), expected)


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
def test_a_grid_may_have_the_colours_of_its_tiles(codec):
    """Some writers store colour properties only at the tiles."""
    tile = corpus.having(av1(RED) if codec == "AVIF" else hevc("subsampled"), nclx(12, 13))
    data = HeifFile((grid(1, 2, 240, 80, (2, 3)), tile, tile), brands=corpus.brands(codec)).data
    assert near(rendered(data).getpixel((60, 40)), (220, 0, 6))


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
def test_without_colour_properties_the_colours_are_those_of_the_coded_image(codec):
    """The header of AV1 has code points; those of HEVC are not read, so its colours are sRGB."""
    item = av1(RED) if codec == "AVIF" else hevc("subsampled")
    item = replace(item, properties=tuple(entry for entry in item.properties if entry[4:8] != b"colr"))
    assert near(rendered(HeifFile((item,), brands=corpus.brands(codec)).data).getpixel((60, 40)), RED)


@pytest.mark.parametrize("name", ["subsampled", "half-subsampled", "limited", "identity"])
def test_the_decoder_applies_ranges_and_matrices(name):
    """Limited range, RGB, 4:2:0 and 4:2:2 give the same red."""
    assert near(rendered(HeifFile((hevc(name),), brands=corpus.HEIC).data).getpixel((60, 40)), RED)


@pytest.mark.parametrize("codec", ["AVIF", "HEIC"])
def test_curves_apply_to_grey_images(codec):
    """For grey images, primaries have no effect, and a linear curve has one."""
    item = av1(128) if codec == "AVIF" else hevc("half")
    for code_points, expected in {(12, 13): 128, (12, 8): 188}.items():
        data = HeifFile((corpus.having(item, nclx(*code_points)),), brands=corpus.brands(codec)).data
        assert admitted(data).mode == "L"
        assert near(rendered(data).getpixel((60, 40)), (expected,) * 3, 3)


@pytest.mark.parametrize("size", [(39, 30), (41, 30), (40, 29), (40, 31)])
def test_another_stored_size_is_rejected(size):
    """Limits and the predicted memory apply only to the size in the boxes; the message contains both."""
    heif_image = SimpleNamespace(placement=SimpleNamespace(width=30, height=20), item=SimpleNamespace(size=(40, 30)))
    header = Header("AVIF", 30, 20, "RGB")
    check_sizes((40, 30), heif_image, header)
    with pytest.raises(CorruptImageError, match=f"40 × 30 pixels, but its image data has {size[0]} × {size[1]}"):
        check_sizes(size, heif_image, header)
