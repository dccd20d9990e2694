"""Get the photographs of `photographs.toml` from packages of Debian and PyPI, by their ordinary clients."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from bench.focus.crops import Box

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
    with tempfile.TemporaryDirectory() as temporary:
        if "debian" in package:
            command = ["apt-get", "download", package["debian"]]
        else:
            options = ["--no-deps", "--only-binary", ":all:", "--platform", "manylinux1_x86_64"]
            options += ["--platform", "manylinux2014_x86_64", "--python-version", package["python"]]
            command = [sys.executable, "-m", "pip", "download", "--quiet", *options, package["pypi"]]
        _run(command, temporary)
        (file,) = Path(temporary).iterdir()
        folder.parent.mkdir(parents=True, exist_ok=True)
        unpacked = Path(temporary, "unpacked")
        if file.suffix == ".deb":
            _run(["dpkg-deb", "--extract", str(file), str(unpacked)], temporary)
        else:
            with zipfile.ZipFile(file) as wheel:
                wheel.extractall(unpacked)
        _run(["cp", "--recursive", str(unpacked), str(folder)], temporary)


def _run(command: list[str], folder: str) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  our own commands
