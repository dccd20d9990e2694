"""`python -m bench.focus`: how often crops of `smart`, of the centre and of libvips' `attention` contain the subject.

Needs `make bench` for pyvips, and Debian for some of the photographs. The result is printed and written to JSON and to
`docs/images.md`.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from bench.focus.crops import SHAPES, Box, Crop, crops
from bench.focus.photographs import photographs
from bench.focus.scenes import scenes
from bench.report import RESULTS_FOLDER, write_document
from image_pipeline.imaging import resize
from image_pipeline.imaging.interest import Interest

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "images.md"
RESULTS = RESULTS_FOLDER / "focus.json"

SEED = 2
"""The constants of `image_pipeline.imaging.interest` were chosen with the scenes of seed 1."""
SCENES = 400
WAYS = ("centre", "attention", "smart")
_SIDE = 128

Counts = dict[str, dict[str, int]]


def measure(images: Iterable[tuple[Image.Image, Box]]) -> dict[str, Any]:
    """Count, by shape and way, the crops that contain the subject, and time `smart`."""
    hits: dict[str, Counter[str]] = defaultdict(Counter)
    milliseconds: list[float] = []
    count = 0
    for image, subject in images:
        count += 1
        small = resize.reduce(image, _small_size(image))
        for crop in crops(*image.size, subject):
            began = time.thread_time()
            smart = _smart(small, image, crop)
            milliseconds.append(1000 * (time.thread_time() - began))
            starts = {"centre": (1 - crop.length) / 2, "attention": _attention(image, crop), "smart": smart}
            hits[crop.shape]["crops"] += 1
            hits[crop.shape].update({way: crop.contains(subject, start) for way, start in starts.items()})
    shapes = {shape: {name: hits[shape][name] for name in ("crops", *WAYS)} for shape in SHAPES}
    return {"pictures": count, "shapes": shapes, "milliseconds": round(sorted(milliseconds)[len(milliseconds) // 2], 2)}


def _small_size(image: Image.Image) -> tuple[int, int]:
    scale = min(1.0, _SIDE / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _smart(small: Image.Image, image: Image.Image, crop: Crop) -> float:
    return Interest.of(small).place(image.size, crop.size(*image.size))[crop.axis] / image.size[crop.axis]


def _attention(image: Image.Image, crop: Crop) -> float:
    import pyvips  # only `make bench` installs it

    vips_image = pyvips.Image.new_from_memory(image.tobytes(), image.width, image.height, 3, "uchar")
    cropped = vips_image.copy(interpretation="srgb").smartcrop(*crop.size(*image.size), interesting="attention")
    return float(-(cropped.xoffset, cropped.yoffset)[crop.axis] / image.size[crop.axis])


def table(results: dict[str, Any]) -> str:
    """Return Markdown: the share of crops that contain the subject."""
    lines = [
        "| crops that contain the subject | crops | centre | libvips `attention` | `smart` |",
        "|---|---|---|---|---|",
    ]
    for kind in ("scenes", "photographs"):
        shapes: Counts = results[kind]["shapes"]
        total = {name: sum(counts[name] for counts in shapes.values()) for name in ("crops", *WAYS)}
        lines.append(_row(f"**{results[kind]['pictures']} {kind}**", total))
        lines += [_row(f"{kind}, {shape}", counts) for shape, counts in shapes.items()]
    return "\n".join(lines)


def _row(name: str, counts: dict[str, int]) -> str:
    shares = " | ".join(f"{100 * counts[way] / counts['crops']:.0f} %" for way in WAYS)
    return f"| {name} | {counts['crops']} | {shares} |"


def main() -> None:
    """Measure, and write the results."""
    drawn = ((scene.image, scene.subject) for scene in scenes(SEED, SCENES))
    results = {
        "scenes": measure(drawn),
        "photographs": measure(photographs(ROOT / ".bench" / "packages")),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_document("focus", table(results), DOCUMENT)
    print(table(results))
    print(f"`smart` took {results['scenes']['milliseconds']} ms of CPU, median of all crops of the scenes.")


if __name__ == "__main__":
    main()
