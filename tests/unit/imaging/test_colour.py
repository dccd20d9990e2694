"""image_pipeline.imaging.colour"""

import itertools
import math

import pytest
from PIL import Image, ImageChops, ImageCms

from image_pipeline.imaging import colour
from image_pipeline.imaging.colour import (
    ADOBE_RGB,
    BT2020,
    DISPLAY_P3,
    BrokenProfileError,
    matrix_profile,
    to_srgb,
)
from image_pipeline.imaging.engine import render
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.icc import is_srgb
from image_pipeline.imaging.recipes import Recipe
from tests.corpus import quarters, saved

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
CUBE = tuple(itertools.product((0, 40, 90, 128, 180, 220, 255), repeat=3))
MAX_DELTA_E = 1.0
"""CIE 1976 difference that a person cannot see (a just noticeable difference is about 2.3)."""


def patches(colours):
    """One pixel for each colour."""
    image = Image.new("RGB", (len(colours), 1))
    image.putdata(colours)
    return image


def xyz_matrix(primaries):
    """The matrix from RGB to XYZ of D65 by its definition (SMPTE RP 177), without the code under test."""
    white = (0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290)
    columns = [(x / y, 1.0, (1 - x - y) / y) for x, y in primaries]
    m = [[columns[j][i] for j in range(3)] for i in range(3)]
    s = solve(m, white)
    return [[m[i][j] * s[j] for j in range(3)] for i in range(3)]


def solve(m, v):
    """Cramer's rule."""

    def det(a):
        return (
            a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1])
            - a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0])
            + a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0])
        )

    return [det([[v[i] if j == k else m[i][j] for j in range(3)] for i in range(3)]) / det(m) for k in range(3)]


