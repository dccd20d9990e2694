"""`make bench`, or `python -m bench.engine [ROUNDS] [PICTURE …]`: measures, prints tables, writes JSON and document.

Every contestant is a process of its own that stays warm, and gets the pictures in turn with the others, so that what
else the machine does meets all of them alike. Times are medians of the rounds; ratios hold better than times. Memory is
the peak of a fresh process that gets one picture.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.engine.pictures import written
from bench.engine.worker import CONTESTANTS, SIZES
from bench.report import RESULTS_FOLDER, tables, write_document

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".bench"
CORE = ROOT / "layers" / "core"


class Contestant:
    """A worker process."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._command = command
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(CORE)))
        return subprocess.Popen(  # noqa: S603  the command is ours
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=CACHE
        )

    def restart(self) -> None:
        """A fresh process."""
        self.stop()
        self._process = self._start()

    def run(self, path: Path, save: Path | None = None) -> dict[str, float]:
        """One picture."""
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise ValueError("no pipes")
        requests.write(json.dumps({"path": str(path), "save": str(save) if save else None}) + "\n")
        requests.flush()
        line = answers.readline()
        if not line:
            sys.exit(f"{self.name} stopped at {path.name}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


def contestants() -> list[Contestant]:
    """Everybody who is installed; sharp needs Node.js."""
    found = [Contestant(name, [sys.executable, "-m", "bench.engine.worker", name]) for name in CONTESTANTS]
    if shutil.which("node") and shutil.which("npm"):
        for name in ("package.json", "package-lock.json", "sharp_worker.mjs"):
            shutil.copy(Path(__file__).parent / name, CACHE / name)
        if not (CACHE / "node_modules" / "sharp").exists():
            install = ["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"]
            subprocess.run(install, cwd=CACHE, check=True)  # noqa: S603  the command is ours
        for way in ("idiomatic", "one decode"):
            command = ["node", "sharp_worker.mjs", way.replace(" ", "-")]
            found.append(Contestant(f"sharp, {way}", command))
    else:
        print("Node.js is not installed: sharp is left out.")
    return found


def measure(found: list[Contestant], paths: dict[str, Path], rounds: int) -> dict[str, Any]:
    """{picture: {contestant: {cpu, wall, bytes, peak, psnr…, ssim…}}}, times in seconds, memory in bytes."""
    results: dict[str, Any] = {}
    for picture, path in paths.items():
        samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for contestant in found:
            contestant.run(path)
        for _ in range(rounds):
            for contestant in found:
                for key, value in contestant.run(path).items():
                    samples[contestant.name][key].append(value)
        results[picture] = {
            name: {key: statistics.median(values) for key, values in each.items()} for name, each in samples.items()
        }
        for contestant in found:
            results[picture][contestant.name] |= quality(contestant, picture, path)
            contestant.restart()
            results[picture][contestant.name]["peak"] = contestant.run(path)["peak"]
        print_picture(picture, results[picture])
    return results


def quality(contestant: Contestant, picture: str, path: Path) -> dict[str, float]:
    """PSNR and SSIM against Lanczos from full size; none for contestants that do not turn the picture.

    As means of all sizes, and of the largest alone: only there does the margin of a decode at a fraction show.
    """
    if contestant.name == "floor":
        return {}
    import numpy
    from PIL import Image, ImageOps
    from skimage.metrics import structural_similarity

    from image_pipeline.imaging.colour import to_srgb

    folder = CACHE / "out" / picture / contestant.name.replace(", ", "-").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    contestant.run(path, folder)
    with Image.open(path) as opened:
        profile = opened.info.get("icc_profile")
        full = ImageOps.exif_transpose(opened)
    if profile:
        full = to_srgb(full.convert("RGB"), profile)
    psnrs, ssims = [], []
    for side in SIZES:
        with Image.open(folder / f"{side}.jpg") as opened:
            out = opened.convert("RGB")
        if (out.width > out.height) != (full.width > full.height):
            return {}
        reference = full.resize(out.size, Image.Resampling.LANCZOS)
        if reference.mode == "RGBA":
            # Contestants flatten on white or black; what is transparent is not compared.
            mask = reference.getchannel("A").point(lambda value: 255 if value == 255 else 0)
            blank = Image.new("RGB", out.size)
            reference, out = (Image.composite(each.convert("RGB"), blank, mask) for each in (reference, out))
        one, two = (numpy.asarray(each.convert("RGB"), dtype=float) for each in (reference, out))
        psnrs.append(10 * float(numpy.log10(255**2 / ((one - two) ** 2).mean())))
        grey = (numpy.asarray(each.convert("L")) for each in (reference, out))
        ssims.append(float(structural_similarity(*grey)))
    return {
        "psnr": statistics.mean(psnrs),
        "ssim": statistics.mean(ssims),
        "psnr_largest": psnrs[0],
        "ssim_largest": ssims[0],
    }


def print_picture(picture: str, result: dict[str, Any]) -> None:
    """One line for each contestant."""
    base = result["tutorial"]
    print(f"\n{picture}: tutorial {base['cpu'] * 1000:.0f} ms CPU, {base['peak'] / 1e6:.0f} MB")
    for name, each in result.items():
        seen = f"{each['psnr']:6.2f} dB {each['ssim']:.4f}" if "psnr" in each else ""
        print(
            f"  {name:22} CPU {each['cpu'] / base['cpu']:5.2f}  wall {each['wall'] / base['wall']:5.2f}  "
            f"{each['peak'] / 1e6:5.0f} MB  {each['bytes'] / 1000:6.0f} kB  {seen}"
        )


def imports() -> dict[str, float]:
    """Seconds of import on top of the interpreter's start: the least of many starts."""
    codes = {"nothing": "pass", "PIL.Image": "import PIL.Image", "engine": "import image_pipeline.imaging.engine"}
    codes |= {"formats": "import image_pipeline.imaging.formats.admission"}
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(25):
        for name, code in codes.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(CORE)}, check=True)  # noqa: S603
            times[name].append(time.perf_counter() - started)
    least = {name: min(values) for name, values in times.items()}
    return {name: value - least["nothing"] for name, value in least.items() if name != "nothing"}


