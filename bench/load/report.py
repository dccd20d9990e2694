"""Report the figures of `bench.load`: on the terminal, as JSON, in `docs/performance.md` and as a plot."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from bench.load.check import LoadFault
from bench.report import DOCUMENT, RESULTS_FOLDER, write_document

RESULTS = RESULTS_FOLDER / "load.json"
PLOT = DOCUMENT.with_name("load.svg")

Figures = Mapping[str, Any]


class LoadText:
    """Prints sentences, coloured on a terminal."""

    def __init__(self) -> None:
        self._console = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)

    def tell(self, event: str, facts: Mapping[str, Any]) -> None:
        """Print progress."""
        if event == "sent":
            self._console.print(f"{facts['uploads']:,} uploads stored in {facts['seconds']} s")
        elif event == "progress":
            self._console.print(
                f"{facts['seconds']:6.0f} s  {facts['ended']:,} of {facts['of']:,} executions ended, "
                f"{facts['running']} running, server {facts['server']:,} MB",
                style="dim",
            )
        elif event == "checking":
            self._console.print("Checking each upload …")

    def result(self, figures: Figures, faults: Sequence[LoadFault]) -> None:
        """Print the figures and the faults."""
        self._console.print("\n" + "\n".join(f"{name:<12}{value}" for name, value in _facts(figures)) + "\n")
        for fault in faults:
            self._console.print(f"{fault.kind}: {fault.text}", style="red")
        if not faults:
            self._console.print(
                "Each upload had one outcome, one notification and one record.",
                style="green",
            )


class LoadJsonLines:
    """Prints one JSON object per line; its `event` is the type."""

    def tell(self, event: str, facts: Mapping[str, Any]) -> None:
        """Print progress."""
        self._write({"event": event, **facts})

    def result(self, figures: Figures, faults: Sequence[LoadFault]) -> None:
        """Print the figures and the faults."""
        descriptions = [{"kind": fault.kind, "text": fault.text} for fault in faults]
        self._write({"event": "result", "ok": not faults, "faults": descriptions, "figures": figures})

    def _write(self, line: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def write(figures: Figures) -> None:
    """Save the figures, and update the document and the plot."""
    RESULTS.write_text(json.dumps(figures, separators=(",", ":")).replace("],[", "],\n[") + "\n")
    PLOT.write_text(plot(figures))
    write_document("load", table(figures))


def table(figures: Figures) -> str:
    """Return a Markdown table with a row for each figure."""
    machine = figures["machine"]
    header = (
        f"Measured {figures['date']} on {machine['cores']} × {machine['architecture']} cores, {machine['system']}, "
        f"python {machine['python']}, load {machine['load']} before the start."
    )
    return "\n".join([header, "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in _facts(figures))])


def _facts(figures: Figures) -> list[tuple[str, str]]:
    uploads, memory = figures["uploads"], figures["memory"]
    kinds = " · ".join(f"{kind} {count:,}" for kind, count in uploads["kinds"].items())
    facts = [
        ("uploads", f"{uploads['count']:,} to {uploads['keys']:,} keys at once: {kinds}"),
        (
            "executions",
            f"{uploads['executions']:,}, as {uploads['delivered_twice']:,} events came twice; "
            f"{uploads['superseded']:,} found themselves superseded",
        ),
        ("not right", " · ".join(f"{kind} {figures[kind]:,}" for kind in ("lost", "doubled", "wrong"))),
    ]
    if "latency" in figures:
        percentiles = " · ".join(f"{name} {seconds} s" for name, seconds in figures["latency"].items())
        facts += [
            ("throughput", f"{figures['uploads_per_second']} uploads a second, {figures['seconds']} s in all"),
            ("latency", percentiles),
        ]
    peaks = (f"{name} {peak:,} MB ({_bound(memory['bound'][name])})" for name, peak in memory["peak"].items())
    return [*facts, ("memory", " · ".join(peaks))]


def _bound(bound: Mapping[str, float]) -> str:
    per_upload = f" = {bound['base']:,} + {bound['each']:g} for each upload" if bound["each"] else ""
    return f"at most {bound['all']:,}{per_upload}"


# The plot has its own background, so that it is legible everywhere.
_STYLE = """
text{font:11px system-ui,sans-serif;fill:#57606a}.title{font-weight:600;fill:#24292f}.ground{fill:#fff}
path{stroke:#d0d7de}polyline{fill:none;stroke-width:1.5}text.a{fill:#0969da}text.b{fill:#bc4c00}text.c{fill:#1a7f37}
polyline.a{stroke:#0969da}polyline.b{stroke:#bc4c00}polyline.c{stroke:#1a7f37}
@media(prefers-color-scheme:dark){text{fill:#8b949e}.title{fill:#e6edf3}.ground{fill:#0d1117}
path{stroke:#30363d}text.a{fill:#58a6ff}text.b{fill:#f0883e}text.c{fill:#3fb950}
polyline.a{stroke:#58a6ff}polyline.b{stroke:#f0883e}polyline.c{stroke:#3fb950}}
""".strip()
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 180, 52, 30, 16, 28
_ACROSS, _DOWN = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_LEGEND = 70

Points = Sequence[tuple[float, float]]


def plot(figures: Figures) -> str:
    """Return an SVG with the distribution of latency, and throughput and memory over time."""
    ends, memory = figures["ends"], figures["memory"]
    latencies = sorted(latency for latency, _ in ends)
    through = [(latencies[math.ceil(len(ends) * part / 100) - 1], part) for part in range(1, 101)]
    seconds = max(end for _, end in ends)
    width = max(1, round(seconds / 60))
    finished = Counter(int(end // width) for _, end in ends)
    rate = [((slot + 0.5) * width, finished[slot] / width) for slot in range(int(seconds // width))]
    samples = {
        name: [(sample[0], sample[1 + index]) for sample in memory["samples"]]
        for index, name in enumerate(memory["peak"])
    }
    panels = [
        _panel(0, "Percent of the images whose record is final, by seconds after the upload", {"": through}),
        _panel(1, "Images a second, by seconds since the start", {"": rate}),
        _panel(2, "Resident memory in MB, by seconds since the start", samples),
    ]
    size = f'width="{_WIDTH}" height="{_HEIGHT * len(panels)}" viewBox="0 0 {_WIDTH} {_HEIGHT * len(panels)}"'
    label = f"Latency, throughput and memory of {figures['uploads']['count']:,} uploads at once"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}"><style>{_STYLE}</style>'
    ground = '<rect class="ground" width="100%" height="100%" rx="6"/>'
    return "\n".join([head, ground, *panels, "</svg>"]) + "\n"


def _panel(index: int, title: str, lines: Mapping[str, Points]) -> str:
    """Return one plot with axes; the names of its lines are to the right of its title."""
    right = max((x for points in lines.values() for x, _ in points), default=0) or 1
    levels = _ticks(max((y for points in lines.values() for _, y in points), default=0) or 1, 4)

    def place(x: float, y: float) -> tuple[float, float]:
        return round(_LEFT + x / right * _ACROSS, 1), round(_TOP + _DOWN - y / levels[-1] * _DOWN, 1)

    parts = [f'<g transform="translate(0 {index * _HEIGHT})"><text class="title" x="{_LEFT}" y="18">{title}</text>']
    for level in levels:
        y = place(0, level)[1]
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{level:g}</text>')
    for moment in _ticks(right, 8):
        if moment <= right:
            parts.append(f'<text x="{place(moment, 0)[0]}" y="{_HEIGHT - 12}" text-anchor="middle">{moment:g}</text>')
    for index_of_line, (style, (name, points)) in enumerate(zip("abc", lines.items(), strict=False)):
        drawn = " ".join("{},{}".format(*place(x, y)) for x, y in points)
        parts.append(f'<polyline class="{style}" points="{drawn}"/>')
        x = _WIDTH - _RIGHT - (len(lines) - 1 - index_of_line) * _LEGEND
        parts.append(f'<text class="{style}" x="{x}" y="18" text-anchor="end">{name}</text>')
    return "\n".join([*parts, "</g>"])


def _ticks(top: float, about: int) -> list[float]:
    """Return about this number of round values from 0 to the first that is not below the top."""
    power = 10 ** math.floor(math.log10(top / about))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * about >= top)
    return [step * number for number in range(math.ceil(top / step) + 1)]
