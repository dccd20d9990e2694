"""A visitor of the page in a real browser. Whatever goes wrong on the page fails the test, except what it announces."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from boto3.dynamodb.types import TypeSerializer
from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Route,
    WebError,
)
from playwright.sync_api import expect as expect_soon

from image_pipeline import keys
from image_pipeline.api import apikeys, webpage
from image_pipeline.api.scopes import Access
from image_pipeline.feeds import listing
from local.pipeline import Pipeline
from tests.conftest import ROOT, chromium_path
from tests.pictures import encoded, gradient

PATIENCE_SECONDS = 60  # far more than anything takes, also on a busy machine
expect_soon.set_options(timeout=400)  # with a limit this short, Playwright looks every 50 milliseconds, else every 500


@pytest.hookimpl(tryfirst=True)
def pytest_collect_file() -> None:
    """Skip this folder at once, with one line, where no browser is installed."""
    chromium_path()


# What is wrong in the present view. With reduced motion, nothing may move. Only the page itself isolates names.
_LOOK = """
(unprintable) => {
  const longest = (text) => Math.max(...text.split(',').map(Number.parseFloat));
  const moves = ({ transitionProperty, transitionDuration, animationName, animationDuration }) =>
    (longest(transitionDuration) > 0.01 && /all|transform|top|left|width|height/.test(transitionProperty)) ||
    (animationName !== 'none' && longest(animationDuration) > 0.01);
  const all = matchMedia('(prefers-reduced-motion: reduce)').matches ? [...document.querySelectorAll('*')] : [];
  const moving = all.filter((element) => moves(getComputedStyle(element)));

  const texts = [document.title];
  const nodes = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (nodes.nextNode()) texts.push(nodes.currentNode.data);
  for (const name of ['alt', 'aria-label', 'placeholder', 'title']) {
    for (const element of document.querySelectorAll(`[${name}]`)) texts.push(element.getAttribute(name));
  }
  const deceives = (text) => new RegExp(unprintable).test(text.replace(/[\\n\\u2068\\u2069]/g, ''));

  return [
    ...moving.map((element) => `moves: ${element.outerHTML.slice(0, 200)}`),
    ...texts.filter(deceives).map((text) => `deceives: ${text}`),
  ];
}
"""

_STATE = "() => [matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', 'axe' in window]"


# Wait until no colour is on its way to another one. From then on, colours change at once.
_REST = """
async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const ending = document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime < Infinity);
  await Promise.allSettled(ending.map(({ finished }) => finished));
  const style = new CSSStyleSheet();
  style.replaceSync('*, ::before, ::after { transition: none !important }');
  document.adoptedStyleSheets.push(style);
}
"""
_FIND = "async ([part, options]) => (await axe.run(part ?? document, options)).violations"
_MOVE_ON = "() => { document.adoptedStyleSheets.pop() }"


PARKED = f"/page/{webpage.WebPage(ROOT / 'web', {'stack': '', 'authorization': ''}, {}).digest}/icon.svg"
"""The path of a tab that waits for the next test: a small document with the headers of the page, so its process stays.

