"""image_pipeline.imaging.icc"""

import contextlib
import random
import struct
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from image_pipeline.imaging import colour, icc
from image_pipeline.imaging.colour import (
    D65,
    DISPLAY_P3,
    SRGB_CURVE,
    grey_profile,
    matrix_profile,
    power_curve,
    rgb_profile,
    sampled_curve,
    to_srgb,
)
from image_pipeline.imaging.icc import BrokenProfileError, is_srgb, sanitise
from tests.conftest import ROOT, examples

SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
IDENTITY = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)


def profile(tags, space=b"RGB ", connection=b"Lab ", kind=b"mntr"):
    """A profile of these tags."""
    at = 132 + 12 * len(tags)
    table = struct.pack(">I", len(tags))
    body = b""
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    head = bytearray(128)
    head[0:4] = struct.pack(">I", at + len(body))
    head[8:12] = b"\x04\x30\0\0"
    head[12:24] = kind + space + connection
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + table + body


def numbers(size):
    """The numbers of a table."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def lut8(inputs=3, outputs=3, points=2, table=None):
    """A lookup table of bytes (ICC.1:2022, 10.11)."""
    size = outputs * points**inputs
    ramp = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes((inputs, outputs, points, 0)) + IDENTITY
    return head + ramp * inputs + (numbers(size) if table is None else table) + ramp * outputs


def lut16(inputs=3, outputs=3, points=2, table=None):
    """A lookup table of 16-bit numbers (10.10)."""
    size = 2 * outputs * points**inputs
    ramp = struct.pack(">2H", 0, 65535)
    head = b"mft2\0\0\0\0" + bytes((inputs, outputs, points, 0)) + IDENTITY + struct.pack(">2H", 2, 2)
    return head + ramp * inputs + (numbers(size) if table is None else table) + ramp * outputs


def lut_a_to_b(grid=(2, 2, 2), outputs=3, table=None):
    """Curves and a table (10.12)."""
    inputs = len(grid)
    curve = b"curv" + bytes(8)
    size = outputs
    for points in grid:
        size *= points
    table = numbers(size) if table is None else table
    b_curves = 32
    lut = b_curves + 12 * outputs
    values = bytes(grid).ljust(16, b"\0") + b"\1\0\0\0" + table + b"\0" * (-len(table) % 4)
    a_curves = lut + len(values)
    head = b"mAB \0\0\0\0" + bytes((inputs, outputs, 0, 0)) + struct.pack(">5I", b_curves, 0, 0, lut, a_curves)
    return head + curve * outputs + values + curve * inputs


def chain(count):
    """Multi-process elements that are one matrix, again and again (10.16)."""
    matrix = b"matf\0\0\0\0" + struct.pack(">HH", 3, 3) + struct.pack(">12f", *(1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0))
    at = 16 + 8 * count
    return b"mpet\0\0\0\0" + struct.pack(">HHI", 3, 3, count) + struct.pack(">II", at, len(matrix)) * count + matrix


WHITE = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
PROFILES = {
    "matrix": (matrix_profile(DISPLAY_P3, None), "RGB"),
    "matrix, power": (rgb_profile(DISPLAY_P3, D65, power_curve(2.2)), "RGB"),
    "matrix, table": (rgb_profile(DISPLAY_P3, D65, sampled_curve(lambda value: value**2)), "RGB"),
    "LittleCMS's": (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), "RGB"),
    "grey": (grey_profile(power_curve(1.0)), "L"),
    "8-bit table": (profile({**WHITE, b"A2B0": lut8()}), "RGB"),
    "16-bit table": (profile({**WHITE, b"A2B0": lut16()}), "RGB"),
    "curves and table": (profile({**WHITE, b"A2B0": lut_a_to_b()}), "RGB"),
    "CMYK": (profile({**WHITE, b"A2B0": lut8(4)}, b"CMYK", kind=b"prtr"), "CMYK"),
}


def converted(data, mode="RGB"):
    """Some pixels after the conversion."""
    return to_srgb(Image.linear_gradient("L").resize((16, 16)).convert("RGB").convert(mode), data)


@pytest.mark.parametrize("name", PROFILES)
def test_valid_profiles_are_used(name):
    """Valid profiles of every kind are accepted and used."""
    data, mode = PROFILES[name]
    assert converted(data, mode).mode == "RGB"


def test_the_relative_colorimetric_table_is_used():
    """A print profile has a table for each intent; the perceptual one (A2B0) would change colours more."""
    nodes = [sum((index >> 2, index >> 1 & 1, index & 1)) * 85 for index in range(8)]
    right, wrong = (
        lut8(table=b"".join(bytes((light, 128, 128)) for light in lights)) for lights in (nodes, nodes[::-1])
    )
    black_and_white = Image.new("RGB", (2, 1))
    black_and_white.putpixel((1, 0), (255, 255, 255))
    out = to_srgb(black_and_white, profile({b"A2B0": wrong, b"A2B1": right}))
    assert max(out.getpixel((0, 0))) < 5
    assert min(out.getpixel((1, 0))) > 250


def test_a_profile_has_a_limited_size():
    """A profile has at most 4 MB."""
    data = PROFILES["matrix"][0]
    assert converted(data + bytes(icc.MOST_BYTES - len(data))).mode == "RGB"
    with pytest.raises(BrokenProfileError, match="4 MB"):
        converted(data + bytes(icc.MOST_BYTES - len(data) + 1))


HOSTILE = {
    "a table of 255 points": lut16(points=255, table=bytes(1000)),
    "a table of 15 outputs and 255 points": lut16(outputs=15, points=255, table=bytes(1000)),
    "a table of 8-bit numbers that is too short": lut8(points=100, table=bytes(1000)),
    "a table of 255 inputs": lut8(255, points=2, table=bytes(1000)),
    "a grid of 255 points": lut_a_to_b((255, 255, 255), table=bytes(1000)),
    "a grid of no points": lut_a_to_b((0, 2, 2)),
    "a table that ends at once": b"mft1",
}


@pytest.mark.parametrize("table", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", [b"A2B0", b"A2B1", b"B2A0", b"gamt"], ids=bytes.decode)
def test_tables_that_are_larger_than_their_bytes_are_broken(name, table):
    """LittleCMS would allocate hundreds of megabytes for such a table."""
    with pytest.raises(BrokenProfileError):
        converted(profile({**WHITE, b"A2B0": lut8(), name: table}))


def test_chains_of_elements_are_removed():
    """LittleCMS would evaluate each multi-process element 35,937 times."""
    plain = {**WHITE, b"A2B0": lut8()}
    data = profile({**plain, b"D2B0": chain(200_000), b"D2B1": chain(20_000)})
    assert converted(data).tobytes() == converted(profile(plain)).tobytes()
    assert b"D2B" not in sanitise(data)


@pytest.mark.parametrize(
    "curve",
    [
        b"para\0\0\0\0\0\1\0\0" + struct.pack(">3i", 98304, 65536, -131072 * 20),
        b"para\0\0\0\0\0\3\0\0" + struct.pack(">5i", 98304, 65536, -131072, 65536, 0),
        b"para\0\0\0\0\0\4\0\0" + struct.pack(">7i", 98304, -65536, 0, 65536, 0, 0, 0),
        b"para\0\0\0\0\0\0\0\0" + struct.pack(">i", -(2**31)),
        b"para\0\0\0\0\0\x09\0\0" + bytes(40),
        b"para\0\0\0\0",
        b"curv\0\0\0\0" + struct.pack(">I", 2**32 - 1),
        b"curv\0\0\0\0\0\0\0\5",
        b"text\0\0\0\0oops",
        b"",
    ],
    ids=str,
)
def test_curves_without_values_are_broken(curve):
    """Curves with a negative base, a negative power of zero or a wrong type are reported."""
    if curve.startswith(b"para\0\0\0\0\0\1"):  # here the curve is constant, because all values are below -b/a
        assert not is_srgb(rgb_profile(SRGB, D65, curve))
        return
    with pytest.raises(BrokenProfileError):
        converted(rgb_profile(SRGB, D65, curve))
    with pytest.raises(BrokenProfileError):
        converted(grey_profile(curve), "L")
    assert not is_srgb(rgb_profile(SRGB, D65, curve))


@pytest.mark.parametrize("kind", [b"link", b"abst", b"nmcl", b"oops"], ids=bytes.decode)
def test_profiles_without_a_device_are_broken(kind):
    """Profiles of other classes do not describe pixels."""
    with pytest.raises(BrokenProfileError):
        converted(profile({**WHITE, b"A2B0": lut8()}, kind=kind))


@pytest.mark.parametrize("count", [0, 101, 2**31, 2**32 - 1])
def test_the_number_of_tags_is_limited(count):
    """LittleCMS accepts at most 100 tags, and a profile needs some."""
    data = bytearray(PROFILES["matrix"][0])
    data[128:132] = struct.pack(">I", count)
    with pytest.raises(BrokenProfileError):
        converted(bytes(data))
    assert not is_srgb(bytes(data))


def test_many_tags_of_the_same_megabytes_are_not_copied():
    """A hundred tags that share all bytes of the profile take no additional memory."""
    data = bytearray(profile({**WHITE, **{b"x%03d" % index: b"" for index in range(98)}, b"A2B0": lut8()}))
    data += bytes(icc.MOST_BYTES - len(data))
    for index in range(99):
        data[132 + 12 * index + 4 : 144 + 12 * index] = struct.pack(">II", 0, len(data))
    tracemalloc.start()
    is_srgb(bytes(data))
    sanitise(bytes(data))
    assert tracemalloc.get_traced_memory()[1] < 4 * icc.MOST_BYTES
    tracemalloc.stop()


def test_profiles_are_not_cached():
    """The cache of transforms contains only digests of profiles."""
    tracemalloc.start()
    for index in range(12):
        data = PROFILES["matrix"][0]
        converted(data + bytes([index]) * (icc.MOST_BYTES - len(data)))
    del data
    assert tracemalloc.get_traced_memory()[0] < 1_000_000
    tracemalloc.stop()
    assert len(colour._transforms) <= colour._MOST_TRANSFORMS


def test_a_transformation_is_built_once():
    """A transform is cached for each profile and mode."""
    data = matrix_profile(DISPLAY_P3, 1.7)
    assert colour._transform(data, "RGB") is colour._transform(data, "RGB")
    assert colour._transform(data, "RGB") is not colour._transform(data, "RGBA")


@given(st.sampled_from(sorted(PROFILES)), st.integers(0, 2**32))
@settings(max_examples=examples(400))
def test_any_damage_ends_in_an_image_or_a_broken_profile(name, seed):
    """A damaged profile raises no other error."""
    data, mode = PROFILES[name]
    out = bytearray(data)
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(out)) if chance.random() < 0.5 else chance.randrange(min(len(out), 300))
        how = chance.randrange(4)
        if how == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            out[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", b"\x7f\xff\xff\xff"))
        elif how == 2:
            out[at : at + 4] = chance.choice((b"curv", b"para", b"mft1", b"mft2", b"mAB ", b"XYZ ", b"A2B0", b"text"))
        else:
            del out[at : at + chance.randint(1, 40)]
        if not out:
            break
    with contextlib.suppress(BrokenProfileError):
        assert converted(bytes(out), mode).mode == "RGB"
    is_srgb(bytes(out))


MEMORY = """
import resource, sys
from PIL import Image
from image_pipeline.imaging.colour import BrokenProfileError, to_srgb
resource.setrlimit(resource.RLIMIT_AS, (600_000_000, 600_000_000))
try:
    to_srgb(Image.new(sys.argv[1], (4, 4)), sys.stdin.buffer.read())
