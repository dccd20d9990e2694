"""Turn the results of a run into Markdown: a conclusion, the targets, and tables.

A *case* is one image and one job. A peer is of equal quality if no file of it has an SSIM more than 0.002 below the
engine's. SSIM sees only the luma, so a peer whose PSNR is 3 dB below the engine's, twice the error, has other colours
and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.engine import contestants
from bench.engine.contestants import ARM64, CONTESTANTS, ENGINE
from image_pipeline.imaging.encode import WEBP_METHOD

Results = dict[str, Any]
EQUAL_SSIM, OTHER_COLOURS = 0.002, 3.0
LARGEST_SIDE = 1600
QUIET = 0.1
"""Cores that other work may use during a run; with more, caches and clock rates change the times."""
FORMATS = {"jpeg": "JPEG", "png": "PNG", "webp": "WebP", "avif": "AVIF", "heic": "HEIC", "tiff": "TIFF"}
TIE = 1.05
"""CPU times that differ by less than this factor are a tie."""
JOBS = {"jpeg": "five JPEG sizes", "recipes": "default recipes"}
PEERS = {contestant.name: contestant.worker for contestant in CONTESTANTS if contestant.peer}


@dataclass(frozen=True)
class Case:
    """The figures of one picture and one job."""

    picture: str
    job: str
    figures: dict[str, dict[str, Any]]
    """By contestant: cpu, wall, bytes, and ssim and psnr of each file."""
    floor: float
    """CPU seconds of the cheapest decode and the engine's encodes."""

    @property
    def group(self) -> str:
        """Return the format, as in the name of the picture."""
        return self.picture.partition("-")[0]

    @property
    def name(self) -> str:
        """Return a name for sentences."""
        return f"{self.picture}, {JOBS[self.job]}"

    def equals(self, subject: str = ENGINE) -> list[str]:
        """Return the peers whose quality is at least equal to that of a contestant."""
        return [
            name for name in self.figures
            if name in PEERS and self._equal(name, subject) and not self.other_colours(name, subject)
        ]  # fmt: skip

    def _equal(self, name: str, subject: str) -> bool:
        contestant, peer = self.figures[subject], self.figures[name]
        return "ssim" in peer and all(
            other >= own - EQUAL_SSIM for own, other in zip(contestant["ssim"], peer["ssim"], strict=True)
        )

    def other_colours(self, name: str, subject: str = ENGINE) -> bool:
        """Return whether the colours of a peer differ from those of a contestant."""
        pairs = zip(self.figures[subject].get("psnr", ()), self.figures[name].get("psnr", ()), strict=False)
        return any(peer < own - OTHER_COLOURS for own, peer in pairs)

    def best_peer(self, subject: str = ENGINE) -> str | None:
        """Return the peer of equal quality with the least CPU time."""
        return min(self.equals(subject), key=lambda name: self.figures[name]["cpu"], default=None)

    def ratio(self, subject: str = ENGINE) -> float | None:
        """Return the CPU time of a contestant divided by that of the best peer."""
        peer = self.best_peer(subject)
        return None if peer is None else self.figures[subject]["cpu"] / self.figures[peer]["cpu"]


def cases(results: Results) -> list[Case]:
    """Return all cases of a run."""
    return [
        Case(name, job, figures, picture["floor"][job]["decode"] + picture["floor"][job]["encode"])
        for name, picture in results["pictures"].items()
        for job, figures in picture["jobs"].items()
    ]


# Targets --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A limit, and what was measured in each case."""

    name: str
    limit: float
    measured: dict[str, float]
    tie: float = 1.0
    """The factor by which the limit may be exceeded."""

    @property
    def misses(self) -> dict[str, float]:
        """Return the cases above the limit, the worst first."""
        above = {case: value for case, value in self.measured.items() if value > self.limit * self.tie}
        return dict(sorted(above.items(), key=lambda item: -item[1]))

    def row(self) -> str:
        """Return a line of the table of targets."""
        worst = max(self.measured, key=lambda case: self.measured[case])
        verdict = "met"
        if self.misses:
            verdict = "**missed**: " + "; ".join(f"{case} {value:.4g}" for case, value in self.misses.items())
        return f"| {self.name} | {self.limit:g} | {self.measured[worst]:.3g} ({worst}) | {verdict} |"


