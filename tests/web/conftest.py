"""A visitor of the page in a real browser. Whatever goes wrong on the page fails the test, except what it announces."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    WebError,
    expect,
)

from image_pipeline.api import apikeys
from image_pipeline.api.scopes import Access
from local.pipeline import Pipeline
from tests.conftest import chromium_path
from tools import chromium

PATIENCE_SECONDS = 60  # far more than anything takes, also on a busy machine
expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@pytest.hookimpl(tryfirst=True)
def pytest_collect_file() -> None:
    """Skip this folder at once, with one line, where no browser is installed."""
    chromium_path()


_NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Visitor:
    """A person with a browser. All tabs share one storage.

    Args:
        context: An own context of the browser.
        url: The address of the page.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self._problems: list[str] = []
        self._announced: dict[str, bool] = {}
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("requestfailed", self._on_failure)
        context.on("response", self._on_response)

    def open(self, path: str = "/", key: str | None = None) -> Page:
        """Open a tab; with a key, by the link that signs in."""
        page = self.context.new_page()
        page.goto(f"{self.url}{path}{f'#key={key}' if key else ''}")
        return page

    def copied(self, page: Page) -> str:
        """Return the text that the page has copied."""
        self.context.grant_permissions(["clipboard-read"], origin=self.url)
        text: str = page.evaluate("() => navigator.clipboard.readText()")
        return text

    def announce(self, *patterns: str) -> None:
        """Expect problems that the test provokes; each must occur."""
        self._announced |= dict.fromkeys(patterns, False)

    def audit(self, page: Page) -> None:
        """Note what axe finds in the present view, in the light and in the dark scheme."""
        for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate(_NEXT_FRAME)  # no colour is on its way to another one
            findings = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
            self._problems += [
                f"axe, {scheme}: {finding['id']}: {node['html'][:200]} {node['failureSummary']}"
                for finding in findings
                for node in finding["nodes"]
            ]
        page.emulate_media(color_scheme="null", reduced_motion="null")

    def leave(self) -> None:
        """Close all tabs.

        Raises:
            AssertionError: Something went wrong that was not announced, or nothing went wrong that was.
        """
        self.context.close()
        unexpected = [problem for problem in self._problems if not self._is_announced(problem)]
        assert not unexpected, "\n".join(unexpected)
        missing = [pattern for pattern, occurred in self._announced.items() if not occurred]
        assert not missing, f"announced, but did not occur: {missing}"

    def _is_announced(self, problem: str) -> bool:
        matching = [pattern for pattern in self._announced if re.search(pattern, problem)]
        self._announced |= dict.fromkeys(matching, True)
        return bool(matching)

    def _on_console(self, message: ConsoleMessage) -> None:
        # The events of requests report these, too.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self._problems.append(f"console: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self._problems.append(f"error: {error.error.stack or error.error}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page itself ended it
            self._problems.append(f"request: {request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self._problems.append(f"response: {response.status} {response.request.method} {response.url}")


def tile(page: Page, key: str) -> Locator:
    """Return the tile of an image."""
    return page.locator(f"image-tile[data-key={_quoted(key)}]")


def upload_row(page: Page, name: str) -> Locator:
    """Return the row of a file in the panel of uploads."""
    return page.locator(f"li[data-upload={_quoted(name)}]")


def drop(page: Page, *paths: Path) -> None:
    """Drop files or folders onto the page, as a file manager does."""
    page.locator("drop-target").wait_for(state="attached")  # the page takes files as soon as it is complete
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})
    session.detach()


def _quoted(text: str) -> str:
    """Return a text as a string of CSS."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, one for all tests of a process."""
    with chromium.started(chromium_path()) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, pipeline: Pipeline) -> Iterator[Callable[..., Visitor]]:
    """A function that returns a new visitor; it accepts the options of a context, such as `viewport`."""
    with ExitStack() as visits:

        def visit(**options: Any) -> Visitor:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options})
            visitor = Visitor(context, pipeline.api_url)
            visits.callback(visitor.leave)
            return visitor

        yield visit


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """A visitor with a screen of a laptop."""
    return visit()


@pytest.fixture
def folder() -> str:
    """The name of a folder, with a slash, that no other test uses."""
    return f"web-{uuid.uuid4()}/"


@pytest.fixture
def make_key(pipeline: Pipeline) -> Callable[..., apikeys.ApiKey]:
    """A function that creates an API key; scopes and folder as `image-pipeline keys create` accepts them."""

    def make_key(*scopes: str, folder: str | None = None) -> apikeys.ApiKey:
        access = Access(scopes=frozenset(scopes) or Access().scopes, folder=f"uploads/{folder}" if folder else None)
        table = pipeline.outputs["ApiKeyTableName"]
        return apikeys.create(pipeline.client, table=table, name="a visitor", access=access)

    return make_key


@pytest.fixture
def key(make_key: Callable[..., apikeys.ApiKey], folder: str) -> str:
    """An API key with all scopes, for the folder of the test."""
    return make_key(folder=folder).text