except BrokenProfileError:
    pass
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak memory of one process")
@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (profile({**WHITE, b"A2B0": lut16(points=85)}), "RGB"),
        (profile({**WHITE, b"A2B0": lut8(4, points=33)}, b"CMYK", kind=b"prtr"), "CMYK"),
        (profile({**WHITE, b"A2B0": lut8(), b"B2A0": lut16(outputs=15, points=255, table=b"")}), "RGB"),
    ],
    ids=["85 points", "33 points of CMYK", "a table that is not there"],
)
def test_the_largest_profiles_take_little_memory(data, mode):
    """A fresh process needs less than 100 MB, including Python and LittleCMS."""
    environment = {"PYTHONPATH": str(ROOT / "layers" / "core")}
    process = subprocess.run([sys.executable, "-c", MEMORY, mode], input=data, capture_output=True, env=environment)
    assert process.returncode == 0, process.stderr[-500:]
    assert int(process.stdout) < 100_000  # kB


def test_srgb_curves_are_recognised_in_either_form():
    """Parametric curves and tables of sRGB are recognised."""
    table = sampled_curve(lambda value: value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    assert is_srgb(rgb_profile(SRGB, D65, SRGB_CURVE))
    assert is_srgb(rgb_profile(SRGB, D65, table))
    assert not is_srgb(rgb_profile(SRGB, D65, b"curv" + bytes(8)))
    assert not is_srgb(profile({**WHITE, b"A2B0": lut8()}))


SRGB_COLUMNS = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7141)}
"""IEC 61966-2-1, adapted to D50: what sRGB profiles of all vendors hold."""


