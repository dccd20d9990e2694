"""`make bench`, or `python -m bench.engine [ROUNDS] [PICTURE …]`: compare the engine with other libraries.

Each contestant is a warm process, and the contestants take turns with each picture, so that other load affects all of
them equally. Times are medians of the rounds; ratios are more stable than times. Memory is the peak of a fresh process
with one picture. Results are printed and written to JSON and the document.
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

from bench.engine.pictures import write_files
from bench.engine.worker import CONTESTANTS, SIZES
from bench.report import RESULTS_FOLDER, tables, write_document

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".bench"
CORE = ROOT / "layers" / "core"


class Contestant:
    """The worker process of a contestant."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._command = command
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(CORE)))
        return subprocess.Popen(  # noqa: S603  our own command
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=CACHE
        )

    def restart(self) -> None:
        """Start a fresh process."""
        self.stop()
        self._process = self._start()

    def run(self, path: Path, save: Path | None = None) -> dict[str, float]:
        """Process one picture."""
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise ValueError("The process has no pipes.")
        requests.write(json.dumps({"path": str(path), "save": str(save) if save else None}) + "\n")
        requests.flush()
        line = answers.readline()
        if not line:
            sys.exit(f"{self.name} failed at {path.name}.")
        answer: dict[str, float] = json.loads(line)
        return answer

    def stop(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.wait()


def contestants() -> list[Contestant]:
    """Start all installed contestants; sharp needs Node.js."""
    workers = [Contestant(name, [sys.executable, "-m", "bench.engine.worker", name]) for name in CONTESTANTS]
    if shutil.which("node") and shutil.which("npm"):
        for name in ("package.json", "package-lock.json", "sharp_worker.mjs"):
            shutil.copy(Path(__file__).parent / name, CACHE / name)
        if not (CACHE / "node_modules" / "sharp").exists():
            install = ["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"]
            subprocess.run(install, cwd=CACHE, check=True)  # noqa: S603  our own command
        for variant in ("idiomatic", "one decode"):
            command = ["node", "sharp_worker.mjs", variant.replace(" ", "-")]
            workers.append(Contestant(f"sharp, {variant}", command))
    else:
        print("Node.js is not installed; sharp is skipped.")
    return workers


def measure(workers: list[Contestant], paths: dict[str, Path], rounds: int) -> dict[str, Any]:
    """Measure all pictures: {picture: {contestant: {cpu, wall, bytes, peak, psnr…, ssim…}}} in seconds and bytes."""
    results: dict[str, Any] = {}
    for picture, path in paths.items():
        samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for contestant in workers:
            contestant.run(path)
        for _ in range(rounds):
            for contestant in workers:
                for key, value in contestant.run(path).items():
                    samples[contestant.name][key].append(value)
        results[picture] = {
            name: {key: statistics.median(values) for key, values in figures.items()}
            for name, figures in samples.items()
        }
        for contestant in workers:
            results[picture][contestant.name] |= quality(contestant, picture, path)
            contestant.restart()
            results[picture][contestant.name]["peak"] = contestant.run(path)["peak"]
        print_picture(picture, results[picture])
    return results


def quality(contestant: Contestant, picture: str, path: Path) -> dict[str, float]:
    """Compute PSNR and SSIM against Lanczos from full size; none for contestants that ignore the orientation.

    They are means of all sizes, and values of the largest size, where a reduced decode has the largest effect.
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
            # Contestants flatten on white or black, so transparent pixels are not compared.
            mask = reference.getchannel("A").point(lambda value: 255 if value == 255 else 0)
            blank = Image.new("RGB", out.size)
            reference, out = (Image.composite(image.convert("RGB"), blank, mask) for image in (reference, out))
        expected, actual = (numpy.asarray(image.convert("RGB"), dtype=float) for image in (reference, out))
        psnrs.append(10 * float(numpy.log10(255**2 / ((expected - actual) ** 2).mean())))
        grey = (numpy.asarray(image.convert("L")) for image in (reference, out))
        ssims.append(float(structural_similarity(*grey)))
    return {
        "psnr": statistics.mean(psnrs),
        "ssim": statistics.mean(ssims),
        "psnr_largest": psnrs[0],
        "ssim_largest": ssims[0],
    }


def print_picture(picture: str, result: dict[str, Any]) -> None:
    """Print one line for each contestant."""
    base = result["tutorial"]
    print(f"\n{picture}: tutorial {base['cpu'] * 1000:.0f} ms CPU, {base['peak'] / 1e6:.0f} MB")
    for name, figures in result.items():
        similarity = f"{figures['psnr']:6.2f} dB {figures['ssim']:.4f}" if "psnr" in figures else ""
        print(
            f"  {name:22} CPU {figures['cpu'] / base['cpu']:5.2f}  wall {figures['wall'] / base['wall']:5.2f}  "
            f"{figures['peak'] / 1e6:5.0f} MB  {figures['bytes'] / 1000:6.0f} kB  {similarity}"
        )


def imports() -> dict[str, float]:
    """Return the import times in seconds without the start of the interpreter: the minimum of many starts."""
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
    """Return CPU seconds and additional memory for rejecting hostile files."""
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
    """Return the versions of the measured libraries."""
    from importlib.metadata import version

    names = ("pillow", "pi-heif", "cykooz-resizer", "pyvips", "pyvips-binary")
    installed = {name: version(name) for name in names}
    sharp = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]["sharp"]
    return {"python": platform.python_version(), **installed, "sharp": sharp}


def main() -> int:
    """Measure, print and save."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    CACHE.mkdir(exist_ok=True)
    paths = write_files(CACHE / "pictures")
    if sys.argv[2:]:
        paths = {name: path for name, path in paths.items() if name in sys.argv[2:]}
    workers = contestants()
    load = os.getloadavg()[0]
    try:
        results = {
            "date": time.strftime("%Y-%m-%d"),
            "machine": f"{os.cpu_count()} × {platform.machine()}",
            "rounds": rounds,
            "versions": versions(),
            "pictures": measure(workers, paths, rounds),
            "import": imports(),
            "hostile": hostile(),
            "load": {"before": round(load, 1), "after": round(os.getloadavg()[0], 1)},
        }
    finally:
        for contestant in workers:
            contestant.stop()
    (CACHE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + tables(results))
    if not sys.argv[2:]:
        (RESULTS_FOLDER / "engine.json").write_text(json.dumps(results, indent=1) + "\n")
        write_document("bench", tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
