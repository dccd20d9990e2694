"""Run the contestants in turns, each in its own warm process, and measure time, memory, imports and instructions.

Times are medians of the rounds. Contestants take turns, in reverse order in every second round, so that other load
affects all of them equally. Memory is the peak of a fresh process after one picture.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.engine import contestants
from bench.engine.contestants import CONTESTANTS, DECODES, ENCODES, WORKERS, Contestant, Job, Worker
from bench.engine.inputs import CACHE, Picture

SLOW = 2.0
"""A contestant that needs this many times the CPU time of the fastest peer cannot win …"""
SLOW_ROUNDS = 3
"""… so it takes part in this many rounds at most."""
SHORT, WARM_RUNS = 0.1, 5
"""A process whose first run takes less than this many seconds runs so often before it is
measured, because JavaScript is compiled while it runs."""
PARTS = {**DECODES, **ENCODES}
OUTPUTS = CACHE / "outputs"


class Process:
    """The process of a worker."""

    def __init__(self, worker: Worker, prefix: Sequence[str] = (), errors: Path | None = None) -> None:
        self.worker = worker
        with (errors or Path(os.devnull)).open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own command
                [*prefix, *worker.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=contestants.environment(worker),
                cwd=CACHE,
            )

    @property
    def id(self) -> int:
        """Return the process id."""
        return self._process.pid

    def run(self, picture: Picture, job: Job, effort: int | None = None, save: Path | None = None) -> dict[str, Any]:
        """Process one picture; {"error": …} if the library cannot."""
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise ValueError("The process has no pipes.")
        request = {
            "path": str(picture.path),
            "files": [asdict(file) for file in job.files],
            "options": contestants.options(self.worker, picture, job, effort),
            "save": str(save) if save else None,
        }
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        line = answers.readline()
        if not line:
            sys.exit(f"{' '.join(self.worker.command)} ended at {picture.path.name}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """Stop the process."""
        self._process.kill()
        self._process.communicate()


def sharp_is_installed() -> bool:
    """Install sharp into the cache if Node.js is there."""
    if not (shutil.which("node") and shutil.which("npm")):
        return False
    for name in ("package.json", "package-lock.json", "sharp_worker.mjs"):
        shutil.copy(Path(__file__).parent / name, CACHE / name)
    if not (CACHE / "node_modules" / "sharp").exists():
        install = ["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=CACHE, check=True)  # noqa: S603  our own command
    return True


@contextmanager
def _processes(workers: dict[str, Worker]) -> Iterator[dict[str, Process]]:
    started = {name: Process(worker) for name, worker in workers.items()}
    try:
        yield started
    finally:
        for process in started.values():
            process.stop()


def output_folder(picture: Picture, job: str, contestant: str) -> Path:
    """Return the folder of a contestant's files."""
    return OUTPUTS / picture.name / job / re.sub(r"[^a-z0-9]+", "-", contestant.lower())


def measure(picture: Picture, jobs: Sequence[Job], rounds: int, *, sharp: bool) -> dict[str, Any]:
    """Measure one picture: seconds, bytes, and the files in `output_folder` for the measurement of quality."""
    workers = {name: worker for name, worker in WORKERS.items() if sharp or worker.library != "sharp"}
    result: dict[str, Any] = {"format": picture.format, "pixels": picture.width * picture.height, "peak": {}}
    result |= {"bytes": picture.path.stat().st_size, "jobs": {}, "floor": {}}
    with _processes({**workers, **PARTS}) as processes:
        for job in jobs:
            takers = [each for each in CONTESTANTS if job.name in each.jobs and each.worker in workers]
            takers += [Contestant(name, name) for name in PARTS]
            warm = {each.name: _first_run(processes[each.worker], picture, job, each) for each in takers}
            takers = [each for each in takers if "error" not in warm[each.name]]
            for each in takers:
                if each.worker in workers:  # only the first run of a process shows the memory of one picture
                    result["peak"].setdefault(each.worker, warm[each.name]["peak"])
            figures = _rounds(processes, takers, warm, picture, job, rounds)
            result["jobs"][job.name] = {name: figures[name] for name in figures if name not in PARTS}
            result["floor"][job.name] = _floor(figures)
    return result


def _first_run(process: Process, picture: Picture, job: Job, contestant: Contestant) -> dict[str, Any]:
    """Warm a process, and save its files for the measurement of quality."""
    folder = None
    if contestant.name not in PARTS:
        folder = output_folder(picture, job.name, contestant.name)
        folder.mkdir(parents=True, exist_ok=True)
    return process.run(picture, job, contestant.webp_effort, folder)