def srgb_but(column=b"", index=0, difference=0.0, curve=SRGB_CURVE):
    """The profile of sRGB with one number of one column changed, or with another curve."""
    tags = {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    for name, numbers in SRGB_COLUMNS.items():
        values = [value + difference * (name == column and place == index) for place, value in enumerate(numbers)]
        tags[name] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))
    return profile(tags, connection=b"XYZ ")


@pytest.mark.parametrize("column", SRGB_COLUMNS)
@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_columns_of_srgb_may_differ_by_rounding_only(column, index, sign):
    """Numbers within 0.002 are accepted; the difference is invisible in 8 bits."""
    assert is_srgb(srgb_but(column, index, 0.0018 * sign))
    assert not is_srgb(srgb_but(column, index, 0.0022 * sign))


def decode_srgb(value):
    """IEC 61966-2-1."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@pytest.mark.parametrize("steps", [0.4, -0.4, 0.6, -0.6])
def test_curves_of_srgb_may_differ_by_less_than_half_a_step(steps):
    """A difference of half a step of 255 would change pixels."""
    curve = sampled_curve(lambda value: decode_srgb(value + steps / 255))
    assert is_srgb(srgb_but(curve=curve)) == (abs(steps) < 0.5)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.8])
def test_a_curve_must_equal_that_of_srgb_in_shadows_and_lights(place):
    """A curve that differs from sRGB's in one tonal range is not sRGB."""
    curve = sampled_curve(lambda value: decode_srgb(value + 2 / 255 * (abs(value - place) < 0.05)))
    assert not is_srgb(srgb_but(curve=curve))
