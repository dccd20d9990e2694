"""Convert colour code points (ITU-T H.273) to ICC profiles: `nclx` in AVIF and HEIF, `cICP` in PNG.

The sRGB curve replaces the curves of SDR video (BT.709, BT.601, BT.2020 and similar ones), as in Chromium's AVIF
support: encoders write these code points for images that were sRGB. PQ and HLG are mapped to SDR; see `_sdr`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from image_pipeline.imaging.colour import (
    BT2020,
    D65,
    DISPLAY_P3,
    SRGB_CURVE,
    Chromaticity,
    Primaries,
    grey_profile,
    power_curve,
    rgb_profile,
    sampled_curve,
)

_UNSPECIFIED = 2

_C = (0.310, 0.316)
_BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_BT601_525 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

_PRIMARIES: dict[int, tuple[Primaries, Chromaticity]] = {
    1: (_BT709, D65),
    _UNSPECIFIED: (_BT709, D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _C),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: (_BT601_525, D65),
    7: (_BT601_525, D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _C),
    9: (BT2020, D65),
    10: (((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)), (1 / 3, 1 / 3)),
    11: (DISPLAY_P3, (0.314, 0.351)),
    12: (DISPLAY_P3, D65),
    22: (((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), D65),
}
"""H.273 table 2: (primaries, white) by ColourPrimaries."""

_SRGB_LIKE = frozenset({1, _UNSPECIFIED, 6, 11, 12, 13, 14, 15})
"""TransferCharacteristics (H.273 table 3) that are decoded with the sRGB curve."""


@lru_cache(maxsize=16)
def cicp_profile(primaries: int, transfer: int, grey: bool = False) -> bytes | None:
    """Build the ICC profile for a pair of code points.

    Args:
        primaries: ColourPrimaries; 2 ("unspecified") means BT.709.
        transfer: TransferCharacteristics; 2 ("unspecified") means sRGB.
        grey: whether the pixels are grey.

    Returns:
        None if the colours are already sRGB, or if a value is reserved or unsupported (the logarithmic curves 9 and
        10).
    """
    curve = _curve(transfer)
    if curve is None or primaries not in _PRIMARIES:
        return None
    chromaticities, white = _PRIMARIES[primaries]
    if curve == SRGB_CURVE and (grey or chromaticities == _BT709):
        return None
    return grey_profile(curve) if grey else rgb_profile(chromaticities, white, curve)


def is_specified(primaries: int, transfer: int) -> bool:
    """Return whether both code points are specified and supported."""
    return _UNSPECIFIED not in (primaries, transfer) and primaries in _PRIMARIES and _curve(transfer) is not None


def _curve(transfer: int) -> bytes | None:
    if transfer in _SRGB_LIKE:
        return SRGB_CURVE
    if transfer in _POWERS:
        return power_curve(_POWERS[transfer])
    function = _FUNCTIONS.get(transfer)
    return sampled_curve(function) if function else None


_POWERS = {4: 2.2, 5: 2.8, 8: 1.0}

_REFERENCE_WHITE, _BRIGHTEST = 203.0, 1000.0
"""Luminance in cd/m² of diffuse white, and of the brightest highlights that remain distinguishable (ITU-R BT.2408)."""


def _sdr(luminance: float) -> float:
    """Map luminance in cd/m² to linear SDR light, 0 to 1.

    Light up to the reference white is halved, which keeps the contrast of the image. Highlights up to 1,000 cd/m² use
    the other half; brighter ones become white. Greys differ by at most 3 of 255 steps from Chromium 156 on an SDR
    display. Saturated colours differ more, because Chromium compresses the brightest channel and this function
    compresses each channel.
    """
    light = luminance / _REFERENCE_WHITE
    if light <= 1:
        return light / 2
    highlight = min(1.0, (light - 1) / (_BRIGHTEST / _REFERENCE_WHITE - 1))
    return 0.5 + 0.5 * highlight * 3 / (1 + 2 * highlight)


def _pq(value: float) -> float:
    """SMPTE ST 2084."""
    root = value ** (32 / 2523)
    return _sdr(10_000 * (max(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610))


def _hlg(value: float) -> float:
    """ITU-R BT.2100 on the nominal display of 1,000 cd/m²; the system gamma of 1.2 is applied to each channel."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = value**2 / 3 if value <= 0.5 else (math.exp((value - c) / a) + b) / 12
    return _sdr(1000 * scene**1.2)


def _smpte_240m(value: float) -> float:
    return value / 4 if value < 0.0912 else ((value + 0.1115) / 1.1115) ** (1 / 0.45)


def _smpte_428(value: float) -> float:
    return float(52.37 / 48 * value**2.6)


_FUNCTIONS: dict[int, Callable[[float], float]] = {7: _smpte_240m, 16: _pq, 17: _smpte_428, 18: _hlg}