def targets(results: Results) -> list[Target]:
    """Return the targets that the run has figures for."""
    run = cases(results)

    def ratios(subject: str, groups: Sequence[str] = ()) -> dict[str, float]:
        of_cases = {case.name: case.ratio(subject) for case in run if not groups or case.group in groups}
        return {name: ratio for name, ratio in of_cases.items() if ratio is not None}

    def floors(group: str) -> dict[str, float]:
        return {case.name: case.figures[ENGINE]["cpu"] / case.floor for case in run if case.group == group}

    best = ("jpeg", "webp", "avif")
    arm64 = ("jpeg", "png", "webp")
    limits = {"jpeg": 1.6, "png": 2.0, "webp": 1.4, "avif": 1.2, "heic": 1.2}
    every = [
        Target("CPU over the best peer: every image", 1.0, ratios(ENGINE), TIE),
        Target("CPU over the best peer: JPEG, WebP, AVIF", 0.95, ratios(ENGINE, best), TIE),
        Target("CPU over the best peer, arm64 path: JPEG, PNG, WebP", 1.1, ratios(ARM64, arm64), TIE),
        *(
            Target(f"CPU over the floor: {FORMATS[group]}", limit, floors(group), TIE)
            for group, limit in limits.items()
        ),
        Target("SSIM at 1600 px, below the best peer (WebP of equal effort)", 0.002, dict(_ssim_losses(run))),
        Target("Peak memory over the best peer", 1.3, dict(_memory_ratios(results, run))),
        Target("Growth of the process over the predicted memory", 1.0, dict(_memory_predictions(results))),
        Target("Import of the engine over `import PIL.Image`", 2.0, _import_ratio(results), TIE),
    ]
    return [target for target in every if target.measured]


def _ssim_losses(run: Sequence[Case]) -> Iterator[tuple[str, float]]:
    """Yield the loss of the worst file of 1600 pixels in each case."""
    for case in run:
        files = contestants.jobs()[case.job].files
        own = case.figures[ENGINE]["ssim"]
        losses = [
            case.figures[peer.name]["ssim"][place] - own[place]
            for place in range(len(own))
            if files[place].width == LARGEST_SIDE
            for peer in CONTESTANTS
            if peer.peer and "ssim" in case.figures.get(peer.name, ())
            and (files[place].format != "webp" or peer.webp_effort == WEBP_METHOD)
        ]  # fmt: skip
        yield case.name, max(0.0, *losses)


def _memory_ratios(results: Results, run: Sequence[Case]) -> Iterator[tuple[str, float]]:
    for case in run:
        peaks = results["pictures"][case.picture]["peak"].get(case.job, {})
        equals = [peaks[PEERS[name]] for name in case.equals() if PEERS[name] in peaks]
        if equals:
            yield case.name, peaks[ENGINE] / min(equals)


def _memory_predictions(results: Results) -> Iterator[tuple[str, float]]:
    for case in cases(results):
        memory = results["pictures"][case.picture]["memory"][case.job]
        yield case.name, memory["grown"] / memory["predicted"]


def _import_ratio(results: Results) -> dict[str, float]:
    times = results.get("import")
    return {"CPU time": times["engine"] / times["PIL.Image"]} if times else {}


# Text -----------------------------------------------------------------------------------------------------------------


def summary(results: Results) -> str:
    """Return the conclusion, the ratios to the best peers, and the targets."""
    lines = [conclusion(results), "", *_ratio_table(results), "", *_target_table(results), "", _circumstances(results)]
    return "\n".join(lines)


