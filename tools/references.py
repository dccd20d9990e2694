"""Decode the corpus with independent programs and store the results: `python -m tools.references`.

The results are stored in `tests/corpus/references.json` with the name and version of the program, and
`tests/unit/imaging/test_references.py` compares the engine with them. Chromium decodes the formats of browsers, libvips
TIFF, and libheif's converter HEIC; exiftool reads camera facts. Required on the path: chromium, heif-convert, exiftool.
Required in this Python: pyvips.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.corpus import BAD, GOOD, HERE
from tools import chromium

RESULTS = HERE / "references.json"
SIDE, CELLS = 100, 8
"""Longest side, in pixels, of the compared image, and number of its grid cells in each direction."""

Answer = dict[str, Any]
"""`tool` and `accepted`; if accepted, also `size` as displayed and `grid`, the mean colour of each cell as rrggbbaa."""


def corpus() -> dict[str, bytes]:
    """Return every file of the corpus by its name."""
    files = {case.name: case.make() for case in GOOD} | {case.name: case.make() for case in BAD}
    files |= {path.name: path.read_bytes() for path in sorted((HERE / "cases").rglob("*.*"))}
    return files


def kind(data: bytes) -> str:
    """Return the program that decodes a file."""
    if data[:2] in (b"II", b"MM"):
        return "libvips"
    if data[4:8] == b"ftyp" and not re.search(rb"avif|avis|mif3", data[8:64]):
        return "libheif"
    return "chromium"


def grid(image: Image.Image) -> list[str]:
    """Return the mean red, green, blue and alpha of the grid cells, row by row; colours are weighted by opacity."""
    cells = image.convert("RGBA").convert("RGBa").resize((CELLS, CELLS), Image.Resampling.BOX).convert("RGBA")
    return cells.tobytes().hex(" ", 4).split()


def small(image: Image.Image) -> Image.Image:
    """Reduce an image to `SIDE` pixels on its longest side; keep the size of a smaller image."""
    scale = min(1.0, SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGBA").convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")


# Chromium -------------------------------------------------------------------------------------------------------------

_SHOW = """
async (file) => {
  try {
    const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes]), { imageOrientation: "from-image" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const png = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
    let text = "";
    for (const byte of png) text += String.fromCharCode(byte);
    return btoa(text);
  } catch {
    return null;
  }
}
"""


def ask_chromium(files: dict[str, bytes]) -> dict[str, Answer]:
    """Return what a browser shows, in sRGB and upright."""
    path = chromium.find()
    if path is None:
        sys.exit("chromium is not on the path; install it and run this again")
    with chromium.started(path) as browser:
        tool = f"Chromium {browser.version}"
        page = browser.new_page()
        return {
            name: _answer(tool, page.evaluate(_SHOW, base64.b64encode(data).decode())) for name, data in files.items()
        }


def _answer(tool: str, png: str | None) -> Answer:
    if png is None:
        return {"tool": tool, "accepted": False}
    return _accepted(tool, Image.open(io.BytesIO(base64.b64decode(png))))


def _accepted(tool: str, image: Image.Image) -> Answer:
    return {"tool": tool, "accepted": True, "size": list(image.size), "grid": grid(small(image))}


# libvips, libheif, exiftool -------------------------------------------------------------------------------------------


def ask_libvips(files: dict[str, bytes]) -> dict[str, Answer]:
    """Return the first page of a TIFF, upright and in sRGB."""
    import pyvips  # type: ignore[import-not-found,unused-ignore]

    tool = "libvips " + ".".join(str(pyvips.version(part)) for part in range(3))
    return {name: _by_libvips(pyvips, tool, data) for name, data in files.items()}


def _by_libvips(pyvips: Any, tool: str, data: bytes) -> Answer:
    try:
        image = pyvips.Image.new_from_buffer(data, "", fail_on="error").autorot()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb", embedded=True, black_point_compensation=True)
        image = image.colourspace("srgb").cast("uchar")
        image = image.bandjoin(255) if image.bands == 3 else image
        return _accepted(tool, Image.open(io.BytesIO(image.write_to_buffer(".png"))))
    except pyvips.Error:
        return {"tool": tool, "accepted": False}


def ask_libheif(files: dict[str, bytes]) -> dict[str, Answer]:
    """Return the primary image as libheif's converter writes it."""
    program = _program("heif-convert")
    usage = subprocess.run([program, "--help"], capture_output=True, text=True)  # noqa: S603
    version = re.search(r"libheif version: (\S+)", usage.stdout + usage.stderr)
    tool = f"libheif {version[1] if version else 'of an unknown version'}"
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, data) in enumerate(files.items()):
            source = Path(folder, f"{number}.heic")
            target = Path(folder, f"{number}.png")
            source.write_bytes(data)
            process = subprocess.run([program, source, target], capture_output=True)  # noqa: S603
            # A file with several images becomes several files, the primary image first.
            images = sorted(Path(folder).glob(f"{number}-*.png")) or [target]
            accepted = process.returncode == 0 and images[0].exists()
            answers[name] = _accepted(tool, Image.open(images[0])) if accepted else {"tool": tool, "accepted": False}
    return answers


FACTS = ("Make", "Model", "LensModel", "ISO", "FNumber", "Artist", "Copyright")


def ask_exiftool(files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Return the camera facts that exiftool reads, for files that have some."""
    program = _program("exiftool")
    facts = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, data) in enumerate(files.items()):
            path = Path(folder, str(number))
            path.write_bytes(data)
            options = ["-j", "-n", *(f"-EXIF:{fact}" for fact in FACTS)]
            output = subprocess.run([program, *options, path], capture_output=True, text=True).stdout  # noqa: S603
            (answer,) = json.loads(output or "[{}]")
            answer.pop("SourceFile", None)
            if answer:
                facts[name] = answer
    return facts


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"{name} is not on the path; install it and run this again")
    return path


def main(names: Iterable[str]) -> None:
    """Decode all files, or those with these names, and store the results."""
    files = {name: data for name, data in corpus().items() if not names or name in names}
    results = json.loads(RESULTS.read_text()) if names else {}
    for tool, ask in {"chromium": ask_chromium, "libvips": ask_libvips, "libheif": ask_libheif}.items():
        results |= ask({name: data for name, data in files.items() if kind(data) == tool})
    for name, facts in ask_exiftool(files).items():
        results[name]["facts"] = facts
    lines = (f"{json.dumps(name)}: {json.dumps(results[name], ensure_ascii=False)}" for name in sorted(results))
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(results)} files in {RESULTS.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
