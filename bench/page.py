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
from typing import TYPE_CHECKING, Any

from bench import gallery, report
from image_pipeline.api import apikeys
from local.pipeline import Pipeline
from local.samples import samples
from tools import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

RESULTS = report.RESULTS_FOLDER / "page.json"
IMAGES = 1_000
ROUNDS = 9
FOLDER = "many/"
MOST_BYTES = 60_000
MOST_MILLISECONDS = 1_000
MOST_FILTER_MILLISECONDS = 200

# The clock of the page starts with the navigation. Everything can be used as soon as the page takes dropped files.
_WATCH = """
let isPainted = false;
new MutationObserver((_, observer) => {
  const afterPaint = (then) => requestAnimationFrame(() => setTimeout(() => then(performance.now())));
  if (!isPainted && document.querySelector('image-tile')) {
    isPainted = true;
    afterPaint((now) => { window.paintedAt = now; });
  }
  if (!isPainted || !document.querySelector('drop-target')) return;
  observer.disconnect();
  afterPaint((now) => { window.usableAt = now; });
}).observe(document, { childList: true, subtree: true });
"""
# What the page waits for, at the same time: what the key may do, and the first images.
_FIRST_ANSWERS = """
() => {
  const entries = performance.getEntriesByType('resource');
  const first = ['/access', '/images?'].map((path) => entries.find(({ name }) => name.includes(path)));
  const ends = first.map(({ responseEnd }) => responseEnd);
  return Math.max(...ends) - Math.min(...first.map(({ startTime }) => startTime));
}
"""
# A filter shows known images first; it is complete when all failed ones are there. The time of the API is that of its
# requests for the list, one after the other.
_FILTER = """
(count) => new Promise((resolve) => {
  const began = performance.now();
  const afterPaint = (then) => requestAnimationFrame(() => setTimeout(() => then(performance.now() - began)));
  const isAnswer = ({ name, startTime }) => startTime >= began && name.includes('/images?');
  const answers = () => performance.getEntriesByType('resource').filter(isAnswer);
  let first = null;
  const observer = new MutationObserver(() => {
    const tiles = [...document.querySelectorAll('image-tile')];
    if (!tiles.length || tiles.some((tile) => tile.dataset.state !== 'FAILED')) return;
    first ??= new Promise((done) => afterPaint(done));
    if (tiles.length < count || !answers().length) return;
    observer.disconnect();
    const api = answers().reduce((sum, { duration }) => sum + duration, 0);
    afterPaint(async (complete) => resolve({ first: await first, complete, api }));
  });
  observer.observe(document.body, { childList: true, subtree: true, attributes: true });
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
        Pipeline(Path(run_dir), warm=True) as pipeline,  # as `make run`
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
    pipeline.warm_up(key)  # as `make run`
    url = f"{pipeline.api_url}/?prefix={FOLDER}#key={key}"
    load = os.getloadavg()[0]
    openings, pictures, opening_apis, filters = [], [], [], []
    for _ in range(ROUNDS + 1):
        context = browser.new_context()
        page = context.new_page()
        page.add_init_script(_WATCH)
        page.goto(url)
        openings.append(page.wait_for_function("() => window.usableAt").json_value())
        pictures.append(page.evaluate("() => window.paintedAt"))
        opening_apis.append(page.evaluate(_FIRST_ANSWERS))
        page.get_by_role("button", name="Status").click()
        page.get_by_role("dialog", name="Status").get_by_role("button", name="Failed").focus()
        filters.append(page.evaluate(_FILTER, IMAGES // gallery.FAILED_EVERY))
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
        "picturesMilliseconds": round(median(pictures[1:])),
        "openingApiMilliseconds": round(median(opening_apis[1:])),
        "filterMilliseconds": _median(filters, "first"),
        "filterCompleteMilliseconds": _median(filters, "complete"),
        "filterApiMilliseconds": _median(filters, "api"),
    }


def _median(filters: list[dict[str, float]], name: str) -> int:
    return round(median(times[name] for times in filters[1:]))


def transferred(page: Page, url: str) -> int:
    """Open an address; return the bytes, with headers, of all answers to requests before that of the first picture."""
    requests: list[Request] = []

    def note(request: Request) -> None:
        requests.append(request)

    page.on("request", note)
    page.goto(url)
    page.locator("image-tile img.loaded").first.wait_for()
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
        ("first opening, until everything can be used, ms", MOST_MILLISECONDS, results["firstOpeningMilliseconds"]),
        ("each other opening, until everything can be used, ms", MOST_MILLISECONDS, results["openingMilliseconds"]),
        ("… until the first pictures are painted, ms", MOST_MILLISECONDS, results["picturesMilliseconds"]),
        ("until a filter shows its first images, ms", MOST_FILTER_MILLISECONDS, results["filterMilliseconds"]),
        ("until a filter shows all its images, ms", MOST_FILTER_MILLISECONDS, results["filterCompleteMilliseconds"]),
    ]
    load = results["load"]
    lines = [
        f"Measured {results['date']} on {results['machine']}, Chromium {results['browser']}, with "
        f"{results['images']:,} images, medians of {results['rounds']} rounds after the first opening; load average "
        f"{load['before']} before and {load['after']} after.",
        "",
        "| | at most | measured | |",
        "|---|---|---|---|",
    ]
    for name, limit, value in rows:
        lines.append(f"| {name} | {limit:g} | {round(value, 1):,} | {'met' if value <= limit else '**missed**'} |")
    lines += [
        "",
        f"Until the first pictures, {results['openingApiMilliseconds']:,} ms were answers of the API (`/access` and "
        f"`/images`). Until the filter was complete, {results['filterApiMilliseconds']:,} ms were answers of the API.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
