"""Who is compared, what each contestant must make, and with which options.

Peers get the options that their own experts would set, and no option that their job does not need:

- libvips: `thumbnail` rather than `resize`, which shrinks while it loads (https://www.libvips.org/API/8.19/developer-checklist.html).
  Tuned: one thread, which takes less CPU time (https://github.com/libvips/libvips/pull/4823), and a JPEG is shrunk on
  load with the engine's margin rather than with a factor of two (`vips_thumbnail_find_jpegshrink` in thumbnail.c).
- sharp: no cache, as in its own benchmark (test/bench/perf.js). Its shrink on load has no margin at all
  (`fastShrinkOnLoad` in src/pipeline.cc). Tuned: no `optimiseCoding`, and the turn follows the reduction, because
  `autoOrient` prevents shrinking on load (`shouldRotateBefore` in src/pipeline.cc).
- Pillow: `draft`, and `reducing_gap=2.0`, the default of `thumbnail`.

This module imports no library, so that a test can hold the options.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.engine.inputs import CACHE, Picture
from image_pipeline.imaging import recipes
from image_pipeline.imaging.encode import WEBP_METHOD

MARGIN = 1.25
"""How many times larger than the largest rendition a tuned contestant decodes a JPEG: the engine's for photographs."""
CASCADE = 1.5
"""How many times larger than a rendition its source must be in a cascade: the engine's for photographs."""
ENGINE, ARM64 = "engine", "engine, arm64 path"


@dataclass(frozen=True)
class File:
    """One file that a job makes: the whole picture within a box, never enlarged."""

    width: int
    height: int
    format: str
    quality: int


@dataclass(frozen=True)
class Job:
    """The files that are made of each picture, the largest first."""

    name: str
    title: str
    files: Sequence[File]


def jobs() -> dict[str, Job]:
    """Return both jobs by name."""
    sizes = [File(side, side, "jpeg", 80) for side in (1600, 1024, 640, 320, 100)]
    defaults = [
        File(recipe.width, recipe.height, output, recipe.quality_for(output))
        for recipe in recipes.load().recipes.values()
        for output in recipe.formats
    ]
    defaults.sort(key=lambda file: -file.width)
    return {
        "jpeg": Job("jpeg", "Five JPEG sizes", sizes),
        "recipes": Job("recipes", "Default recipes", defaults),
    }


@dataclass(frozen=True)
class Worker:
    """A process that serves requests."""

    library: str
    """engine, pillow, vips, sharp or opencv; decode or encode for a part of the floor."""
    manner: str
    """idiomatic, one (decode) or tuned; for the engine, the platform; for a decode, the library."""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        """Return the command, to be run in `CACHE`."""
        if self.library == "sharp":
            return ["node", "sharp_worker.mjs", self.manner]
        return [sys.executable, "-m", "bench.engine.worker", self.library, self.manner]


@dataclass(frozen=True)
class Contestant:
    """One line of the tables: a worker, and how hard it tries to make WebP smaller."""

    name: str
    worker: str
    webp_effort: int | None = None
    """None is the default of the library."""
    jobs: Sequence[str] = ("jpeg", "recipes")

    @property
    def peer(self) -> bool:
        """True if the engine is compared with it."""
        return not self.name.startswith(ENGINE)


