"""The frames of an animation, in one shape for all formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from PIL import Image

MOST_FRAMES = 2_000
"""Largest number of frames of an animation that is shown: 80 seconds at 25 frames per second."""
MOST_MILLISECONDS = (1 << 24) - 1
"""Longest duration of a frame that a WebP can store (RFC 9649, section 2.7.1.1)."""

_SHORTEST_MILLISECONDS, _DEFAULT_MILLISECONDS = 10, 100

Rectangle = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels."""


class Disposal(Enum):
    """What happens to the rectangle of a frame after its time."""

    KEEP = "keep"
    CLEAR = "clear"
    """The rectangle becomes transparent. Browsers ignore the background colours of GIF and WebP."""
    RESTORE = "restore"
    """The rectangle becomes what it was before the frame."""


@dataclass(frozen=True)
class Frame:
    """One frame; its pixels are decoded on demand."""

    box: Rectangle
    """The rectangle that the frame changes, within the canvas; empty if all of the frame is outside."""
    coded_pixels: int
    """Pixels that decoding the frame takes, which may be more than the rectangle has."""
    milliseconds: int
    disposal: Disposal
    blends: bool
    """Whether the frame is drawn over the canvas; if not, it replaces the rectangle."""
    decode: Callable[[], Image.Image]
    """Returns the pixels of the rectangle: mode L, RGB or RGBA. Raises any exception if they are damaged."""


@dataclass(frozen=True)
class Animation:
    """The structure of an animation, as far as it is intact."""

    frames: tuple[Frame, ...]
    plays: int
    """How often it plays; 0 means forever."""
    is_damaged: bool = False
    """Whether there should be more frames, but they are missing or damaged."""
    profile: bytes = b""
    """ICC profile of all frames; empty if they are sRGB or their colours are not specified."""


def shown_milliseconds(stored: int) -> int:
    """Return how long browsers show a frame: times up to 10 ms mean 100 ms, in every format.

    Chromium, Firefox and WebKit agree, because old files have such times and were made for slow viewers.
    """
    return _DEFAULT_MILLISECONDS if stored <= _SHORTEST_MILLISECONDS else min(stored, MOST_MILLISECONDS)