def conclusion(results: Results) -> str:
    """Return three sentences."""
    run = cases(results)
    ratios = [(case, ratio) for case in run if (ratio := case.ratio()) is not None]
    slower = {case.picture for case, ratio in ratios if ratio > TIE}
    good, bad = [], []
    for group, name in FORMATS.items():
        images = {case.picture for case, _ in ratios if case.group == group}
        if images - slower:
            good.append(f"{len(images - slower)} of {len(images)} {name}" if images & slower else f"all {name}")
        if images & slower:
            most = max(ratio for case, ratio in ratios if case.group == group)
            bad.append(f"{len(images & slower)} {name} (up to {most:.2f} times)")
    fast = [ratio for _, ratio in ratios if ratio <= TIE]
    first = (
        f"The engine is at least as fast as every peer of equal quality on {_list(good)} images: it takes "
        f"{min(fast):.2f} to {max(fast):.2f} times the CPU time of the fastest one (5 % more are a tie)."
        if good
        else "The engine is slower than a peer of equal quality on all images."
    )
    second = f"It is slower on {_list(bad)}." if bad else "It is slower on none."
    arm = [ratio for case in run if (ratio := case.ratio(ARM64)) is not None]
    third = f"Without the SIMD resizer, as on arm64, it takes {min(arm):.2f} to {max(arm):.2f} times that time."
    return " ".join((first, second, third))


def _list(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _ratio_table(results: Results) -> list[str]:
    jobs = list(next(iter(results["pictures"].values()))["jobs"])
    head = "".join(f" | {JOBS[job]}: engine, ms | best peer | **ratio** | arm64 path" for job in jobs)
    lines = [f"| image{head} |", "|---" * (1 + 4 * len(jobs)) + "|"]
    by_picture: dict[str, list[str]] = {}
    for case in cases(results):
        peer, ratio, arm = case.best_peer(), case.ratio(), case.ratio(ARM64)
        peer_cell = "–" if peer is None else f"{peer}, {1000 * case.figures[peer]['cpu']:.0f}"
        milliseconds = f"{1000 * case.figures[ENGINE]['cpu']:.0f}"
        by_picture.setdefault(case.picture, []).extend((milliseconds, peer_cell, f"**{_number(ratio)}**", _number(arm)))
    return [*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in by_picture.items())]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _target_table(results: Results) -> list[str]:
    head = ["| target, of all images and both jobs | at most | worst | |", "|---|---|---|---|"]
    return [*head, *(target.row() for target in targets(results))]


