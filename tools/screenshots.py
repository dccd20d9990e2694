"""Take the screenshots of the web page for README and docs: `make screenshots` writes docs/pictures/.

The page runs for real, with photographs of the samples and drawn landscapes. All times are replaced, so that two runs
show the same.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, Route, ViewportSize

from image_pipeline import times
from image_pipeline.api import apikeys
from image_pipeline.keys import UPLOADS_PREFIX
from local.pipeline import Pipeline
from local.samples import samples
from tools import chromium
from tools.scenes import scenes

SCREENSHOTS = Path(__file__).resolve().parent.parent / "docs" / "pictures"
MOST_BYTES = 150_000
NOW = datetime(2026, 6, 21, 15, 30, tzinfo=UTC)
INTERVAL = timedelta(minutes=91)  # two days of images
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
DETAIL = "alps/lake.jpg"


def main() -> None:
    """Take all screenshots."""
    path = chromium.find()
    if path is None:
        sys.exit("Chromium is needed: install it, or name it in the variable BROWSER.")
    SCREENSHOTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as run_dir, Pipeline(Path(run_dir)) as pipeline:
        order = _upload(pipeline)
        with chromium.started(path) as browser:
            studio = Studio(pipeline, browser, order)
            studio.take_all()


def _upload(pipeline: Pipeline) -> list[str]:
    """Process all photographs and return their keys, newest first."""
    files = dict(_files())
    for key, data in files.items():
        pipeline.upload(key, data)
    for key in files:
        pipeline.wait_for(key)
    return list(files)


def _files() -> Iterator[tuple[str, bytes]]:
    photos = {sample.key: sample.data for sample in samples() if sample.key.count("/") > 1}
    for number, (name, data) in enumerate(scenes()):
        yield f"{UPLOADS_PREFIX}{name}", data
        if number % 4 == 2 and photos:
            yield photos.popitem()


class Studio:
    """Opens the page and takes screenshots of it.

    Args:
        pipeline: A running pipeline.
        browser: A running browser.
        order: The keys of all images, newest first.
    """

    def __init__(self, pipeline: Pipeline, browser: Browser, order: list[str]) -> None:
        self._pipeline = pipeline
        self._browser = browser
        self._times = {key: times.iso(NOW - number * INTERVAL) for number, key in enumerate(order, start=1)}
        table = pipeline.outputs["ApiKeyTableName"]
        self._key = apikeys.create(pipeline.client, table=table, name="make screenshots").text

    def take_all(self) -> None:
        """Write all screenshots."""
        with self._page(LAPTOP) as page:
            self._take(page, "gallery")
            page.emulate_media(color_scheme="dark", reduced_motion="reduce")
            self._take(page, "dark")
        with self._page(LAPTOP, f"/?image={DETAIL}") as page:
            page.locator("image-detail table").wait_for()
            self._take(page, "detail")
        with self._page(PHONE) as page:
            self._take(page, "mobile")
        with self._page(LAPTOP) as page:
            self._fail(page)
            self._take(page, "failed")

    def _fail(self, page: Page) -> None:
        """Upload two photographs and a text that is named like one."""
        photos = {Path(sample.key).stem: sample.data for sample in samples() if sample.key.count("/") == 1}
        files = {"cup.jpg": photos["coffee"], "portrait.jpg": photos["astronaut"], "notes.jpg": photos["notes"]}
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Upload", exact=True).click()
        payloads: Any = [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files.items()]
        chooser.value.set_files(payloads)
        for name in files:
            page.locator(f'li[data-upload="{name}"]:is([data-state="done"], [data-state="failed"])').wait_for()
            page.locator(f'image-tile[data-key="uploads/{name}"]').wait_for()

    @contextmanager
    def _page(self, viewport: ViewportSize, path: str = "/") -> Iterator[Page]:
        context = self._browser.new_context(
            viewport=viewport,
            device_scale_factor=2,
            is_mobile=viewport is PHONE,
            color_scheme="light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.route(re.compile(r"/images[/?]"), self._answer)
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.goto(f"{self._pipeline.api_url}{path}#key={self._key}")
        page.locator("toast-list").wait_for(state="attached")
        yield page
        context.unroute_all(behavior="ignoreErrors")
        context.close()

    def _answer(self, route: Route) -> None:
        """Answer as the API, with other times."""
        response = route.fetch(max_redirects=0)
        if response.headers.get("content-type", "").startswith("application/json"):
            route.fulfill(response=response, json=self._with_times(response.json()))
        else:
            route.fulfill(response=response)

    def _with_times(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._with_times(item) for item in value]
        if not isinstance(value, dict):
            return value
        changed = {name: self._with_times(item) for name, item in value.items()}
        if "imageKey" in value:
            time = self._times.get(value["imageKey"], times.iso(NOW))
            if "uploadedAt" in changed:
                changed["uploadedAt"] = time
            if "upload" in changed:
                changed["upload"]["uploadedAt"] = time
        return changed

    def _take(self, page: Page, name: str) -> None:
        """Write a screenshot, as good as the size allows."""
        page.wait_for_function(
            "() => [...document.images].every((image) => image.complete && (image.naturalWidth || !image.src))"
        )
        page.mouse.move(0, 0)
        image = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
        for quality in range(90, 30, -5):
            data = io.BytesIO()
            image.save(data, "WEBP", quality=quality, method=6)
            if data.tell() <= MOST_BYTES:
                break
        (SCREENSHOTS / f"{name}.webp").write_bytes(data.getvalue())
        print(f"docs/pictures/{name}.webp: {data.tell() / 1000:.0f} kB")


if __name__ == "__main__":
    main()
