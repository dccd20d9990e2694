"""Check untrusted ICC profiles (ICC.1:2022) before LittleCMS reads them, and recognise those that are sRGB.

LittleCMS trusts the table sizes that a profile declares: 30 bytes can take half a gigabyte of memory. It also evaluates
multi-process chains of any length: 160 kB can take twenty seconds. `sanitise` rejects such tables and removes chains.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

MOST_BYTES = 4_000_000
"""Largest profile, in bytes. The largest ones in use, for print, have 3 MB."""

_HEADER = 128
_MOST_TAGS = 100
_CLASSES = frozenset({b"mntr", b"scnr", b"prtr", b"spac"})
"""Classes of devices and colour spaces; profiles of other classes do not describe pixels (section 7.2.5)."""
_CURVES = frozenset({b"rTRC", b"gTRC", b"bTRC", b"kTRC"})
_CHAINS = (b"D2B", b"B2D")
"""Tags of multi-process elements, which are optional additions to the usual tables (section 9.2.17)."""


class BrokenProfileError(ValueError):
    """The profile cannot be used for these pixels."""


class _ProfileTag(NamedTuple):
    name: bytes
    start: int
    length: int


def space(profile: bytes) -> bytes:
    """Return the colour space of the pixels: `RGB `, `GRAY`, `CMYK` …"""
    return profile[16:20]


def sanitise(profile: bytes) -> bytes:
    """Return the profile without the tags that LittleCMS must not evaluate.

    Raises:
        BrokenProfileError: it is not a profile, or it would take too much memory.
    """
    if len(profile) > MOST_BYTES:
        raise BrokenProfileError(f"the colour profile has more than {MOST_BYTES / 1e6:.0f} MB")
    if profile[36:40] != b"acsp" or profile[12:16] not in _CLASSES:
        raise BrokenProfileError("the colour profile is damaged")
    out = bytearray(profile)
    for index, tag in enumerate(_tags(profile)):
        if tag.name.startswith(_CHAINS):
            out[_HEADER + 4 + 12 * index] = 0  # a name that no reader looks for
            continue
        is_valid = _is_curve if tag.name in _CURVES else _contains_its_table
        if not is_valid(profile, tag):
            raise BrokenProfileError("the colour profile is damaged")
    return bytes(out)


def _tags(profile: bytes) -> list[_ProfileTag]:
    """Read the tag table (section 7.3).

    Raises:
        BrokenProfileError: the table is cut off or too long.
    """
    count = int.from_bytes(profile[_HEADER : _HEADER + 4], "big")
    table = profile[_HEADER + 4 : _HEADER + 4 + 12 * count]
    if not 0 < count <= _MOST_TAGS or len(table) < 12 * count:
        raise BrokenProfileError("the colour profile is damaged")
    return [_ProfileTag(*struct.unpack_from(">4sII", table, 12 * index)) for index in range(count)]


def _is_curve(profile: bytes, tag: _ProfileTag) -> bool:
    """Return whether a curve has a value everywhere; LittleCMS returns black for a negative base."""
    data = _data(profile, tag)
    try:
        return all(_curve(data, at / 16) is not None for at in range(17))
    except struct.error:
        return False


def _contains_its_table(profile: bytes, tag: _ProfileTag) -> bool:
    """Return whether a lookup table has enough bytes for its channels and grid points (10.10 to 10.13)."""
    head = profile[tag.start : tag.start + min(tag.length, 32)]
    kind = head[:4]
    if kind not in (b"mft1", b"mft2", b"mAB ", b"mBA "):
        return True
    if len(head) < 32:
        return False
    inputs, outputs, points = head[8:11]
    if kind in (b"mft1", b"mft2"):
        grid = [points] * inputs
        width = 1 if kind == b"mft1" else 2
    else:
        start = int.from_bytes(head[24:28], "big")
        if start == 0:
            return True  # curves and a matrix only
        table = profile[tag.start + start : tag.start + start + 17]
        if len(table) < 17 or inputs > 16:
            return False
        grid = list(table[:inputs])
        width = table[16]
    size = outputs * width * math.prod(grid)
    return 0 < size <= min(tag.length, len(profile) - tag.start)


# Curves ---------------------------------------------------------------------------------------------------------------

_LONGEST_CURVE = 12 + 2 * 65536


def _data(profile: bytes, tag: _ProfileTag) -> bytes:
    """Return the data of a tag, at most as long as the longest curve."""
    return profile[tag.start : tag.start + min(tag.length, _LONGEST_CURVE)]


def _curve(data: bytes, at: float) -> float | None:
    """Return the value of a `curv` or `para` curve (10.6 and 10.18) at 0 … 1; None if it has none."""
    if data[:4] == b"para":
        return _parametric(data, at)
    if data[:4] != b"curv":
        return None
    count = struct.unpack(">I", data[8:12])[0]
    if count == 0:
        return at
    if count == 1:
        return float(at ** (struct.unpack(">H", data[12:14])[0] / 256))
    left = min(int(at * (count - 1)), count - 2)
    low, high = struct.unpack(">2H", data[12 + 2 * left : 16 + 2 * left])
    return float((low + (high - low) * (at * (count - 1) - left)) / 65535)


def _parametric(data: bytes, at: float) -> float | None:
    kind = struct.unpack(">H", data[8:10])[0]
    if kind > 4:
        return None
    count = (1, 3, 4, 5, 7)[kind]
    numbers: list[float] = [value / 65536 for value in struct.unpack(f">{count}i", data[12 : 12 + 4 * count])]
    g, a, b, c, d, e, f = numbers + [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count:]
    base = a * at + b
    if kind in (1, 2):
        is_linear = base < 0
        linear_value = offset = c
    else:
        is_linear = at < d
        linear_value = c * at + f
        offset = e
    if is_linear:
        return linear_value
    if base < 0 or (base == 0 and g < 0):
        return None
    try:
        return math.pow(base, g) + offset
    except OverflowError:
        return None


# Profiles that are sRGB -----------------------------------------------------------------------------------------------

_SRGB_COLUMNS = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""XYZ of red, green and blue of sRGB, adapted to D50 (IEC 61966-2-1, Bradford), as stored in sRGB profiles."""
_SAMPLES = (0.1, 0.3, 0.5, 0.8)


def is_srgb(profile: bytes) -> bool:
    """Return whether an RGB profile is sRGB: columns within 0.002, curves within half a step of 255."""
    if space(profile) != b"RGB ":
        return False
    try:
        tags = {tag.name: tag for tag in _tags(profile)}
        if any(name.startswith(b"A2B") for name in tags):
            return False  # lookup tables take precedence over columns and curves
        return all(
            _near(_xyz(_data(profile, tags[name + b"XYZ"])), column)
            and _is_srgb_curve(_data(profile, tags[name + b"TRC"]))
            for name, column in zip((b"r", b"g", b"b"), _SRGB_COLUMNS, strict=True)
        )
    except (BrokenProfileError, KeyError, struct.error):
        return False


def _near(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return all(abs(a - b) < 0.002 for a, b in zip(one, two, strict=True))


def _xyz(data: bytes) -> tuple[float, ...]:
    return tuple(value / 65536 for value in struct.unpack(">3i", data[8:20]))


def _is_srgb_curve(data: bytes) -> bool:
    for at in _SAMPLES:
        light = _curve(data, at)
        if light is None or not abs(_srgb_encode(light) - at) < 0.5 / 255:
            return False
    return True


def _srgb_encode(linear: float) -> float:
    return linear * 12.92 if linear <= 0.0031308 else float(1.055 * linear ** (1 / 2.4) - 0.055)