def _circumstances(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    load = results["load"]
    return (
        f"Measured {results['date']} on {results['machine']} cores, CPU time of all threads, medians of "
        f"{results['rounds']} interleaved rounds (at most {results['slow_rounds']} for contestants that are twice as "
        f"slow as the fastest peer); load average {load['before']} before and {load['after']} after; {versions}."
        + "".join(f" {text}" for text in _warnings(results))
    )


def _warnings(results: Results) -> list[str]:
    most = max((picture.get("others", 0.0), name) for name, picture in results["pictures"].items())
    text = warning(most[0])
    return [f"{text} (most with {most[1]})."] if text else []


def warning(cores: float) -> str:
    """Return what is wrong with figures if other work used so many cores; empty if nothing."""
    return (
        f"**Other work used {cores:.1f} cores at the same time: measure again on a quiet machine**"
        if cores > QUIET
        else ""
    )


def case_line(case: Case) -> str:
    """Return one line about a case, for a terminal."""
    peer, ratio = case.best_peer(), case.ratio()
    start = f"{case.name:42} engine {1000 * case.figures[ENGINE]['cpu']:6.0f} ms"
    if peer is None:
        return f"{start}, no peer of equal quality"
    fastest = f"{peer} {1000 * case.figures[peer]['cpu']:.0f} ms"
    return f"{start}, {_number(ratio)} of {fastest}; arm64 path {_number(case.ratio(ARM64))}"


def tables(results: Results) -> str:
    """Return all figures."""
    lines: list[str] = []
    for job, title in JOBS.items():
        run = [case for case in cases(results) if case.job == job]
        if not run:
            continue
        lines += _table(f"CPU ms, {title}", run, lambda figures: f"{1000 * figures['cpu']:.0f}", floor=True)
        lines += _table(f"Wall ms, {title}", run, lambda figures: f"{1000 * figures['wall']:.0f}")
        lines += _table(f"Bytes of all files, kB, {title}", run, lambda figures: f"{figures['bytes'] / 1000:.0f}")
        lines += _table(
            f"SSIM of each file in thousandths, {title}", run, lambda figures: _list_of(figures, "ssim", 1000)
        )
        lines += _table(f"PSNR of each file in dB, {title}", run, lambda figures: _list_of(figures, "psnr", 1))
        lines += _colour_line(run)
    lines += _memory_table(results)
    lines += _instruction_table(results)
    lines += _hostile_line(results)
    return "\n".join(lines).strip()


def _list_of(figures: dict[str, Any], key: str, unit: int) -> str:
    return " ".join(f"{unit * value:.1f}" for value in figures.get(key, ()))


def _colour_line(run: Sequence[Case]) -> list[str]:
    """Return who has other colours in which images."""
    cases_of: dict[str, list[str]] = {}
    for case in run:
        for name in filter(case.other_colours, PEERS & case.figures.keys()):
            cases_of.setdefault(name, []).append(case.picture)
    texts = [f"{name} ({', '.join(pictures)})" for name, pictures in sorted(cases_of.items())]
    return ["", f"Other colours than the engine's: {'; '.join(texts)}."] if texts else []


def _table(title: str, run: Sequence[Case], cell: Callable[[dict[str, Any]], str], *, floor: bool = False) -> list[str]:
    names = [peer.name for peer in CONTESTANTS if any(peer.name in case.figures for case in run)]
    heads = [*names, "floor"] if floor else names
    lines = ["", f"**{title}**", "", f"| | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for case in run:
        cells = [cell(case.figures[name]) if name in case.figures else "–" for name in names]
        if floor:
            cells.append(f"{1000 * case.floor:.0f}")
        lines.append(f"| {case.picture} | {' | '.join(cells)} |")
    return lines


def _memory_table(results: Results) -> list[str]:
    lines: list[str] = []
    for job, title in JOBS.items():
        pictures = {name: picture for name, picture in results["pictures"].items() if job in picture["peak"]}
        if not pictures:
            continue
        names = list(dict.fromkeys(name for picture in pictures.values() for name in picture["peak"][job]))
        heads = " | ".join(names)
        lines += ["", f"**Peak memory of a fresh process, and growth of the engine's for the image, MB, {title}**", ""]
        lines += [f"| | {heads} | growth | predicted |", "|---" * (3 + len(names)) + "|"]
        for name, picture in pictures.items():
            peaks, memory = picture["peak"][job], picture["memory"][job]
            cells = [f"{peaks[peer] / 1e6:.0f}" if peer in peaks else "–" for peer in names]
            cells += [f"{memory[key] / 1e6:.0f}" for key in ("grown", "predicted")]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _instruction_table(results: Results) -> list[str]:
    counts = results.get("instructions") or {}
    if not counts:
        return []
    names = list(next(iter(counts.values())))
    lines = ["", "**Millions of instructions, five JPEG sizes, by callgrind**", "", f"| | {' | '.join(names)} |"]
    lines.append("|---" * (1 + len(names)) + "|")
    return lines + [
        f"| {picture} | {' | '.join(f'{figures[name] / 1e6:.0f}' for name in names)} |"
        for picture, figures in counts.items()
    ]


def _hostile_line(results: Results) -> list[str]:
    hostile = results.get("hostile")
    if not hostile:
        return []
    worst = ", ".join(
        f"{name}: {1000 * cost['cpu']:.1f} ms, {cost['memory'] / 1000:.0f} kB" for name, cost in hostile.items()
    )
    return ["", f"Hostile files are rejected before they are decoded: {worst}."]
