"""Which colours the samples of a PNG stand for → ICC profile.

The order is that of PNG 3rd edition, section 4.3: cICP, iCCP, sRGB, then gAMA and cHRM. A chunk that is damaged, or has
values without a meaning, is passed over. Chromium 156 does the same, with one difference: it reads a gAMA of 1/2.2
beside the cHRM of sRGB as a pure power. Here that pair stands for sRGB, as in libpng, ImageMagick and libvips: section
11.3.2.5 recommends that writers add it to every sRGB picture.
"""

from __future__ import annotations

import struct
import zlib

from image_pipeline.imaging import icc
from image_pipeline.imaging.cicp import cicp_profile, is_specified
from image_pipeline.imaging.colour import D65, Point, Primaries, grey_profile, power_curve, rgb_profile
from image_pipeline.imaging.containers.png import GREY, GREY_ALPHA, Png, payload
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_BROKEN = "Colours are shown without the colour profile, which is broken."

_SRGB_PRIMARIES: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_SRGB_GAMMA = 2.2
"""Encoders write its reciprocal for the curve of sRGB."""
_SAME_GAMMA, _SAME_CHROMATICITY = 0.03, 0.003
_GAMMAS = 0.1, 10.0
"""Beyond these nothing could be seen."""


def find_profile(reader: Reader, parts: Png) -> tuple[bytes, tuple[str, ...]]:
    """An ICC profile, empty where the colours are sRGB's or nothing is said; and what a person should know."""
    grey = parts.colour_type in (GREY, GREY_ALPHA)
    points = _data(reader, parts, b"cICP", 4)
    if points and points[2:] == b"\x00\x01" and is_specified(points[0], points[1]):  # RGB, of full range
        return cicp_profile(points[0], points[1], grey) or b"", ()
    warnings: tuple[str, ...] = ()
    if b"iCCP" in parts.chunks:
        try:
            return _embedded(reader, parts, grey), ()
        except (icc.BrokenProfileError, BrokenContainerError):
            warnings = (_BROKEN,)
    intent = _data(reader, parts, b"sRGB", 1)
    if intent and intent[0] <= 3:
        return b"", warnings
    return _from_gamma(reader, parts, grey), warnings


def _data(reader: Reader, parts: Png, kind: bytes, size: int) -> bytes | None:
    """Payload of an intact chunk of this size."""
    chunk = parts.chunks.get(kind)
    return payload(reader, chunk) if chunk and chunk.length == size else None


def _embedded(reader: Reader, parts: Png, grey: bool) -> bytes:
    """The profile of iCCP: a name, the compression method, and the profile (section 11.3.2.3)."""
    chunk = parts.chunks[b"iCCP"]
    data = (payload(reader, chunk) if chunk.length <= icc.MOST_BYTES else None) or b""
    _, _, rest = data.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], icc.MOST_BYTES + 1)
    except zlib.error as error:
        raise icc.BrokenProfileError("the colour profile is broken") from error
    if rest[:1] != b"\0" or icc.space(profile) not in ((b"GRAY", b"RGB ") if grey else (b"RGB ",)):
        raise icc.BrokenProfileError("the colour profile is for other pixels")
    icc.checked(profile)
    return profile


def _from_gamma(reader: Reader, parts: Png, grey: bool) -> bytes:
    """From gAMA, with the primaries of cHRM; cHRM alone says nothing about the curve and is passed over."""
    stored = _data(reader, parts, b"gAMA", 4)
    value = int.from_bytes(stored, "big") if stored else 0
    gamma = 100_000 / value if value else 0.0
    if not _GAMMAS[0] <= gamma <= _GAMMAS[1]:
        return b""
    primaries, white = _chromaticities(reader, parts)
    same_curve = abs(gamma - _SRGB_GAMMA) < _SAME_GAMMA
    if same_curve and (grey or (primaries == _SRGB_PRIMARIES and white == D65)):
        return b""
    curve = power_curve(gamma)
    return grey_profile(curve) if grey else rgb_profile(primaries, white, curve)


def _chromaticities(reader: Reader, parts: Png) -> tuple[Primaries, Point]:
    """Primaries and white of cHRM; those of sRGB where there is none, or these are close to them or span no colours."""
    stored = _data(reader, parts, b"cHRM", 32)
    numbers = [value / 100_000 for value in struct.unpack(">8i", stored)] if stored else []
    own = (*D65, *(value for point in _SRGB_PRIMARIES for value in point))
    if not _span_colours(numbers) or all(abs(a - b) < _SAME_CHROMATICITY for a, b in zip(numbers, own, strict=True)):
        return _SRGB_PRIMARIES, D65
    white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
    return (red, green, blue), white


def _span_colours(numbers: list[float]) -> bool:
    """Whether the primaries are a triangle with white inside, in the plane of CIE 1931."""
    if not numbers or not all(0 <= x <= 1 and 0 < y <= 1 for x, y in zip(numbers[::2], numbers[1::2], strict=True)):
        return False
    white, *corners = zip(numbers[::2], numbers[1::2], strict=True)
    red, green, blue = corners
    areas = [_area(one, two, white) for one, two in ((red, green), (green, blue), (blue, red))]
    return all(area > _LEAST_AREA for area in areas) or all(area < -_LEAST_AREA for area in areas)


_LEAST_AREA = 0.001


def _area(one: Point, two: Point, three: Point) -> float:
    """Twice the area of a triangle, negative where its corners go clockwise."""
    return (two[0] - one[0]) * (three[1] - one[1]) - (three[0] - one[0]) * (two[1] - one[1])
