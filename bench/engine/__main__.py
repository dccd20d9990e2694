"""`make bench`, or `python -m bench.engine`: compare the engine with other libraries.

It prints tables, and writes `bench/results/engine.json` and `docs/performance.md` if all pictures and jobs were run.
`--report` writes the document again from the figures of the last run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.engine import contestants, hostile, inputs, measuring, quality, report
from bench.report import RESULTS_FOLDER, write_document

RESULTS = RESULTS_FOLDER / "engine.json"
PACKAGES = ("pillow", "pi-heif", "cykooz-resizer", "pyvips", "pyvips-binary", "opencv-python-headless")


def versions(*, sharp: bool) -> dict[str, str]:
    """Return the versions of the measured libraries."""
    numbers = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    if sharp:
        numbers["sharp"] = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]["sharp"]
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)  # noqa: S607
        numbers["node"] = node.stdout.strip().removeprefix("v")
    return numbers


def progress(text: str) -> None:
    """Show what is being done, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measure_picture(
    picture: inputs.Picture, jobs: Sequence[contestants.Job], rounds: int, *, sharp: bool
) -> dict[str, Any]:
    """Measure one picture, with the quality of all files."""
    measured = measuring.measure(picture, jobs, rounds, sharp=sharp)
    lines = [(job.name, name) for job in jobs for name in measured["jobs"][job.name]]
    folders = [measuring.output_folder(picture, job, name) for job, name in lines]
    for (job, name), figures in zip(lines, quality.compare(picture, folders), strict=True):
        measured["jobs"][job][name] |= figures
    return measured


def save(results: dict[str, Any], path: Path) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def arguments() -> argparse.Namespace:
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.engine", description="Compare the engine with other libraries."
    )
    parser.add_argument("--rows", nargs="+", choices=list(inputs.INPUTS), metavar="PICTURE", help="only these pictures")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each job (default: %(default)s)")
    parser.add_argument("--job", choices=list(report.JOBS), help="only this job")
    parser.add_argument("--instructions", action="store_true", help="count instructions, too; needs Valgrind")
    parser.add_argument("--report", action="store_true", help="write the document from the figures of the last run")
    return parser.parse_args()


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure all chosen pictures and jobs."""
    every_job = contestants.jobs()
    jobs = [job for name, job in every_job.items() if chosen.job in (None, name)]
    names = chosen.rows or list(inputs.INPUTS)
    inputs.CACHE.mkdir(exist_ok=True)
    sharp = measuring.sharp_is_installed()
    if not sharp:
        print("sharp is skipped: Node.js with npm is not installed, or npm cannot fetch sharp.")
    results: dict[str, Any] = {
        "date": measuring.today(),
        "machine": f"{os.cpu_count()} × {platform.machine()}",
        "rounds": chosen.rounds,
        "slow_rounds": min(chosen.rounds, measuring.SLOW_ROUNDS),
        "versions": versions(sharp=sharp),
        "load": {"before": measuring.load_average()},
        "pictures": {},
    }
    pictures = []
    for name in names:
        progress(f"writing {name}")
        pictures.append(inputs.picture(name))
    for place, picture in enumerate(pictures, start=1):
        progress(f"{place} of {len(pictures)}: {picture.name}")
        results["pictures"][picture.name] = measure_picture(picture, jobs, chosen.rounds, sharp=sharp)
        save(results, inputs.CACHE / "results.json")
        progress("")
        for case in report.cases(results)[-len(jobs) :]:
            print(report.case_line(case), flush=True)
        if warning := report.warning(results["pictures"][picture.name]["others"]):
            print(warning, flush=True)
    results["load"]["after"] = measuring.load_average()
    if not chosen.rows and not chosen.job:
        results["import"] = measuring.imports()
        results["hostile"] = hostile.measure()
    save(results, inputs.CACHE / "results.json")
    if chosen.instructions and not shutil.which("valgrind"):
        print("Valgrind is not installed; instructions are not counted.")
    elif chosen.instructions:
        counted = [picture for picture in pictures if picture.name in measuring.COUNTED_PICTURES]
        results["instructions"] = measuring.instructions(counted, every_job["jpeg"], progress)
        progress("")
    return results


def main() -> int:
    """Measure, print and save."""
    chosen = arguments()
    results = json.loads(RESULTS.read_text()) if chosen.report else run(chosen)
    print("\n" + report.tables(results) + "\n\n" + report.summary(results))
    if not chosen.rows and not chosen.job:
        save(results, RESULTS)
        write_document("bench", report.summary(results))
        write_document("bench-tables", report.tables(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
