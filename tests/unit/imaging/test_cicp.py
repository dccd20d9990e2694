"""image_pipeline.imaging.cicp"""

import pytest
from PIL import Image

from image_pipeline.imaging.cicp import cicp_profile, is_specified
from image_pipeline.imaging.colour import to_srgb

COLOURS = ((200, 60, 40), (60, 180, 90), (40, 70, 200), (128, 128, 128), (30, 30, 30), (230, 230, 230))

CHROMIUM = {
    (4, 13): ((236, 49, 16), (0, 177, 84), (0, 89, 206), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (5, 13): ((204, 60, 40), (46, 180, 92), (38, 70, 199), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (6, 13): ((195, 66, 39), (73, 178, 89), (47, 74, 201), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (7, 13): ((195, 66, 39), (73, 178, 89), (47, 74, 201), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (8, 13): ((226, 39, 21), (0, 185, 81), (12, 65, 207), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (9, 13): ((247, 0, 23), (0, 189, 74), (0, 70, 209), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (9, 14): ((247, 0, 23), (0, 190, 73), (0, 72, 209), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (10, 13): ((255, 0, 64), (0, 238, 41), (0, 98, 211), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (11, 13): ((212, 42, 24), (0, 183, 78), (31, 70, 208), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (12, 13): ((217, 42, 23), (0, 183, 78), (29, 71, 208), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (12, 1): ((217, 42, 23), (0, 183, 78), (29, 71, 208), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (12, 2): ((217, 43, 23), (0, 184, 77), (27, 72, 208), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (22, 13): ((202, 66, 39), (52, 177, 90), (40, 79, 200), (128, 128, 128), (30, 30, 30), (230, 230, 230)),
    (1, 4): ((201, 57, 35), (57, 181, 90), (35, 68, 201), (129, 129, 129), (24, 24, 24), (231, 231, 231)),
    (1, 5): ((189, 36, 17), (36, 165, 66), (17, 46, 189), (106, 106, 106), (8, 8, 8), (224, 224, 224)),
    (1, 7): ((206, 77, 58), (77, 188, 106), (58, 87, 206), (141, 141, 141), (48, 48, 48), (233, 233, 233)),
    (1, 8): ((229, 133, 110), (133, 219, 160), (110, 143, 229), (188, 188, 188), (96, 96, 96), (244, 244, 244)),
    (2, 8): ((229, 134, 110), (132, 219, 160), (109, 144, 229), (188, 188, 188), (96, 96, 96), (244, 244, 244)),
    (1, 17): ((200, 44, 23), (44, 177, 76), (23, 55, 200), (118, 118, 118), (13, 13, 13), (235, 235, 235)),
}
"""`COLOURS` in Chromium 156 on an sRGB display, by (primaries, transfer), from screenshots of PNG with cICP, or of AVIF
if both differ."""

TOLERANCES = {(9, 14): 2, (12, 2): 2}
"""Largest difference of a channel; 1 for all other code points."""


def in_srgb(colours, profile, mode="RGB"):
    """The colours in sRGB."""
    image = Image.new(mode, (len(colours), 1))
    image.putdata(colours)
    out = to_srgb(image, profile)
    return tuple(out.getpixel((x, 0)) for x in range(out.width))


@pytest.mark.parametrize(("code_points", "expected"), CHROMIUM.items(), ids=str)
def test_colours_are_as_in_chromium(code_points, expected):
    """The colours equal those of an independent implementation."""
    for actual, reference in zip(in_srgb(COLOURS, cicp_profile(*code_points)), expected, strict=True):
        assert max(abs(a - b) for a, b in zip(actual, reference, strict=True)) <= TOLERANCES.get(code_points, 1)


@pytest.mark.parametrize(
    ("transfer", "expected"),
    [
        (16, {16: 1, 32: 5, 64: 30, 96: 70, 128: 132, 144: 175, 160: 213, 176: 237, 192: 255, 255: 255}),
        (18, {16: 3, 32: 14, 64: 43, 96: 71, 128: 99, 160: 135, 192: 189, 208: 212, 224: 228, 240: 243, 255: 255}),
    ],
    ids=["PQ", "HLG"],
)
def test_hdr_is_mapped_to_sdr(transfer, expected):
    """Greys are as bright as in Chromium on an SDR display, whatever the primaries."""
    for primaries in (1, 9, 12):
        greys = in_srgb([(value,) * 3 for value in expected], cicp_profile(primaries, transfer))
        for actual, reference in zip(greys, expected.values(), strict=True):
            assert max(abs(channel - reference) for channel in actual) <= 3


@pytest.mark.parametrize(
    "code_points", [(1, 13), (1, 1), (1, 6), (1, 14), (1, 15), (2, 2), (2, 13), (1, 2), (1, 11), (1, 12)]
)
def test_srgb_needs_no_profile(code_points):
    """sRGB and unspecified colours are not converted."""
    assert cicp_profile(*code_points) is None


@pytest.mark.parametrize("code_points", [(0, 13), (3, 8), (13, 4), (23, 8), (255, 255), (1, 0), (9, 3), (9, 19)])
def test_reserved_values_are_ignored(code_points):
    """Reserved values give no profile."""
    assert cicp_profile(*code_points) is None


def test_grey_images_get_a_grey_profile():
    """For grey, only the curve matters, not the primaries."""
    assert cicp_profile(12, 13, grey=True) is None
    greys = [30, 128, 230]
    linear = in_srgb(greys, cicp_profile(9, 8, grey=True), "L")
    assert [pixel[0] for pixel in linear] == pytest.approx([96, 188, 244], abs=1)
    assert all(pixel[0] == pixel[1] == pixel[2] for pixel in linear)


@pytest.mark.parametrize(
    ("code_points", "specified"),
    [((1, 13), True), ((9, 16), True), ((2, 13), False), ((1, 2), False), ((0, 13), False), ((1, 9), False)],
)
def test_supported_code_points_are_recognised(code_points, specified):
    """Specified and supported code points are recognised, including those of sRGB."""
    assert is_specified(*code_points) == specified
