"""The animated renditions of one image. This module is small, because images without animation import it, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANIMATED_FORMATS = frozenset({"GIF", "PNG", "WEBP"})
"""Formats whose animations are read; the modules that read them have the same names."""

Size = tuple[int, int]


@dataclass(frozen=True)
class AnimatedFile:
    """One animated rendition."""

    size: Size
    """(width, height) in pixels."""
    frames: int
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Animated:
    """The animated renditions of one image."""

    files: Mapping[str, AnimatedFile] = field(default_factory=dict)
    """By the name of the recipe; empty if the first frame must be shown."""
    warnings: tuple[str, ...] = ()
    is_short: bool = False
    """Whether the first frame is shown because time or memory ran out. A later attempt may succeed."""
