"""Convert the colours of any image to 8-bit sRGB: ICC profiles, CMYK, wide gamuts.

LittleCMS, through Pillow, transforms the pixels: relative colorimetric with black point compensation. The transform of
a profile is built once and cached. A profile whose numbers are those of sRGB, whatever its name, is not applied at all.
"""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from image_pipeline.imaging import icc
from image_pipeline.imaging.icc import BrokenProfileError as BrokenProfileError

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "RGBA": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}

Chromaticity = tuple[float, float]
"""CIE 1931 chromaticity (x, y)."""
Primaries = tuple[Chromaticity, Chromaticity, Chromaticity]
"""Chromaticities of red, green and blue."""

# The white point of all of these is D65.
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
"""Adobe RGB (1998), section 4.3.1; its curve is a pure power of 563 / 256."""
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
"""SMPTE EG 432-1 primaries with D65 and the sRGB curve."""
BT2020 = ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))
"""ITU-R BT.2020."""
D65 = (0.3127, 0.3290)
"""Daylight, the white point of nearly all RGB spaces."""
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_D50_XYZ = (0.9642, 1.0, 0.8249)
_XYZ_TYPE = b"XYZ \0\0\0\0"

Matrix = tuple[tuple[float, ...], ...]


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image to sRGB.

    Args:
        image: mode L, RGB, RGBA, CMYK or LAB.
        profile: the ICC profile of its pixels. An RGB profile also fits grey pixels, and a grey profile also fits RGBA
            pixels that are all grey.

    Returns:
        Mode RGB, or RGBA if the image has alpha; the same image if the profile is sRGB.

    Raises:
        BrokenProfileError: the profile is unreadable or does not fit the pixels. The image is unchanged.
    """
    profile_space = icc.space(profile)
    if profile_space == b"RGB ":
        if image.mode in ("L", "RGB", "RGBA") and icc.is_srgb(profile):
            return image
        if image.mode == "L":
            image = image.convert("RGB")
    if profile_space == b"GRAY" and image.mode == "RGBA" and _is_grey(image):
        out = to_srgb(image.getchannel("R"), profile)
        out.putalpha(image.getchannel("A"))
        return out
    if profile_space != _SPACES.get(image.mode):
        name = profile_space.decode("ascii").strip() if profile_space.strip().isalnum() else "unknown"
        raise BrokenProfileError(f"the colour space of the profile is {name}, but the pixels are {image.mode}")
    return _transform(profile, image.mode).apply(image)


def _is_grey(image: Image.Image) -> bool:
    red, green, blue, _ = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


_MOST_TRANSFORMS = 8
_transforms: OrderedDict[tuple[bytes, str], ImageCmsTransform] = OrderedDict()
"""The most recently used transforms, by (SHA-256 of the profile, mode). The profiles themselves are not kept."""


def _transform(profile: bytes, mode: str) -> ImageCmsTransform:
    profile = icc.sanitise(profile)
    key = hashlib.sha256(profile).digest(), mode
    if key not in _transforms:
        _transforms[key] = _build_transform(profile, mode)
    _transforms.move_to_end(key)
    if len(_transforms) > _MOST_TRANSFORMS:
        _transforms.popitem(last=False)
    return _transforms[key]


def _build_transform(profile: bytes, mode: str) -> ImageCmsTransform:
    from PIL import ImageCms  # loading LittleCMS takes milliseconds, and most images do not need it

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
        raise BrokenProfileError("the colour profile is broken") from error


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert a LAB image (D50) to sRGB, mode RGB."""
    from PIL import ImageCms

    lab = ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(lab, ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return transform.apply(image)


# Profiles for files that name their colour space but do not embed a profile -------------------------------------------


@lru_cache(maxsize=4)
def matrix_profile(primaries: Primaries, gamma: float | None, white: Chromaticity = D65) -> bytes:
    """Build a version 4 ICC profile of an RGB space whose three channels have the same curve.

    Args:
        primaries: (x, y) of red, green and blue.
        gamma: exponent of a power curve; None means the sRGB curve.
        white: (x, y) of white.
    """
    return rgb_profile(primaries, white, SRGB_CURVE if gamma is None else power_curve(gamma))


def rgb_profile(primaries: Primaries, white: Chromaticity, curve: bytes) -> bytes:
    """Build a version 4 ICC profile of an RGB space.

    Args:
        primaries: (x, y) of red, green and blue.
        white: (x, y) of white.
        curve: `SRGB_CURVE`, or the result of `power_curve` or `sampled_curve`.
    """
    columns = _adapted_columns(primaries, white)
    tags = {
        name + b"XYZ": _XYZ_TYPE + b"".join(_fixed(row[index]) for row in columns)
        for index, name in enumerate((b"r", b"g", b"b"))
    }
    return _profile(b"RGB ", {**tags, **{name + b"TRC": curve for name in (b"r", b"g", b"b")}})


def grey_profile(curve: bytes) -> bytes:
    """Build a version 4 ICC profile of a grey scale; `curve` as for `rgb_profile`."""
    return _profile(b"GRAY", {b"kTRC": curve})


def power_curve(gamma: float) -> bytes:
    """Build a `para` curve: light is the value to the power of `gamma` (ICC.1:2022, 10.18)."""
    return b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)


def sampled_curve(light: Callable[[float], float]) -> bytes:
    """Build a `curv` table from a function that maps a value to light, both 0 to 1 (ICC.1:2022, 10.6)."""
    count = 4 * 255 + 1  # so that every 8-bit value is a sample
    samples = (min(1.0, max(0.0, light(index / (count - 1)))) for index in range(count))
    return b"curv\0\0\0\0" + struct.pack(f">I{count}H", count, *(round(65535 * sample) for sample in samples))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    white = b"".join(map(_fixed, _D50_XYZ))
    tags = {b"wtpt": _XYZ_TYPE + white, **tags}
    body_start = 132 + 12 * len(tags)
    table = len(tags).to_bytes(4, "big")
    body = b""
    for name, value in tags.items():
        table += name + (body_start + len(body)).to_bytes(4, "big") + len(value).to_bytes(4, "big")
        body += value + b"\0" * (-len(value) % 4)
    header = bytearray(128)
    header[0:4] = (body_start + len(body)).to_bytes(4, "big")
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


def _adapted_columns(primaries: Primaries, white_point: Chromaticity) -> Matrix:
    """Return the RGB → XYZ matrix for D50: the primaries, scaled so that they add up to white, adapted by Bradford."""
    xyz = tuple((x, y, 1 - x - y) for x, y in primaries)
    columns = tuple(zip(*xyz, strict=True))
    x, y = white_point
    white = (x / y, 1.0, (1 - x - y) / y)
    scale = _apply(_inverse(columns), white)
    rgb = tuple(tuple(value * factor for value, factor in zip(row, scale, strict=True)) for row in columns)
    source_cone = _apply(_BRADFORD, white)
    target_cone = _apply(_BRADFORD, _D50_XYZ)
    ratio = tuple(target / source for source, target in zip(source_cone, target_cone, strict=True))
    scaled = tuple(tuple(value * ratio[i] for value in row) for i, row in enumerate(_BRADFORD))
    return _product(_product(_inverse(_BRADFORD), scaled), rgb)


def _apply(matrix: Matrix, vector: tuple[float, ...]) -> tuple[float, float, float]:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


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