def decode_srgb(value):
    """IEC 61966-2-1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def encode_srgb(value):
    """IEC 61966-2-1."""
    value = min(1.0, max(0.0, value))
    return value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def exact(rgb, primaries, gamma):
    """sRGB of a colour of another space in floating point, 0 to 255; out of gamut is clipped."""
    linear = [(value / 255) ** gamma if gamma else decode_srgb(value / 255) for value in rgb]
    xyz = [sum(a * b for a, b in zip(row, linear, strict=True)) for row in xyz_matrix(primaries)]
    return [encode_srgb(value) * 255 for value in solve(xyz_matrix(SRGB), xyz)]


def lab(rgb):
    """CIE L*a*b* of sRGB 0 to 255, white D65."""
    xyz = [sum(a * decode_srgb(b / 255) for a, b in zip(row, rgb, strict=True)) for row in xyz_matrix(SRGB)]
    white = [sum(row) for row in xyz_matrix(SRGB)]
    f = [
        math.cbrt(t) if (t := a / b) > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29
        for a, b in zip(xyz, white, strict=True)
    ]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def delta_e(one, two):
    """CIE 1976."""
    return math.dist(lab(one), lab(two))


@pytest.mark.parametrize(
    ("primaries", "gamma"), [(DISPLAY_P3, None), (ADOBE_RGB, 563 / 256), (BT2020, None)], ids=["P3", "Adobe", "2020"]
)
def test_wide_gamuts_become_srgb(primaries, gamma):
    """Colours inside sRGB are within ΔE 1 of exact arithmetic, or within one 8-bit step in shadows."""
    inside = [rgb for rgb in CUBE if all(0.5 < value < 254.5 for value in exact(rgb, primaries, gamma))]
    assert len(inside) > 50
    raw = to_srgb(patches(inside), matrix_profile(primaries, gamma)).tobytes()
    converted = zip(raw[::3], raw[1::3], raw[2::3], strict=True)
    for rgb, out in zip(inside, converted, strict=True):
        reference = exact(rgb, primaries, gamma)
        assert (
            delta_e(out, reference) < MAX_DELTA_E or max(abs(a - b) for a, b in zip(out, reference, strict=True)) <= 1
        )


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_profiles_are_found_in_every_container(image_format):
    """A P3 red inside sRGB is converted correctly."""
    source = (200, 60, 40)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}
    image = Image.new("RGB", (64, 64), source)
    data = saved(image, image_format, icc_profile=matrix_profile(DISPLAY_P3, None), **options.get(image_format, {}))
    (rendition,) = render(data, [Recipe("t", 32, 32, formats=("png",))], Limits()).renditions
    import io

    out = Image.open(io.BytesIO(rendition.data)).convert("RGB").getpixel((16, 16))
    assert delta_e(out, exact(source, DISPLAY_P3, None)) < 2.5
    assert "icc_profile" not in Image.open(io.BytesIO(rendition.data)).info


def test_alpha_survives_the_profile():
    """Colours change, opacity does not."""
    image = Image.new("RGBA", (2, 1), (200, 60, 40, 77))
    out = to_srgb(image, matrix_profile(DISPLAY_P3, None))
    assert out.mode == "RGBA"
    assert out.getpixel((0, 0))[3] == 77
    assert out.getpixel((0, 0))[:3] != (200, 60, 40)


def test_srgb_is_recognised_by_its_numbers():
    """sRGB profiles of LittleCMS and of this project are recognised; similar profiles are not."""
    lcms = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_srgb(lcms)
    assert is_srgb(matrix_profile(SRGB, None))
    image = quarters()
    assert to_srgb(image, lcms) is image
    for other in ((DISPLAY_P3, None), (ADOBE_RGB, 563 / 256), (SRGB, 2.2), (SRGB, 1.0)):
        assert not is_srgb(matrix_profile(*other))


def test_the_name_of_a_profile_does_not_matter():
    """A profile that only has the name of sRGB is applied."""
    liar = bytearray(matrix_profile(DISPLAY_P3, None)) + b"sRGB IEC61966-2.1"
    assert not is_srgb(bytes(liar))


@pytest.mark.parametrize("length", [0, 20, 128, 131, 140, 200, 300])
def test_cut_profiles_are_broken_not_fatal(length):
    """A profile that is cut off raises BrokenProfileError."""
    profile = matrix_profile(DISPLAY_P3, None)[:length]
    assert not is_srgb(profile)
    with pytest.raises(BrokenProfileError):
        to_srgb(quarters(), profile)


def test_a_profile_for_another_colour_space_is_broken():
    """A CMYK profile in an RGB image is rejected."""
    profile = bytearray(matrix_profile(DISPLAY_P3, None))
    profile[16:20] = b"CMYK"
    with pytest.raises(BrokenProfileError, match="CMYK"):
        to_srgb(quarters(), bytes(profile))


def test_exif_can_mark_adobe_rgb():
    """Cameras write the interoperability index R03 instead of a profile."""
    interop = b"\0\1" + b"\0\1\0\2\0\0\0\4R03\0" + bytes(4)
    sub = b"\0\1" + b"\xa0\x05\0\4\0\0\0\1\0\0\0\x2c" + bytes(4)
    first = b"\0\1" + b"\x87\x69\0\4\0\0\0\1\0\0\0\x1a" + bytes(4)
    block = b"Exif\0\0MM\0*\0\0\0\x08" + first + sub + interop
    source = (120, 160, 90)
    data = saved(Image.new("RGB", (64, 64), source), "JPEG", quality=100, subsampling=0, exif=block)
    (rendition,) = render(data, [Recipe("t", 32, 32, formats=("png",))], Limits()).renditions
    import io

    out = Image.open(io.BytesIO(rendition.data)).convert("RGB").getpixel((16, 16))
    assert delta_e(out, exact(source, ADOBE_RGB, 563 / 256)) < 2.5


def test_lab_becomes_srgb():
    """LAB, as in TIFF files for print, is converted; it has whole numbers, so the colours differ by about one step."""
    colours = ((200, 60, 40), (60, 180, 90), (40, 70, 200), (255, 255, 255), (0, 0, 0))
    source = ImageCms.profileToProfile(
        patches(colours), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    out = colour.lab_to_srgb(source)
    assert out.mode == "RGB"
    assert all(delta_e(out.getpixel((x, 0)), reference) < 2 for x, reference in enumerate(colours))


@pytest.mark.parametrize("colour_pixel", [(9, 8, 8, 255), (8, 9, 8, 255), (8, 8, 9, 255)])
def test_a_grey_profile_fits_only_grey_pixels(colour_pixel):
    """One pixel with a colour suffices to ignore the profile of an image with alpha."""
    image = Image.new("RGBA", (2, 1), (8, 8, 8, 255))
    profile = colour.grey_profile(colour.power_curve(1.0))
    assert to_srgb(image, profile).getpixel((0, 0)) == (50, 50, 50, 255)
    image.putpixel((0, 0), colour_pixel)
    with pytest.raises(BrokenProfileError, match="GRAY"):
        to_srgb(image, profile)


def test_a_sampled_curve_is_as_exact_as_its_function():
    """Every 8-bit value is a sample."""
    greys = patches([(value,) * 3 for value in range(256)])
    sampled = colour.rgb_profile(SRGB, colour.D65, colour.sampled_curve(lambda value: value**2.2))
    difference = ImageChops.difference(to_srgb(greys, sampled), to_srgb(greys, matrix_profile(SRGB, 2.2)))
    assert all(highest <= 1 for _, highest in difference.getextrema())


def test_black_becomes_black():
    """The black point is compensated: the darkest colour of a profile is black, even if its curve says dark grey."""
    profile = colour.rgb_profile(DISPLAY_P3, colour.D65, colour.sampled_curve(lambda value: 0.02 + 0.98 * value))
    assert to_srgb(patches([(0, 0, 0), (255, 255, 255)]), profile).tobytes() == bytes((0, 0, 0, 255, 255, 255))


def test_primaries_are_those_of_the_standards():
    """Adobe RGB (1998), SMPTE EG 432-1 and ITU-R BT.2020; the other tests compute their references from them."""
    assert ADOBE_RGB == ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
    assert DISPLAY_P3 == ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
    assert BT2020 == ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