ONE_THREAD = {"VIPS_CONCURRENCY": "1"}
WORKERS = {
    ENGINE: Worker("engine", "x86_64"),
    ARM64: Worker("engine", "arm64"),
    "tutorial": Worker("pillow", "idiomatic"),
    "Pillow, tuned": Worker("pillow", "tuned"),
    "vips, idiomatic": Worker("vips", "idiomatic"),
    "vips, one decode": Worker("vips", "one"),
    "vips, tuned": Worker("vips", "tuned", ONE_THREAD),
    "sharp, idiomatic": Worker("sharp", "idiomatic"),
    "sharp, one decode": Worker("sharp", "one"),
    "sharp, tuned": Worker("sharp", "tuned"),
    "OpenCV": Worker("opencv", "tuned"),
}
CONTESTANTS = (
    Contestant(ENGINE, ENGINE),
    Contestant(ARM64, ARM64),
    Contestant("tutorial", "tutorial"),
    Contestant("Pillow, tuned", "Pillow, tuned", WEBP_METHOD),
    Contestant("vips, idiomatic", "vips, idiomatic"),
    Contestant("vips, one decode", "vips, one decode"),
    Contestant("vips, one decode, equal effort", "vips, one decode", WEBP_METHOD, ("recipes",)),
    Contestant("vips, tuned", "vips, tuned", WEBP_METHOD),
    Contestant("sharp, idiomatic", "sharp, idiomatic"),
    Contestant("sharp, one decode", "sharp, one decode"),
    Contestant("sharp, one decode, equal effort", "sharp, one decode", WEBP_METHOD, ("recipes",)),
    Contestant("sharp, tuned", "sharp, tuned", WEBP_METHOD),
    Contestant("OpenCV", "OpenCV"),
)
DECODES = {f"decode, {library}": Worker("decode", library, ONE_THREAD) for library in ("pillow", "vips", "opencv")}
ENCODES = {"encode": Worker("encode", "engine")}
"""The parts of the floor: the cheapest decode by any library, and the engine's encoders and conversion of colours."""

Options = dict[str, dict[str, Any]]


def options(worker: Worker, picture: Picture, job: Job, webp_effort: int | None) -> Options:
    """Return the options of each step; a step without options may still take place."""
    if worker.library in ("opencv", "decode"):
        return _shrink("load", picture, job)
    choose = {"vips": _vips, "sharp": _sharp, "pillow": _pillow}.get(worker.library)
    if choose is None:
        return {}
    chosen = choose(worker.manner, picture, job)
    if webp_effort is not None and any(file.format == "webp" for file in job.files):
        name = "method" if worker.library == "pillow" else "effort"
        chosen["webp"] = {**chosen.get("webp", {}), name: webp_effort}
    return chosen


def jpeg_shrink(picture: Picture, job: Job) -> int:
    """Return by how much a picture can be shrunk while it is decoded: 2, 4 or 8 for a large JPEG, 1 for all others."""
    if picture.format != "JPEG":
        return 1
    largest = job.files[0]
    scale = max(picture.width / largest.width, picture.height / largest.height)
    return max((shrink for shrink in (2, 4, 8) if scale / shrink >= MARGIN), default=1)


def _shrink(step: str, picture: Picture, job: Job) -> Options:
    shrink = jpeg_shrink(picture, job)
    return {step: {"shrink": shrink}} if shrink > 1 else {}


def _vips(manner: str, picture: Picture, job: Job) -> Options:
    thumbnail = {"size": "down", **({"output_profile": "srgb"} if picture.profile else {})}
    chosen: Options = {"thumbnail": thumbnail, **{file.format: {"keep": "none"} for file in job.files}}
    if manner == "tuned":
        chosen |= _shrink("load", picture, job)
        if picture.alpha:
            chosen["flatten"] = {"background": 255}
    elif picture.alpha:
        chosen["jpeg"]["background"] = 255
    return chosen


def _sharp(manner: str, picture: Picture, _: Job) -> Options:
    chosen: Options = {"jpeg": {}}
    if manner == "tuned":
        chosen["jpeg"]["optimiseCoding"] = False
    if picture.orientation != 1:
        chosen["rotate"] = {"angle": {3: 180, 6: 90, 8: 270}[picture.orientation]} if manner == "tuned" else {}
    if picture.alpha:
        chosen["flatten"] = {"background": "white"}
    return chosen


def _pillow(manner: str, picture: Picture, job: Job) -> Options:
    if manner != "tuned":
        return {}
    chosen: Options = {"resize": {"reducing_gap": 2.0}, **_shrink("draft", picture, job)}
    if picture.profile:
        chosen["convert"] = {"profile": "srgb"}
    if picture.orientation != 1:
        chosen["transpose"] = {"orientation": picture.orientation}
    if picture.alpha:
        chosen["flatten"] = {"background": "white"}
    return chosen


def environment(worker: Worker) -> dict[str, str]:
    """Return the environment of a worker: no setting of the shell that would favour one of them."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "VIPS_"))}
    root = CACHE.parent
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join((str(root), str(root / "layers" / "core"))),
        **worker.environment,
    }