def _rounds(
    processes: dict[str, Process],
    takers: Sequence[Contestant],
    warm: dict[str, dict[str, Any]],
    picture: Picture,
    job: Job,
    rounds: int,
) -> dict[str, dict[str, float]]:
    fastest = min(warm[each.name]["cpu"] for each in takers if each.peer and each.name not in PARTS)
    for each in takers:
        for _ in range(WARM_RUNS if warm[each.name]["cpu"] < SHORT else 0):
            processes[each.worker].run(picture, job, each.webp_effort)
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(rounds):
        for each in takers if number % 2 == 0 else reversed(takers):
            if each.peer and number >= SLOW_ROUNDS and warm[each.name]["cpu"] > SLOW * fastest:
                continue
            samples[each.name].append(processes[each.worker].run(picture, job, each.webp_effort))
    return {
        each.name: {
            **{key: statistics.median(run[key] for run in samples[each.name]) for key in ("cpu", "wall", "bytes")},
            "rounds": len(samples[each.name]),
        }
        for each in takers
    }


def _floor(figures: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the least CPU time of any decode and of the encodes."""
    decodes = {name: figures[name]["cpu"] for name in DECODES if name in figures}
    fastest = min(decodes, key=lambda name: decodes[name])
    return {"decode": decodes[fastest], "by": fastest.partition(", ")[2], "encode": figures["encode"]["cpu"]}


def predicted_memory(picture: Picture, job: Job) -> int:
    """Return the bytes that admission expects of the process: runtime, file, decoding and first reduction."""
    from image_pipeline.imaging.formats.admission import admit
    from image_pipeline.imaging.formats.limits import RUNTIME_BYTES, Limits
    from image_pipeline.imaging.reader import Reader

    data = picture.path.read_bytes()
    predicted: int = admit(Reader.of(data), Limits()).predicted_memory(job.files[0].width)
    return predicted + len(data) + RUNTIME_BYTES


# Imports --------------------------------------------------------------------------------------------------------------


def imports(starts: int = 15) -> dict[str, float]:
    """Return the CPU time of imports in seconds, without the start of the interpreter: the least of many starts."""
    codes = {"nothing": "pass", "PIL.Image": "import PIL.Image", "engine": "import image_pipeline.imaging.engine"}
    codes |= {"formats": "import image_pipeline.imaging.formats.admission"}
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(starts):
        for name, code in codes.items():
            times[name].append(_cpu_of([sys.executable, "-c", code]))
    least = {name: min(values) for name, values in times.items()}
    return {name: value - least["nothing"] for name, value in least.items() if name != "nothing"}


def _cpu_of(command: list[str]) -> float:
    core = str(CACHE.parent / "layers" / "core")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={"PYTHONPATH": core}, check=True)  # noqa: S603  our own command
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# Instructions ---------------------------------------------------------------------------------------------------------

COUNTED = ("engine", "engine, arm64 path", "Pillow, tuned", "vips, one decode", "vips, tuned")
"""Without sharp: Valgrind makes JavaScript very slow. sharp calls the same libvips."""
COUNTED_PICTURES = ("jpeg-512px", "jpeg-1920px-web", "webp-3mp-lossless")
"""The smallest ones, because Valgrind makes every program some 50 times slower."""


def instructions(pictures: Sequence[Picture], job: Job, report: Callable[[str], None]) -> dict[str, dict[str, int]]:
    """Count the instructions of each picture with callgrind; they do not depend on the load of the machine."""
    counts: dict[str, dict[str, int]] = {picture.name: {} for picture in pictures}
    folder = CACHE / "callgrind"
    for name in COUNTED:
        report(f"instructions of {name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        prefix = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'out'}"]
        process = Process(WORKERS[name], prefix, folder / "log")
        try:
            for picture in pictures:
                process.run(picture, job)
                _control(process, "--zero")
                process.run(picture, job)
                _control(process, "--dump")
                newest = max(folder.glob("out.*"), key=lambda path: path.stat().st_mtime_ns)
                counts[picture.name][name] = _total(newest)
        finally:
            process.stop()
    return counts


def _control(process: Process, command: str) -> None:
    subprocess.run(["callgrind_control", command, str(process.id)], check=True, capture_output=True)  # noqa: S603, S607


def _total(dump: Path) -> int:
    """Return the instructions of all threads in a dump of callgrind."""
    found = re.findall(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
    return int(found[-1])


def load_average() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 1)


def today() -> str:
    """Return the date."""
    return time.strftime("%Y-%m-%d")
