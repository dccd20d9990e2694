"""Colours of any picture → sRGB, 8 bits: ICC profiles, CMYK, wide gamuts.

The transformation is LittleCMS's, as Pillow wraps it: relative colorimetric with black point compensation. It is built
once for each profile and kept. A profile that says sRGB in numbers, whatever its name, costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}

_SRGB_COLUMNS = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""XYZ of red, green and blue of sRGB adapted to D50 (IEC 61966-2-1, Bradford), as its profiles hold them."""

Point = tuple[float, float]
"""CIE 1931 chromaticity (x, y)."""
Primaries = tuple[Point, Point, Point]
"""Chromaticities of red, green and blue."""

# White is D65 for all of these.
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
"""Adobe RGB (1998), section 4.3.1; its curve is a pure power of 563 / 256."""
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
"""SMPTE EG 432-1 primaries with D65 and the sRGB curve."""
BT2020 = ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
"""ITU-R BT.2020."""
D65 = (0.3127, 0.3290)
"""White of daylight, as nearly all RGB spaces have it."""
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50_XYZ = (0.9642, 1.0, 0.8249)
_XYZ_TYPE = b"XYZ \0\0\0\0"

Matrix = tuple[tuple[float, ...], ...]


class BrokenProfileError(ValueError):
    """The profile cannot be used for these pixels."""


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB.

    Args:
        image: mode L, RGB, RGBA, CMYK or LAB.
        profile: an ICC profile of the same colour space.

    Returns:
        Mode RGB, or RGBA where there was alpha; the picture itself where the profile is sRGB's.

    Raises:
        BrokenProfileError: the profile is unreadable or for another colour space; the picture is untouched.
    """
    if image.mode in ("RGB", "RGBA") and is_srgb(profile):
        return image
    if profile[16:20] != _SPACES.get(image.mode):
        raise BrokenProfileError(f"the colour profile is for {profile[16:20]!r}, the pixels are {image.mode}")
    transform = _transform(profile, image.mode)
    return transform.apply(image)


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform:
    from PIL import ImageCms  # starting LittleCMS costs milliseconds that most pictures do not need

    out_mode = "RGBA" if mode == "RGBA" else "RGB"
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            mode,
            out_mode,
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise BrokenProfileError(f"the colour profile is broken: {error}") from error


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """A LAB picture (D50) in sRGB, mode RGB."""
    from PIL import ImageCms

    lab = ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(lab, ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return transform.apply(image)


@lru_cache(maxsize=32)
def is_srgb(profile: bytes) -> bool:
    """Whether an RGB profile gives sRGB's colours: its columns within 0.002, its curves within half a step of 255."""
    if profile[16:20] != b"RGB ":
        return False
    try:
        tags = _tags(profile)
        columns = [_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        curves = [tags[name] for name in (b"rTRC", b"gTRC", b"bTRC")]
        near = all(
            abs(a - b) < 0.002
            for one, two in zip(columns, _SRGB_COLUMNS, strict=True)
            for a, b in zip(one, two, strict=True)
        )
        return near and all(
            abs(_srgb_encode(_curve(curve, at)) - at) < 0.5 / 255 for curve in curves for at in (0.1, 0.3, 0.5, 0.8)
        )
    except (KeyError, struct.error, IndexError, ValueError, OverflowError, ZeroDivisionError):
        return False


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Tag data by signature (ICC.1:2022, 7.3); of a profile with lookup tables nothing is of use here."""
    count = min(struct.unpack(">I", profile[128:132])[0], 100)
    tags = {}
    for index in range(count):
        name, start, length = struct.unpack(">4sII", profile[132 + 12 * index : 144 + 12 * index])
        tags[name] = profile[start : start + length]
    if b"A2B0" in tags:
        raise ValueError("lookup tables decide")
    return tags


def _xyz(data: bytes) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack(">3i", data[8:20]))


def _curve(data: bytes, at: float) -> float:
    """Value of a `curv` or `para` curve (ICC.1:2022, 10.6 and 10.18) at 0…1."""
    if data[:4] == b"curv":
        count = struct.unpack(">I", data[8:12])[0]
        if count == 0:
            return at
        if count == 1:
            return float(at ** (struct.unpack(">H", data[12:14])[0] / 256))
        left = min(int(at * (count - 1)), count - 2)
        low, high = struct.unpack(">2H", data[12 + 2 * left : 16 + 2 * left])
        return float((low + (high - low) * (at * (count - 1) - left)) / 65535)
    kind = struct.unpack(">H", data[8:10])[0]
    sizes = (1, 3, 4, 5, 7)
    values = [each / 65536 for each in struct.unpack(f">{sizes[kind]}i", data[12 : 12 + 4 * sizes[kind]])]
    g, a, b, c, d, e, f = (values + [0.0] * 7)[:7]
    if kind == 0:
        return float(at**g)
    if kind in (1, 2):
        return float((a * at + b) ** g + c if at >= -b / a else c)
    return float((a * at + b) ** g + e if at >= d else c * at + f)


def _srgb_encode(linear: float) -> float:
    return linear * 12.92 if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


# Profiles for files that name their colour space without bringing one ------------------------------------------------


@lru_cache(maxsize=4)
def matrix_profile(primaries: Primaries, gamma: float | None, white: Point = D65) -> bytes:
    """A version 4 ICC profile of an RGB space with one curve.

    Args:
        primaries: (x, y) of red, green and blue.
        gamma: a pure power; None stands for the sRGB curve.
        white: (x, y) of white.
    """
    return rgb_profile(primaries, white, SRGB_CURVE if gamma is None else power_curve(gamma))


def rgb_profile(primaries: Primaries, white: Point, curve: bytes) -> bytes:
    """A version 4 ICC profile of an RGB space.

    Args:
        primaries: (x, y) of red, green and blue.
        white: (x, y) of white.
        curve: `SRGB_CURVE`, or what `power_curve` or `sampled_curve` return.
    """
    columns = _adapted_columns(primaries, white)
    tags = {
        name + b"XYZ": _XYZ_TYPE + b"".join(_fixed(row[index]) for row in columns)
        for index, name in enumerate((b"r", b"g", b"b"))
    }
    return _profile(b"RGB ", {**tags, **{name + b"TRC": curve for name in (b"r", b"g", b"b")}})


def grey_profile(curve: bytes) -> bytes:
    """A version 4 ICC profile of a grey scale; `curve` as for `rgb_profile`."""
    return _profile(b"GRAY", {b"kTRC": curve})


def power_curve(gamma: float) -> bytes:
    """A `para` curve: light is the value to the power of `gamma` (ICC.1:2022, 10.18)."""
    return b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)


def sampled_curve(light: Callable[[float], float]) -> bytes:
    """A `curv` table of a function from value to light, both 0 to 1 (ICC.1:2022, 10.6)."""
    count = 4 * 255 + 1  # so that every value of 8 bits is a sample
    samples = (min(1.0, max(0.0, light(index / (count - 1)))) for index in range(count))
    return b"curv\0\0\0\0" + struct.pack(f">I{count}H", count, *(round(65535 * each) for each in samples))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    white = b"".join(map(_fixed, _D50_XYZ))
    tags = {b"wtpt": _XYZ_TYPE + white, **tags}
    at = 132 + 12 * len(tags)
    table, body = len(tags).to_bytes(4, "big"), b""
    for name, value in tags.items():
        table += name + (at + len(body)).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        body += value + b"\0" * (-len(value) % 4)
    header = bytearray(128)
    header[0:4] = (at + len(body)).to_bytes(4, "big")
    header[8:24] = b"\x04\x30\0\0mntr" + space + b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = white
    return bytes(header) + table + body


def _fixed(value: float) -> bytes:
    return round(value * 65536).to_bytes(4, "big", signed=True)


SRGB_CURVE = b"para\0\0\0\0\0\x03\0\0" + b"".join(
    map(_fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)  # fmt: skip
"""The curve of IEC 61966-2-1 as a `para` curve."""


def _adapted_columns(primaries: Primaries, white_point: Point) -> Matrix:
    """RGB → XYZ for D50: columns are the primaries, scaled to add up to white, adapted by Bradford."""
    xyz = tuple((x, y, 1 - x - y) for x, y in primaries)
    columns = tuple(zip(*xyz, strict=True))
    x, y = white_point
    white = (x / y, 1.0, (1 - x - y) / y)
    scale = _apply(_inverse(columns), white)
    rgb = tuple(tuple(value * factor for value, factor in zip(row, scale, strict=True)) for row in columns)
    cone_from, cone_to = _apply(_BRADFORD, white), _apply(_BRADFORD, _D50_XYZ)
    ratio = tuple(b / a for a, b in zip(cone_from, cone_to, strict=True))
    scaled = tuple(tuple(value * ratio[i] for value in row) for i, row in enumerate(_BRADFORD))
    return _product(_product(_inverse(_BRADFORD), scaled), rgb)


def _apply(matrix: Matrix, vector: tuple[float, ...]) -> tuple[float, float, float]:
    one, two, three = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return one, two, three


def _product(left: Matrix, right: Matrix) -> Matrix:
    columns = [_apply(left, column) for column in zip(*right, strict=True)]
    return tuple(zip(*columns, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple(tuple(value / determinant for value in row) for row in rows)
