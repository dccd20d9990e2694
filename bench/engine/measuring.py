"""Run the contestants in turns, each in its own warm process, and measure time, memory, imports and instructions.

Times are medians of the rounds. Contestants take turns, in reverse order in every second round, so that other load
affects all of them equally. Memory is the peak of a fresh process after one picture. `Disturbance` measures the other
load.
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

from bench.engine import contestants, worker
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


class Disturbance:
    """Measures how many cores other processes use, from its creation on."""

    def __init__(self) -> None:
        self._moment = time.monotonic()
        self._others = self._cpu_of_others()

    @staticmethod
    def _cpu_of_others() -> float:
        """Return the CPU seconds of the machine without those of this process and its children that have ended."""
        user, nice, system, _, _, interrupts, soft_interrupts = map(int, STAT.read_text().split()[1:8])
        busy = (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")
        own = (resource.getrusage(scope) for scope in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return busy - sum(usage.ru_utime + usage.ru_stime for usage in own)

    def cores(self) -> float:
        """Return the cores that other processes have used on average."""
        used = self._cpu_of_others() - self._others
        return round(max(0.0, used / (time.monotonic() - self._moment)), 2)


STAT = Path("/proc/stat")


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
    lock, installed = (folder / "package-lock.json" for folder in (Path(__file__).parent, CACHE / "node_modules"))
    for name in ("package.json", "package-lock.json", "sharp_worker.mjs"):
        shutil.copy(Path(__file__).parent / name, CACHE / name)
    if not (installed.exists() and installed.read_bytes() == lock.read_bytes()):
        install = ["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"]
        try:
            subprocess.run(install, cwd=CACHE, check=True)  # noqa: S603  our own command
        except subprocess.CalledProcessError:
            return False
        shutil.copy(lock, installed)
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
    result |= {"bytes": picture.path.stat().st_size, "jobs": {}, "floor": {}, "memory": {}}
    disturbance = Disturbance()
    for job in jobs:
        # New processes for each job, because only the first run of a process shows the memory of one picture.
        with _processes({**workers, **PARTS}) as processes:
            takers = [taker for taker in CONTESTANTS if job.name in taker.jobs and taker.worker in workers]
            takers += [Contestant(name, name) for name in PARTS]
            warm = {taker.name: _first_run(processes[taker.worker], picture, job, taker) for taker in takers}
            takers = [taker for taker in takers if "error" not in warm[taker.name]]
            peaks = result["peak"].setdefault(job.name, {})
            for taker in takers:
                if taker.worker in workers:
                    peaks.setdefault(taker.worker, warm[taker.name]["peak"])
            figures = _rounds(processes, takers, warm, picture, job, rounds)
        result["jobs"][job.name] = {name: figures[name] for name in figures if name not in PARTS}
        result["floor"][job.name] = _floor(figures)
        result["memory"][job.name] = memory_growth(picture, job)
    return {**result, "others": disturbance.cores()}


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
    fastest = min(warm[taker.name]["cpu"] for taker in takers if taker.peer and taker.name not in PARTS)
    for taker in takers:
        for _ in range(WARM_RUNS if warm[taker.name]["cpu"] < SHORT else 0):
            processes[taker.worker].run(picture, job, taker.webp_effort)
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(rounds):
        for taker in takers if number % 2 == 0 else reversed(takers):
            if taker.peer and number >= SLOW_ROUNDS and warm[taker.name]["cpu"] > SLOW * fastest:
                continue
            samples[taker.name].append(processes[taker.worker].run(picture, job, taker.webp_effort))
    return {
        taker.name: {
            **{key: statistics.median(run[key] for run in samples[taker.name]) for key in ("cpu", "wall", "bytes")},
            "rounds": len(samples[taker.name]),
        }
        for taker in takers
    }


def _floor(figures: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the least CPU time of any decode and of the encodes."""
    decodes = {name: figures[name]["cpu"] for name in DECODES if name in figures}
    fastest = min(decodes, key=lambda name: decodes[name])
    return {"decode": decodes[fastest], "by": fastest.partition(", ")[2], "encode": figures["encode"]["cpu"]}


def memory_growth(picture: Picture, job: Job) -> dict[str, int]:
    """Return the bytes by which the engine's process grows for an image, and those that it predicts; with the file."""
    from bench.engine import memory

    data = picture.path.read_bytes()
    recipes = worker.recipes(job.files)
    grown = memory.growth(data, recipes, memory.small(picture.format))
    return {"grown": grown + len(data), "predicted": memory.predicted(data, recipes) + len(data)}


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
    totals = re.findall(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
    return int(totals[-1])


def load_average() -> float:
    """Return the load of the last minute."""
    return round(os.getloadavg()[0], 1)


def today() -> str:
    """Return the date."""
    return time.strftime("%Y-%m-%d")
