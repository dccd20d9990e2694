"""Measure the web page on the local run: transferred bytes, time until it can be used, time of a filter.

`python -m bench.page` starts a pipeline with `IMAGES` listed images and opens the page in Chromium. It writes
bench/results/page.json and the section `page` of docs/performance.md.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page, Request

from bench import gallery, report
from image_pipeline.api import apikeys
from local.pipeline import Pipeline
from local.samples import samples
from tools import chromium

RESULTS = report.RESULTS_FOLDER / "page.json"
IMAGES = 1_000
ROUNDS = 9
FOLDER = "many/"
MOST_BYTES = 60_000
MOST_MILLISECONDS = 1_000
MOST_FILTER_MILLISECONDS = 200

# The clock of the page starts with the navigation.
_WATCH_TILES = """
new MutationObserver((_, observer) => {
  if (!document.querySelector('image-tile')) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.usableAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
_FILTER = """
() => new Promise((resolve) => {
  const began = performance.now();
  new MutationObserver((_, observer) => {
    const tiles = [...document.querySelectorAll('image-tile')];
    if (!tiles.length || tiles.some((tile) => tile.dataset.state !== 'FAILED')) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
  }).observe(document.body, { childList: true, subtree: true, attributes: true });
  document.activeElement.click();
})
"""


def main() -> None:
    """Measure, and write the results."""
    path = chromium.find()
    if path is None:
        sys.exit("Chromium is needed: install it, or name it in the variable BROWSER.")
    with (
        tempfile.TemporaryDirectory() as run_dir,
        Pipeline(Path(run_dir)) as pipeline,
        chromium.started(path) as browser,
    ):
        results = measure(pipeline, browser)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    report.write_document("page", table(results))


def measure(pipeline: Pipeline, browser: Browser) -> dict[str, Any]:
    """Return the figures of the page with `IMAGES` images."""
    photos = {sample.key: sample.data for sample in samples() if sample.error is None}
    for key, data in photos.items():
        pipeline.upload(key, data)
    gallery.fill(pipeline, [pipeline.wait_for(key) or {} for key in photos], FOLDER, IMAGES)
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="bench").text
    url = f"{pipeline.api_url}/?prefix={FOLDER}#key={key}"
    load = os.getloadavg()[0]
    openings, filters = [], []
    for _ in range(ROUNDS + 1):  # the first one also starts the functions
        context = browser.new_context()
        page = context.new_page()
        page.add_init_script(_WATCH_TILES)
        page.goto(url)
        openings.append(page.wait_for_function("() => window.usableAt").json_value())
        page.get_by_role("button", name="Status").click()
        page.get_by_role("dialog", name="Status").get_by_role("button", name="Failed").focus()
        filters.append(page.evaluate(_FILTER))
        context.close()
    context = browser.new_context()
    size = transferred(context.new_page(), url)
    context.close()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores",
        "load": {"before": round(load, 1), "after": round(os.getloadavg()[0], 1)},
        "browser": browser.version,
        "images": IMAGES,
        "rounds": ROUNDS,
        "transferredBytes": size,
        "firstOpeningMilliseconds": round(openings[0]),
        "openingMilliseconds": round(median(openings[1:])),
        "filterMilliseconds": round(median(filters[1:])),
    }


def transferred(page: Page, url: str) -> int:
    """Open an address; return the bytes, with headers, of all answers to requests before that of the first picture."""
    requests: list[Request] = []

    def note(request: Request) -> None:
        requests.append(request)

    page.on("request", note)
    page.goto(url)
    page.locator("image-tile img.loaded").first.wait_for()
    page.wait_for_load_state("networkidle")
    page.remove_listener("request", note)
    before = itertools.takewhile(lambda request: not _is_picture(request), requests)
    sizes = [request.sizes() for request in before if not request.failure]
    return sum(size["responseHeadersSize"] + size["responseBodySize"] for size in sizes)


def _is_picture(request: Request) -> bool:
    return request.resource_type == "image" and not request.url.endswith("/icon.svg")


def table(results: dict[str, Any]) -> str:
    """Return Markdown."""
    rows = [
        ("transferred before pictures, kB", MOST_BYTES / 1000, results["transferredBytes"] / 1000),
        ("until the first pictures can be used, ms", MOST_MILLISECONDS, results["openingMilliseconds"]),
        ("until a filter answers, ms", MOST_FILTER_MILLISECONDS, results["filterMilliseconds"]),
    ]
    load = results["load"]
    lines = [
        f"Measured {results['date']} on {results['machine']}, Chromium {results['browser']}, with "
        f"{results['images']:,} images, medians of {results['rounds']} rounds; load average {load['before']} before "
        f"and {load['after']} after. The first opening, which also starts the functions, took "
        f"{results['firstOpeningMilliseconds']:,} ms.",
        "",
        "| | at most | measured | |",
        "|---|---|---|---|",
    ]
    for name, limit, value in rows:
        lines.append(f"| {name} | {limit:g} | {value:.3g} | {'met' if value <= limit else '**missed**'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
