"""Get the photographs of `photographs.toml` from packages of Debian and PyPI, by their ordinary clients."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from bench.focus.crops import Box
from bench.packages import unpack_debian, unpack_wheel

MARKS = Path(__file__).with_name("photographs.toml")
_SIDE = 640
"""Longest side, in pixels, to which the photographs are reduced; larger ones would take long to compare."""


def photographs(cache: Path) -> Iterator[tuple[Image.Image, Box]]:
    """Yield each photograph and the box of its subject; packages are downloaded once, to `cache`."""
    marks = tomllib.loads(MARKS.read_text(encoding="utf-8"))
    for mark in marks["photographs"]:
        package = marks["packages"][mark["package"]]
        folder = cache / mark["package"]
        if not folder.exists():
            _fetch(package, folder)
        with Image.open(folder / package["folder"] / mark["file"]) as image:
            image.draft("RGB", (_SIDE, _SIDE))
            photograph = image.convert("RGB")
        photograph.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        left, top, right, bottom = mark["subject"]
        yield photograph, (left, top, right, bottom)


def _fetch(package: dict[str, Any], folder: Path) -> None:
    """Download a package and unpack it to a folder."""
    if "debian" in package:
        unpack_debian(package["debian"], folder)
    else:
        unpack_wheel(package["pypi"], package["python"], folder)
