"""`python -m bench.engine.worker NAME`: run one contestant, with one JSON request per line.

A request is {"path": …, "save": folder or null}; the answer is {"cpu": s, "wall": s, "bytes": n, "peak": bytes}. CPU
time covers all threads.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (1600, 1024, 640, 320, 100)
QUALITY = 80

Job = Callable[[bytes], list[bytes]]


def engine(simd: bool = True) -> Job:
    """Return the job of this project, which also computes summary and hash."""
    if not simd:
        sys.modules["cykooz_resizer"] = None  # type: ignore[assignment]
    from image_pipeline.imaging.engine import render
    from image_pipeline.imaging.formats.limits import Limits
    from image_pipeline.imaging.recipes import Recipe

    recipes = [Recipe(str(side), side, side, quality=QUALITY) for side in SIZES]
    limits = Limits()
    return lambda data: [rendition.data for rendition in render(data, recipes, limits).renditions]


def tutorial(lanczos: bool = True) -> Job:
    """Return the job of a typical tutorial: open, convert, copy and `thumbnail` for each size.

    It uses Lanczos like the engine; the default of `thumbnail` is bicubic, which is faster and softer.
    """
    from PIL import Image

    resample = Image.Resampling.LANCZOS if lanczos else Image.Resampling.BICUBIC

    def job(data: bytes) -> list[bytes]:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        outs = []
        for side in SIZES:
            copy, out = image.copy(), io.BytesIO()
            copy.thumbnail((side, side), resample)
            copy.save(out, "JPEG", quality=QUALITY)
            outs.append(out.getvalue())
        return outs

    return job


def tuned_pillow() -> Job:
    """Return the job of an expert in Pillow: a reduced JPEG decode, and each size from one at least 1.5 times as large.

    Like the tutorial, it ignores orientation and profile.
    """
    from PIL import Image

    def job(data: bytes) -> list[bytes]:
        image = Image.open(io.BytesIO(data))
        scale = SIZES[0] / max(image.size)
        image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
        resized = [image.convert("RGB")]
        outs = []
        for side in SIZES:
            source = ([larger for larger in resized if max(larger.size) >= 1.5 * side] or resized[:1])[-1]
            ratio, out = min(1.0, side / max(source.size)), io.BytesIO()
            size = max(1, round(source.width * ratio)), max(1, round(source.height * ratio))
            resized.append(source.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))
            resized[-1].save(out, "JPEG", quality=QUALITY)
            outs.append(out.getvalue())
        return outs

    return job


def floor() -> Job:
    """Return the lower bound for these codecs: the reduced decode of the engine, and the encodes."""
    from image_pipeline.imaging.decode import decode
    from image_pipeline.imaging.encode import encode
    from image_pipeline.imaging.engine import _Reductions
    from image_pipeline.imaging.formats.admission import admit
    from image_pipeline.imaging.formats.limits import Limits
    from image_pipeline.imaging.reader import Reader

    prepared: dict[int, list[Any]] = {}

    def job(data: bytes) -> list[bytes]:
        reader = Reader.of(data)
        header = admit(reader, Limits())
        reduction = max(1.0, max(header.width, header.height) / SIZES[0])
        pixels = decode(reader, header, reduction)
        key = hash(data)
        if key not in prepared:
            reductions = _Reductions(pixels, 2.0)
            ratio = header.height / header.width
            prepared[key] = [reductions.at((side, max(1, round(side * ratio)))).convert("RGB") for side in SIZES]
        return [encode(image, "jpeg", QUALITY, b"") for image in prepared[key]]

    return job


def vips(one_decode: bool) -> Job:
    """Return a job with pyvips: `thumbnail_buffer` for each size, or one decode for all sizes."""
    import pyvips

    from image_pipeline.imaging.icc import is_srgb

    def options(data: bytes) -> dict[str, str]:
        """Convert colours only if they differ from sRGB, because the conversion dominates the time of a JPEG."""
        header, name = pyvips.Image.new_from_buffer(data, ""), "icc-profile-data"
        profile = header.get(name) if header.get_typeof(name) else None
        return {"size": "down"} if profile is None or is_srgb(profile) else {"size": "down", "output_profile": "srgb"}

    def idiomatic(data: bytes) -> list[bytes]:
        thumbnail_options = options(data)
        return [
            pyvips.Image.thumbnail_buffer(data, side, height=side, **thumbnail_options).jpegsave_buffer(
                Q=QUALITY, keep="none"
            )
            for side in SIZES
        ]

    def tuned(data: bytes) -> list[bytes]:
        base = pyvips.Image.thumbnail_buffer(data, SIZES[0], height=SIZES[0], **options(data)).copy_memory()
        smaller = [base.thumbnail_image(side, height=side, size="down") for side in SIZES[1:]]
        return [image.jpegsave_buffer(Q=QUALITY, keep="none") for image in (base, *smaller)]

    return tuned if one_decode else idiomatic


CONTESTANTS: dict[str, Callable[[], Job]] = {
    "engine": engine,
    "engine, stock resizer": lambda: engine(simd=False),
    "tutorial": tutorial,
    "tutorial, bicubic": lambda: tutorial(lanczos=False),
    "Pillow, tuned": tuned_pillow,
    "floor": floor,
    "vips, idiomatic": lambda: vips(one_decode=False),
    "vips, one decode": lambda: vips(one_decode=True),
}


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Serve requests until the input ends."""
    job = CONTESTANTS[sys.argv[1]]()
    for line in sys.stdin:
        request = json.loads(line)
        data = Path(request["path"]).read_bytes()
        cpu, wall = time.process_time(), time.perf_counter()
        outs = job(data)
        answer = {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "bytes": sum(map(len, outs)),
            "peak": peak_memory(),
        }
        if request["save"]:
            for side, out in zip(SIZES, outs, strict=True):
                (Path(request["save"]) / f"{side}.jpg").write_bytes(out)
        print(json.dumps(answer), flush=True)
    os._exit(0)  # libvips is slow to shut down


if __name__ == "__main__":
    main()