To open the page in such a tab takes a quarter less CPU than in a new one, which has another process at first.
"""


class Visitor:
    """A person with a browser. All tabs share one storage.

    Args:
        context: A context of the browser.
        url: The address of the page.
        stays: Whether the context outlives the visitor. Its only tab stays, too, at `PARKED`.
    """

    def __init__(self, context: BrowserContext, url: str, *, stays: bool = False) -> None:
        self.context, self.url, self._home = context, url, url
        self._stays = stays
        self._parked_tabs = list(context.pages)
        self._has_permissions = False
        self._problems: list[str] = []
        self._announced: dict[str, bool] = {}
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        self._listeners: dict[Any, Callable[[Any], None]] = {
            "console": self._on_console,
            "weberror": self._on_error,
            "requestfailed": self._on_failure,
        }
        for event, listener in self._listeners.items():
            context.on(event, listener)

    def open(self, path: str = "/", key: str | None = None, script: str | None = None) -> Page:
        """Open the page, first in the parked tab, then in new ones.

        Args:
            path: The path of the page, with its query.
            key: An API key; the page is opened by the link that signs in with it.
            script: Code that runs before the code of the page, in a new tab.
        """
        if self._parked_tabs and not script:
            page = self._parked_tabs.pop()
            page.bring_to_front()
        else:
            page = self.context.new_page()
        if script:
            page.add_init_script(script)
        page.goto(f"{self.url}{path}{f'#key={key}' if key else ''}")
        return page

    def grant(self, *permissions: str) -> None:
        """Allow the page something that it would have to ask for."""
        self.context.grant_permissions(permissions, origin=self.url)
        self._has_permissions = True

    def copied(self, page: Page) -> str:
        """Return the text that the page has copied."""
        self.grant("clipboard-read")
        text: str = page.evaluate("() => navigator.clipboard.readText()")
        return text

    def announce(self, *patterns: str) -> None:
        """Expect problems that the test provokes; each must occur."""
        self._announced |= dict.fromkeys(patterns, False)

    def look(self, page: Page) -> None:
        """Note what moves in the present view, and which texts deceive."""
        self._problems += page.evaluate(_LOOK, keys.UNPRINTABLE)

    def audit(self, page: Page, part: str | None = None) -> None:
        """Look at the present view, and note what axe finds in both colour schemes.

        Args:
            page: A tab.
            part: A selector; axe looks only there, because the rest of the view was audited before. If HEAVY, axe looks
                everywhere.
        """
        part = None if "HEAVY" in os.environ else part
        self.look(page)
        scheme, has_axe = page.evaluate(_STATE)
        if not has_axe:
            page.evaluate(AXE_SCRIPT)
        page.evaluate(_REST)
        present, other = ("light", "dark") if scheme == "light" else ("dark", "light")
        self._run_axe(page, part, present)
        page.emulate_media(color_scheme=other)  # and stay there: each change draws the whole page again
        self._run_axe(page, part, other, runOnly=["color-contrast"])
        page.evaluate(_MOVE_ON)

    def audit_if_heavy(self, page: Page) -> None:
        """Audit a view whose parts are all audited elsewhere, too: `make test-all` also audits their combination."""
        if "HEAVY" in os.environ:
            self.audit(page)

    def _run_axe(self, page: Page, part: str | None, scheme: str, **options: Any) -> None:
        for finding in page.evaluate(_FIND, [part, {"resultTypes": ["violations"], **options}]):
            self._problems += [
                f"axe, {scheme}: {finding['id']}: {node['html'][:200]} {node['failureSummary']}"
                for node in finding["nodes"]
            ]

    def leave(self) -> None:
        """Close all tabs, and leave nothing behind.

        Raises:
            AssertionError: Something went wrong that was not announced, or nothing went wrong that was.
        """
        if self._stays:
            self._clear()
        else:
            self.context.close()
        unexpected = [problem for problem in self._problems if not self._is_announced(problem)]
        assert not unexpected, "\n".join(unexpected)
        missing = [pattern for pattern, occurred in self._announced.items() if not occurred]
        assert not missing, f"announced, but did not occur: {missing}"

    def _clear(self) -> None:
        """Make the context as good as new, except for the cached files of the page. Park its first tab."""
        first, *later_pages = self.context.pages or [self.context.new_page()]
        for page in later_pages:
            page.close()
        first.goto(f"{self._home}{PARKED}")
        for event, listener in self._listeners.items():  # now that the page has reported its last problem
            self.context.remove_listener(event, listener)
        first.emulate_media(reduced_motion=OPTIONS["reduced_motion"], color_scheme=OPTIONS["color_scheme"])
        first.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        first.unroute_all(behavior="ignoreErrors")  # a test may hold a request for ever
        self.context.unroute_all(behavior="ignoreErrors")
        if self._has_permissions:
            self.context.clear_permissions()

    def _is_announced(self, problem: str) -> bool:
        matching = [pattern for pattern in self._announced if re.search(pattern, problem)]
        self._announced |= dict.fromkeys(matching, True)
        return bool(matching)

    def _on_console(self, message: ConsoleMessage) -> None:
        # An event for each response would cost a tenth of the CPU of an opening. That of a failure reports the others.
        response = re.fullmatch(r"Failed to load resource: (?:.* status of (\d+) .*|net::.*)", message.text)
        if response and response[1]:
            self._problems.append(f"response: {response[1]} {message.location['url']}")
        elif message.type in ("error", "warning") and not response:
            self._problems.append(f"console: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self._problems.append(f"error: {error.error.stack or error.error}")

    def _on_failure(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page itself ended it
            self._problems.append(f"request: {request.method} {request.url}: {request.failure}")


class _Patient:
    """Assertions that are tried for a long time in short steps."""

    def __init__(self, assertions: Any) -> None:
        self._assertions = assertions

    def __getattr__(self, name: str) -> Callable[..., None]:
        check = getattr(self._assertions, name)

        def try_until_true(*arguments: Any, **options: Any) -> None:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    return check(*arguments, **options)
                except AssertionError:
                    if time.monotonic() > deadline:
                        raise

        return try_until_true


def expect(subject: Any) -> Any:
    """Return the assertions of Playwright about a page or a locator. They notice a change at once."""
    return _Patient(expect_soon(subject))


def tile(page: Page, key: str) -> Locator:
    """Return the tile of an image."""
    return page.locator(f"image-tile[data-key={_quoted(key)}]")


def upload_row(page: Page, name: str) -> Locator:
    """Return the row of a file in the panel of uploads."""
    return page.locator(f"li[data-upload={_quoted(name)}]")


def drop(page: Page, *paths: Path) -> None:
    """Drop files or folders onto the page as soon as it is complete."""
    page.locator("drop-target").wait_for(state="attached")
    drop_at_once(page, *paths)


def drop_at_once(page: Page, *paths: Path) -> None:
    """Drop files or folders onto the page, as a file manager does."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": data})
    session.detach()


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files to upload, as soon as the page takes them."""
    page.locator("drop-target").wait_for(state="attached")
    payloads: Any = [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files]
    page.get_by_label("Files to upload").set_input_files(payloads)


def slow_down(page: Page, *, upload: int = -1, download: int = -1, latency: int = 0) -> CDPSession:
    """Limit the connection, in bytes per second and milliseconds; `detach` the session to end it."""
    session = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": latency, "downloadThroughput": download, "uploadThroughput": upload}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", limits)
    return session


def hold_uploads(visitor: Visitor, page: Page) -> None:
    """Let uploads wait for longer than any test."""

    def refuse(route: Route) -> None:
        route.fulfill(status=429, headers={"retry-after": "600"}, json={"message": "Too many requests."})

    visitor.announce("429 .*/images/presigned")
    page.route("**/images/presigned", refuse)


def keys_of(page: Page) -> list[str]:
    """Return the keys of the tiles, in order."""
    keys: list[str] = page.locator("image-tile").evaluate_all("(tiles) => tiles.map((tile) => tile.dataset.key)")
    return keys


def expect_tiles(page: Page, *keys: str) -> list[str]:
    """Wait until exactly these images are shown, and return their keys in the order of the page."""
    expect(page.locator("image-tile")).to_have_count(len(keys))
    for key in keys:
        expect(tile(page, key)).to_be_visible()
    return keys_of(page)


def open_menu(page: Page, name: str) -> Any:
    """Open the menu of a filter and return it."""
    page.get_by_role("group", name="Filters").get_by_role("button", name=re.compile(f"^{name}")).click()
    return page.get_by_role("dialog", name=name)


def detail(page: Page) -> Any:
    """Return the view of one image."""
    return page.locator("image-detail")


PASTE = """
() => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File(['x'], 'pasted.jpg', { type: 'image/jpeg' }));
  document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
}
"""
"""Code that pastes a file into the page."""

MENU = ".menu:popover-open"
"""The open menu, for an audit."""


def _quoted(text: str) -> str:
    """Return a text as a string of CSS."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


