"""Start the Chromium of this machine. Nothing is downloaded, and all names lead to loopback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Programs by preference. The first is Chromium without the code of its windows, which needs two thirds of the time."""
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),  # it opens only our page, maybe in a container
    "--host-resolver-rules=MAP * 127.0.0.1",
)


def find() -> str | None:
    """Return the path of the browser: the variable BROWSER, or the first that is found on the path."""
    return os.environ.get("BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def started(path: str, *options: str) -> Iterator[Browser]:
    """Run the browser, with further options, without a window until the end of the block."""
    from playwright.sync_api import sync_playwright  # slow, and most callers of `find` do not need it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*OPTIONS, *options])
        try:
            yield browser
        finally:
            browser.close()
