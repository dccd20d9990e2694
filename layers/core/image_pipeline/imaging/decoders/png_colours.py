"""Find the ICC profile for the colours of a PNG.

The order is that of PNG 3rd edition, section 4.3: cICP, iCCP, sRGB, then gAMA and cHRM. A chunk that is damaged or has
invalid values is skipped. Chromium 156 does the same, with one difference: for it, a gAMA of 1/2.2 with the cHRM of
sRGB means a power curve. Here this pair means sRGB, as in libpng, ImageMagick and libvips: section 11.3.2.5 recommends
that writers add it to every sRGB image.
"""

from __future__ import annotations

import struct
import zlib

from image_pipeline.imaging import icc
from image_pipeline.imaging.cicp import cicp_profile, is_specified
from image_pipeline.imaging.colour import D65, Chromaticity, Primaries, grey_profile, power_curve, rgb_profile
from image_pipeline.imaging.containers.png import GREY, GREY_ALPHA, Png, payload
from image_pipeline.imaging.reader import BrokenContainerError, Reader

_BROKEN = "The colour profile is damaged and was ignored; colours may look different."

_SRGB_PRIMARIES: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_SRGB_GAMMA = 2.2
"""Encoders write its reciprocal to mean the sRGB curve."""
_SAME_GAMMA, _SAME_CHROMATICITY = 0.03, 0.003
_GAMMAS = 0.1, 10.0
"""Lowest and highest gamma; beyond them, an image would be black or white."""


def find_profile(reader: Reader, parts: Png) -> tuple[bytes, tuple[str, ...]]:
    """Return an ICC profile and warnings; the profile is empty if the colours are sRGB or unspecified."""
    grey = parts.colour_type in (GREY, GREY_ALPHA)
    points = _data(reader, parts, b"cICP", 4)
    if points and points[2:] == b"\x00\x01" and is_specified(points[0], points[1]):  # RGB, full range
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
    """Return the payload of a chunk, if it is intact and has this size."""
    chunk = parts.chunks.get(kind)
    return payload(reader, chunk) if chunk and chunk.length == size else None


def _embedded(reader: Reader, parts: Png, grey: bool) -> bytes:
    """Return the profile of iCCP, which follows a name and the compression method (section 11.3.2.3)."""
    chunk = parts.chunks[b"iCCP"]
    data = (payload(reader, chunk) if chunk.length <= icc.MOST_BYTES else None) or b""
    _, _, rest = data.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], icc.MOST_BYTES + 1)
    except zlib.error as error:
        raise icc.BrokenProfileError("the colour profile is broken") from error
    if rest[:1] != b"\0" or icc.space(profile) not in ((b"GRAY", b"RGB ") if grey else (b"RGB ",)):
        raise icc.BrokenProfileError("the colour profile does not fit the pixels")
    icc.sanitise(profile)
    return profile


def _from_gamma(reader: Reader, parts: Png, grey: bool) -> bytes:
    """Build a profile from gAMA with the primaries of cHRM. cHRM alone defines no curve and is ignored."""
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


def _chromaticities(reader: Reader, parts: Png) -> tuple[Primaries, Chromaticity]:
    """Return primaries and white of cHRM; those of sRGB if it is missing, invalid or nearly the same."""
    stored = _data(reader, parts, b"cHRM", 32)
    numbers = [value / 100_000 for value in struct.unpack(">8i", stored)] if stored else []
    srgb = (*D65, *(value for point in _SRGB_PRIMARIES for value in point))
    if not _span_colours(numbers) or all(abs(a - b) < _SAME_CHROMATICITY for a, b in zip(numbers, srgb, strict=True)):
        return _SRGB_PRIMARIES, D65
    white, red, green, blue = zip(numbers[::2], numbers[1::2], strict=True)
    return (red, green, blue), white


def _span_colours(numbers: list[float]) -> bool:
    """Return whether the primaries form a triangle around white in the CIE 1931 diagram."""
    if not numbers or not all(0 <= x <= 1 and 0 < y <= 1 for x, y in zip(numbers[::2], numbers[1::2], strict=True)):
        return False
    white, *corners = zip(numbers[::2], numbers[1::2], strict=True)
    red, green, blue = corners
    areas = [_area(start, end, white) for start, end in ((red, green), (green, blue), (blue, red))]
    return all(area > _LEAST_AREA for area in areas) or all(area < -_LEAST_AREA for area in areas)


_LEAST_AREA = 0.001


def _area(a: Chromaticity, b: Chromaticity, c: Chromaticity) -> float:
    """Return twice the area of a triangle, negative if its corners go clockwise."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