OPTIONS: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"}
OPTIONS |= {"reduced_motion": "reduce", "color_scheme": "light"}
"""The options of a context: the screen of a laptop, and no animations, because each frame costs CPU."""

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 800}, "is_mobile": True, "has_touch": True}
"""The options of a context with the screen of a phone."""


@pytest.fixture(scope="session")
def make_context(browser: Browser, shared_pipeline: Pipeline) -> Callable[..., BrowserContext]:
    """A function that returns a context for many tests, one after the other; it accepts options of a context.

    The context keeps the files of the page in its cache, as browsers do.
    """

    def make_context(**options: Any) -> BrowserContext:
        context = browser.new_context(**OPTIONS | options)
        context.new_page().goto(f"{shared_pipeline.api_url}{PARKED}")
        return context

    return make_context


@pytest.fixture(scope="session")
def hasty_context(make_context: Callable[..., BrowserContext]) -> BrowserContext:
    """The context of most tests."""
    context = make_context()
    context.add_init_script(HASTY)
    return context


@pytest.fixture(scope="session")
def clock_context(make_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A context whose clock a test can move."""
    context = make_context()
    context.clock.install()
    return context


@pytest.fixture(scope="session")
def phone_context(make_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A context with the screen of a phone, whose clock a test can move."""
    context = make_context(**PHONE)
    context.clock.install()
    return context


@pytest.fixture
def new_visitor(browser: Browser, pipeline: Pipeline) -> Iterator[Visitor]:
    """A visitor who has never been here: nothing is in the cache."""
    visitor = Visitor(browser.new_context(**OPTIONS), pipeline.api_url)
    yield visitor
    visitor.leave()


def _returning(context: BrowserContext, pipeline: Pipeline) -> Iterator[Visitor]:
    visitor = Visitor(context, pipeline.api_url, stays=True)
    yield visitor
    visitor.leave()


@pytest.fixture
def visitor(hasty_context: BrowserContext, pipeline: Pipeline) -> Iterator[Visitor]:
    """A visitor with a screen of a laptop, who has been here before."""
    yield from _returning(hasty_context, pipeline)


@pytest.fixture
def clock_visitor(clock_context: BrowserContext, pipeline: Pipeline) -> Iterator[Visitor]:
    """The same, but the page pauses for the usual time, and `page.clock` shortens it."""
    yield from _returning(clock_context, pipeline)


@pytest.fixture
def phone_visitor(phone_context: BrowserContext, pipeline: Pipeline) -> Iterator[Visitor]:
    """A visitor with a phone, which has a `page.clock`, too."""
    yield from _returning(phone_context, pipeline)


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


IMPATIENT = "Math.random = () => 0.02;"
"""A script for a page that waits at random between its attempts."""

HASTY = """
const { setTimeout: wait } = globalThis;
globalThis.setTimeout = (run, milliseconds = 0, ...values) =>
  wait(run, milliseconds > 2000 ? milliseconds : milliseconds / 5, ...values);
"""
"""A script for a page that pauses for a fifth of the usual time between its requests. Long limits stay as they are."""

PICTURE = encoded(gradient(48, 32))
"""The smallest file with which everything is tried."""


def listed(pipeline: Pipeline, folder: str, status: str | None = None) -> list[str]:
    """Return the keys of the listed images of a folder."""
    query = listing.Query(listing.make_filter(prefix=folder, status=status), limit=100)
    page = listing.read_page(pipeline.client, pipeline.outputs["ListingTableName"], query)
    return [image["imageKey"] for image in page.images]


def upload(pipeline: Pipeline, folder: str, count: int) -> list[str]:
    """Upload pictures, wait until they are listed, and return their keys."""
    image_keys = [f"uploads/{folder}{number}.jpg" for number in range(count)]
    for image_key in image_keys:
        pipeline.upload(image_key, PICTURE)
    pipeline.wait_until(lambda: set(image_keys) == set(listed(pipeline, folder, "COMPLETED")), "the listing")
    return image_keys


@pytest.fixture(scope="session")
def example(shared_pipeline: Pipeline) -> dict[str, Any]:
    """The record of a picture that the pipeline has processed."""
    image_key = f"uploads/example-{uuid.uuid4()}.jpg"
    shared_pipeline.upload(image_key, PICTURE)
    return shared_pipeline.wait_for(image_key) or {}


@pytest.fixture
def make_images(pipeline: Pipeline, folder: str, example: dict[str, Any]) -> Callable[..., list[str]]:
    """A function that fills the folder of the test without uploads: copies of a record show its renditions.

    It accepts a folder inside that one, and fields of the record that are different.
    """

    def make_images(count: int, *, inside: str = "", **fields: Any) -> list[str]:
        table, serialize = pipeline.outputs["ImageTableName"], TypeSerializer().serialize
        image_keys = [f"uploads/{folder}{inside}{number}.jpg" for number in range(count)]
        for image_key in image_keys:
            record = {**example, **fields, "ImageKey": image_key}
            item = {name: serialize(value) for name, value in record.items()}
            pipeline.client("dynamodb").put_item(TableName=table, Item=item)
        pipeline.wait_until(lambda: set(image_keys) == set(listed(pipeline, f"{folder}{inside}")), "the listing")
        return image_keys

    return make_images


@pytest.fixture
def image_key(make_images: Callable[..., list[str]]) -> str:
    """The key of the only image in the folder of the test."""
    return make_images(1)[0]


ORIGIN = "http://127.0.0.1:9"
"""An address that no server has; routes answer."""

Call = Callable[..., Any]


@pytest.fixture(scope="session")
def call(browser: Browser) -> Iterator[Call]:
    """A function that runs the body of an async function with its arguments; `load(name)` imports a module."""

    def answer(route: Route) -> None:
        file = ROOT / "web" / route.request.url.removeprefix(f"{ORIGIN}/").partition("?")[0]
        if file.suffix == ".js":
            route.fulfill(content_type="text/javascript", body=file.read_bytes())
        else:
            route.fulfill(content_type="text/html", body='<!doctype html><html lang="en"><title>Modules</title>')

    context = browser.new_context(timezone_id="Europe/Berlin", locale="en-GB")
    context.route("**", answer)
    visitor = Visitor(context, ORIGIN)
    page = visitor.open()

    def call(body: str, **arguments: Any) -> Any:
        names = ", ".join(arguments)
        script = f"async ({{ {names} }}) => {{ const load = (name) => import(`/${{name}}.js`); {body} }}"
        return page.evaluate(script, arguments)

    yield call
    visitor.leave()


def versions(pipeline, name: str) -> int:
    """Return the number of versions of an upload."""
    answer = pipeline.client("s3").list_object_versions(Bucket=pipeline.uploads_bucket, Prefix=f"uploads/{name}")
    return len(answer.get("Versions", []))