def hostile() -> dict[str, dict[str, float]]:
    """CPU seconds and extra memory of rejecting hostile files."""
    import tracemalloc

    from image_pipeline.errors import RejectedError
    from image_pipeline.imaging.formats.admission import admit
    from image_pipeline.imaging.formats.limits import Limits
    from image_pipeline.imaging.reader import Reader
    from tests.corpus import many_scans, png, webp_bomb

    files = {
        "JPEG of 1,000 scans": many_scans(1000),
        "WebP of 34 bytes, 12,000 × 12,000": webp_bomb(),
        "PNG that claims 144 megapixels": png((12_000, 12_000), 8, 2, b"\0" * 99),
    }
    results = {}
    for name, data in files.items():
        seconds = []
        for _ in range(5):
            started = time.process_time()
            try:
                admit(Reader.of(data), Limits())
                sys.exit(f"{name} was admitted")
            except RejectedError:
                seconds.append(time.process_time() - started)
        tracemalloc.start()
        try:
            admit(Reader.of(data), Limits())
        except RejectedError:
            results[name] = {"cpu": min(seconds), "memory": tracemalloc.get_traced_memory()[1]}
        tracemalloc.stop()
    return results


def versions() -> dict[str, str]:
    """What was measured."""
    from importlib.metadata import version

    names = ("pillow", "pi-heif", "cykooz-resizer", "pyvips", "pyvips-binary")
    found = {name: version(name) for name in names}
    sharp = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]["sharp"]
    return {"python": platform.python_version(), **found, "sharp": sharp}


def main() -> int:
    """Measure everything, print, write."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    CACHE.mkdir(exist_ok=True)
    paths = written(CACHE / "pictures")
    if sys.argv[2:]:
        paths = {name: path for name, path in paths.items() if name in sys.argv[2:]}
    found, load = contestants(), os.getloadavg()[0]
    try:
        results = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} × {platform.machine()}",
            "rounds": rounds,
            "versions": versions(),
            "pictures": measure(found, paths, rounds),
            "import": imports(),
            "hostile": hostile(),
            "load": {"before": round(load, 1), "after": round(os.getloadavg()[0], 1)},
        }
    finally:
        for contestant in found:
            contestant.stop()
    (CACHE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + tables(results))
    if not sys.argv[2:]:
        (RESULTS_FOLDER / "engine.json").write_text(json.dumps(results, indent=1) + "\n")
        write_document("bench", tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
