"""Format measurements as tables, and write them between marks in `docs/performance.md`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
RESULTS_FOLDER = Path(__file__).parent / "results"

Results = dict[str, Any]


def _worst(results: Results, other: str, start: str = "", key: str = "cpu") -> float | None:
    """Return the largest ratio of the engine to another contestant over pictures with this prefix."""
    ratios = [
        figures["engine"][key] / figures[other][key]
        for name, figures in results["pictures"].items()
        if name.startswith(start) and other in figures
    ]
    return max(ratios, default=None)


def _peak(results: Results) -> float | None:
    picture = results["pictures"].get("jpeg-48mp")
    return picture["engine"]["peak"] / 1e6 if picture else None


def _peak_ratio(results: Results) -> float | None:
    picture = results["pictures"].get("jpeg-48mp")
    return picture["engine"]["peak"] / picture["tutorial"]["peak"] if picture else None


def _hostile(results: Results) -> float | None:
    picture = results["pictures"].get("jpeg-12mp")
    return (
        max(figures["cpu"] for figures in results["hostile"].values()) / picture["tutorial"]["cpu"] if picture else None
    )


TARGETS: tuple[tuple[str, float, Callable[[Results], float | None]], ...] = (
    ("CPU against the tutorial: JPEG 12 to 48 MP", 0.12, lambda r: _worst(r, "tutorial", "jpeg")),
    ("CPU against the tutorial: PNG", 0.30, lambda r: _worst(r, "tutorial", "png")),
    ("CPU against the tutorial: WebP", 0.28, lambda r: _worst(r, "tutorial", "webp")),
    ("CPU against the tutorial: AVIF", 0.22, lambda r: _worst(r, "tutorial", "avif")),
    ("CPU against sharp, idiomatic, any input", 0.30, lambda r: _worst(r, "sharp, idiomatic")),
    ("CPU against pyvips, idiomatic, any input", 0.35, lambda r: _worst(r, "vips, idiomatic")),
    ("CPU against one libvips decode: JPEG", 0.90, lambda r: _worst(r, "vips, one decode", "jpeg")),
    ("CPU against one libvips decode: PNG", 1.0, lambda r: _worst(r, "vips, one decode", "png")),
    ("CPU against one libvips decode: WebP", 1.0, lambda r: _worst(r, "vips, one decode", "webp")),
    ("Peak memory, 48 MP JPEG, MB", 125, _peak),
    ("Peak memory, 48 MP JPEG, against the tutorial", 0.25, _peak_ratio),
    (
        "Import of the engine against `import PIL.Image`",
        2.0,
        lambda r: r["import"]["engine"] / r["import"]["PIL.Image"],
    ),
    ("CPU over the floor: JPEG", 1.35, lambda r: _worst(r, "floor", "jpeg")),
    ("Hostile file rejected, against the tutorial's 12 MP JPEG", 0.03, _hostile),
    ("Hostile file rejected, extra MB", 5, lambda r: max(e["memory"] for e in r["hostile"].values()) / 1e6),
)


def tables(results: Results) -> str:
    """Return Markdown: the targets, then tables of CPU, wall time, memory, bytes and quality."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines = [
        f"Measured {results['date']} on {results['machine']} cores, medians of {results['rounds']} interleaved rounds; "
        f"load average {results['load']['before']} before and {results['load']['after']} after; {versions}.",
        "",
        "| target (worst picture of the group) | at most | measured | |",
        "|---|---|---|---|",
    ]
    for name, limit, value in TARGETS:
        measured = value(results)
        if measured is not None:
            lines.append(f"| {name} | {limit:g} | {measured:.3g} | {'met' if measured <= limit else '**missed**'} |")
    lines += _table(results, "CPU time, tutorial = 1", lambda e, base: f"{e['cpu'] / base['cpu']:.2f}")
    lines += _table(results, "Wall time, tutorial = 1", lambda e, base: f"{e['wall'] / base['wall']:.2f}")
    lines += _table(results, "Peak memory of the process, MB", lambda e, _: f"{e['peak'] / 1e6:.0f}")
    lines += _table(results, "Bytes of the five files, kB", lambda e, _: f"{e['bytes'] / 1000:.0f}")
    lines += _table(
        results,
        "SSIM · PSNR in dB against Lanczos from full size, mean of the five sizes",
        lambda e, _: f"{e['ssim']:.4f} · {e['psnr']:.1f}" if "ssim" in e else "",
    )
    lines += _table(
        results,
        "The same at 1600 px alone",
        lambda e, _: f"{e['ssim_largest']:.4f} · {e['psnr_largest']:.1f}" if "ssim_largest" in e else "",
    )
    base = {name: figures["tutorial"] for name, figures in results["pictures"].items()}
    times = ", ".join(f"{name} {figures['cpu'] * 1000:.0f}" for name, figures in base.items())
    lines += ["", f"Tutorial, CPU ms: {times}"]
    return "\n".join(lines)


def _table(results: Results, title: str, cell: Callable[[dict[str, float], dict[str, float]], str]) -> list[str]:
    names = list(next(iter(results["pictures"].values())))
    lines = ["", f"**{title}**", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for picture, figures in results["pictures"].items():
        cells = [cell(figures[name], figures["tutorial"]) for name in names]
        lines.append(f"| {picture} | " + " | ".join(cells) + " |")
    return lines


def section(name: str, document: Path = DOCUMENT) -> str:
    """Return the text between the marks of this name."""
    match = _between(name).search(document.read_text())
    if match is None:
        raise ValueError(f"{document.name} has no marks named {name}")
    return match[1].strip()


def write_document(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace the text between the marks of this name."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    new, count = _between(name).subn(lambda _: f"{start}\n\n{text}\n\n{end}", document.read_text())
    if not count:
        raise ValueError(f"{document.name} has no marks named {name}")
    document.write_text(new)


def _between(name: str) -> re.Pattern[str]:
    return re.compile(f"<!-- {name}: start -->(.*?)<!-- {name}: end -->", re.DOTALL)
