"""Looking at images: the gallery, filters, and one image in detail."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational
from playwright.sync_api import Error, Page, Route

from bench import gallery
from bench import page as budget
from local.pipeline import Pipeline
from local.samples import samples
from tests.conftest import HEAVY, heavy
from tests.web.conftest import (
    MENU,
    Call,
    Visitor,
    detail,
    expect,
    expect_tiles,
    keys_of,
    listed,
    open_menu,
    slow_down,
    tile,
)
from tests.web.relay import Relay

ALBUM = "album/"
FAILED, CAT = f"uploads/{ALBUM}notes.jpg", f"uploads/{ALBUM}pets/Chelsea (1).jpg"


@pytest.fixture(scope="module")
def album(shared_pipeline: Pipeline) -> list[str]:
    """Photographs, a drawing and a text in some folders; no test changes them."""
    files = {sample.key.replace("uploads/", f"uploads/{ALBUM}"): sample.data for sample in samples()}
    files[CAT] = with_camera(files[CAT])
    for key, data in files.items():
        shared_pipeline.upload(key, data)
    for key in files:
        shared_pipeline.wait_for(key)
    shared_pipeline.wait_until(lambda: set(listed(shared_pipeline, ALBUM)) == set(files), "the listing")
    return list(files)


def with_camera(jpeg: bytes) -> bytes:
    """Return a picture with EXIF of a camera."""
    exif = Image.Exif()
    exif.update({ExifTags.Base.Make: "Example", ExifTags.Base.Model: "Phone One"})
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {ExifTags.Base.FNumber: IFDRational(28, 10), ExifTags.Base.ISOSpeedRatings: 200}
    )
    block = exif.tobytes()
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


@pytest.fixture
def key(make_key, album) -> str:
    """A key for the album."""
    return make_key(folder=ALBUM).text


@pytest.fixture
def own_key(make_key, folder) -> str:
    """A key for the folder of the test."""
    return make_key(folder=folder).text


class Blog(ThreadingHTTPServer):
    """Another site, which serves one page."""

    body = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://localhost:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Blog

    def do_GET(self) -> None:
        is_page = self.path == "/"
        self.send_response(200 if is_page else 204)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if is_page:
            self.wfile.write(self.server.body.encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def blog() -> Iterator[Blog]:
    with Blog() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


def is_too_wide(page: Page) -> bool:
    """Return whether the page scrolls sideways."""
    wide: bool = page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
    return wide


def test_every_picture_is_shown(visitor: Visitor, pipeline, album, key):
    """Newest first, with its rendition in its proportions; a failed one is a card with reason, hint and remedy.

    In detail, the reason, the hint and the remedy come first, too; there is nothing to copy.
    """
    page = visitor.open(key=key)
    times = [pipeline.record(image_key)["upload"]["uploadedAt"] for image_key in expect_tiles(page, *album)]
    assert times == sorted(times, reverse=True)
    for image_key in set(album) - {FAILED}:
        shown = tile(page, image_key)
        width, height = shown.locator("img").evaluate(
            "async (image) => { await image.decode(); return [image.naturalWidth, image.naturalHeight] }"
        )
        box = shown.bounding_box() or {}
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.1)
        expect(shown.get_by_role("link")).to_have_accessible_name(re.compile(re.escape(image_key.rpartition("/")[2])))
    card = tile(page, FAILED)
    expect(
        card.get_by_text(ALBUM, exact=True)
    ).to_be_visible()  # files of one name in several folders can be told apart
    expect(card).to_contain_text("its content is text")
    expect(card).to_contain_text("Convert it to one of JPEG, PNG")
    expect(card.get_by_role("button", name="Replace file")).to_be_visible()
    expect(card.locator("img")).to_have_count(0)
    visitor.audit(page)
    card.get_by_role("link").press("Enter")
    failure = detail(page).get_by_role("group", name="Failure")
    expect(failure).to_contain_text("its content is text")
    expect(failure).to_contain_text("Convert it to one of JPEG, PNG")
    expect(failure.get_by_role("button", name="Replace file")).to_be_visible()
    expect(detail(page).get_by_role("button", name="Copy <picture>")).to_have_count(0)
    visitor.audit(page, "image-detail")


def test_filters_are_in_the_address(visitor: Visitor, pipeline, album, key):
    """Status, label, folder and date filter; reload and the back button keep and undo them.

    The label is the one that the API has, in any case.
    """
    page = visitor.open(key=key)
    expect_tiles(page, *album)
    menu = open_menu(page, "Status")
    visitor.audit(page, MENU)
    menu.get_by_role("button", name="Failed").click()
    expect_tiles(page, FAILED)
    expect(page).to_have_url(f"{visitor.url}/?status=FAILED")
    page.reload()
    expect_tiles(page, FAILED)
    page.get_by_role("button", name="Remove filter Status").click()
    expect_tiles(page, *album)

    names = {
        image_key: [label["name"] for label in pipeline.record(image_key).get("labels", [])] for image_key in album
    }
    label = names[CAT][0]
    menu = open_menu(page, "Label")
    visitor.audit(page, MENU)
    menu.get_by_label("Label").fill(label.upper())
    menu.get_by_label("Label").press("Enter")
    expect_tiles(page, *(image_key for image_key in album if label in names[image_key]))
    page.get_by_role("button", name="Remove filter Label").click()
    expect_tiles(page, *album)

    menu = open_menu(page, "Folder")
    visitor.audit_if_heavy(page)
    menu.get_by_label("Folder").fill(f"{ALBUM}pets")
    menu.get_by_label("Folder").press("Enter")
    expect_tiles(page, CAT)
    expect(page).to_have_url(f"{visitor.url}/?prefix={ALBUM}pets/")

    menu = open_menu(page, "Date")
    visitor.audit(page, MENU)
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    menu.get_by_label("From").fill(tomorrow)
    menu.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="No image matches these filters")).to_be_visible()
    visitor.audit(page, "main, filter-bar")
    page.go_back()
    expect_tiles(page, CAT)
    page.go_back()
    expect_tiles(page, *album)
    page.go_forward()
    page.go_forward()
    page.get_by_role("button", name="Clear all filters").click()
    expect_tiles(page, *album)
    assert page.url == f"{visitor.url}/"


def test_an_image_in_detail(visitor: Visitor, pipeline, album, key, call: Call):
    """It shows all that is known: renditions with bytes, labels, camera, colours, durations and the raw record."""
    page = visitor.open(key=key)
    order = expect_tiles(page, *album)
    tile(page, CAT).get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"\?image=album/pets/Chelsea"))
    view, record = detail(page), pipeline.record(CAT)
    expect(view.get_by_role("heading", level=2)).to_have_text("Chelsea (1).jpg")
    rows = view.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(1 + len(record["renditions"]))
    for row, rendition in zip(rows.all()[1:], record["renditions"], strict=True):
        expect(row).to_contain_text(f"{rendition['width']} × {rendition['height']}")
        expect(row).to_contain_text(call(READABLE, kind="formatBytes", value=int(rendition["sizeBytes"])))
    expect(section(page, "Camera")).to_contain_text(
        re.compile("CameraExample Phone One.*Aperture.*2.8.*SensitivityISO 200")
    )
    for step, milliseconds in record["execution"]["milliseconds"].items():
        name = call("return (await load('detail-facts')).stepName(step)", step=step)
        duration = call(READABLE, kind="formatDuration", value=int(milliseconds))
        expect(section(page, "Processing time")).to_contain_text(f"{name}{duration}")
    expect(section(page, "Processing time")).to_contain_text("From start to end")
    expect(view.get_by_role("button", name=re.compile(record["summary"]["colours"][0]))).to_be_visible()
    view.get_by_role("heading", name="Record").click()
    expect(view.locator("pre")).to_contain_text(f'"imageKey": "{CAT}"')
    visitor.audit(page, "image-detail")
    for width in (1100, 1199, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(CROWDED) == []
    for _ in range(2):
        view.get_by_role("button", name="Copy JSON").click()
        expect(page.locator(".toast")).to_have_count(1)
    assert copied_links(page) == [
        f"{visitor.url}/images/{quote(CAT, safe='/()')}/renditions/{rendition['key'].rpartition('/')[2]}"
        for rendition in record["renditions"]
    ]
    with page.expect_download() as download:
        view.get_by_role("button", name="Download original").click()
    assert download.value.suggested_filename == "Chelsea (1).jpg"
    page.reload()
    expect(view.get_by_role("heading", level=2)).to_have_text("Chelsea (1).jpg")
    there, back = ("Next", "ArrowLeft") if order[-1] != CAT else ("Previous", "ArrowRight")
    view.get_by_role("button", name=f"{there} image").click()
    expect(view.get_by_role("heading", level=2)).not_to_have_text("Chelsea (1).jpg")
    page.keyboard.press(back)
    expect(view.get_by_role("heading", level=2)).to_have_text("Chelsea (1).jpg")
    label = record["labels"][0]["name"]
    view.get_by_role("button", name=re.compile(f"^{label}")).click()
    expect(page).to_have_url(re.compile(f"label={label}"))


def copied_links(page: Page) -> list[str]:
    """Copy the link of each rendition of the shown image, and return the links in the order of the buttons."""
    links: list[str] = (
        detail(page)
        .get_by_role("table")
        .evaluate(
            """(table) => {
          const links = [];
          navigator.clipboard.writeText = async (text) => { links.push(text); };
          for (const button of table.querySelectorAll('button')) button.click();
          delete navigator.clipboard.writeText;
          return links;
        }"""
        )
    )
    return links


CROWDED = """
() => {
  const box = (element) => element.getBoundingClientRect();
  const chips = [...document.querySelectorAll('.chip')];
  const upload = box(document.querySelector('.bar-end')).left;
  const spills = (chip) => [...chip.querySelectorAll('.icon')].some((icon) => box(icon).right > box(chip).right);
  return chips.filter((chip) => spills(chip) || box(chip).right > upload).map((chip) => chip.textContent);
}
"""
"""The filters in the bar that are too narrow for their content, or below the button beside them."""

READABLE = "return (await load('format'))[kind](value)"
"""How the page writes a number."""


def section(page: Page, title: str) -> Any:
    """Return a section of the facts about the shown image."""
    return detail(page).locator("section").filter(has=page.get_by_role("heading", name=title))


@pytest.fixture
def protected(pipeline: Pipeline) -> Iterator[None]:
    """A stack with `StatusNeedsKey`."""
    pipeline.update(parameters={"StatusNeedsKey": "true"})
    yield
    pipeline.update(parameters={"StatusNeedsKey": "false"})


def copy(visitor: Visitor, page: Page, name: str) -> str:
    """Use a button that copies something about the shown image, and return what it copies."""
    visitor.grant("clipboard-write")
    detail(page).get_by_role("button", name=name, exact=True).click()
    expect(
        page.get_by_text(re.compile(f"{name.removeprefix('Copy ')} was copied", re.IGNORECASE)).first
    ).to_be_visible()
    return visitor.copied(page)


def copied_picture(visitor: Visitor, page: Page) -> str:
    """Copy the `<picture>` of the shown image, and return a page that contains it."""
    head = '<!doctype html><html lang="en"><title>A blog</title><link rel="icon" href="data:,">'
    return f"{head}<main><h1>A cat</h1>{copy(visitor, page, 'Copy <picture>')}</main>"


def seen_picture(page: Page, address: str) -> Any:
    """Open another page; return the address of its image, its width and its description."""
    page.goto(address)
    return page.locator("img").evaluate(
        """async (image) => {
          await image.decode();
          return [image.currentSrc, image.naturalWidth, image.alt];
        }"""
    )


def test_a_copied_picture_works_in_another_page(visitor: Visitor, pipeline, album, key, blog: Blog, tmp_path):
    """It is complete: a page of another host and a file show the best format, for ever. They cannot read its pixels.

    A copied link leads to the largest JPEG, or to one rendition.
    """
    page = visitor.open(f"/?image={CAT.removeprefix('uploads/')}", key)
    expect(detail(page)).to_contain_text("Copied addresses do not expire.")
    blog.body = copied_picture(visitor, page)
    renditions = pipeline.record(CAT)["renditions"]
    small = min(renditions, key=lambda rendition: rendition["width"])
    links = [
        (
            copy(visitor, page, "Copy link"),
            max(rendition["width"] for rendition in renditions if rendition["format"] == "JPEG"),
        ),
        (copy(visitor, page, f"Copy link of {small['key'].rpartition('/')[2]}"), small["width"]),
    ]
    file = tmp_path / "blog.html"
    file.write_text(blog.body)
    other = visitor.context.new_page()
    draw = "(c) => (c.drawImage(document.images[0], 0, 0), c.getImageData(0, 0, 1, 1))"
    for address in (blog.url, file.as_uri()):
        source, width, description = seen_picture(other, address)
        assert re.fullmatch(re.escape(visitor.url) + r"/images/.*\.(webp|avif)", source)
        assert width > 0
        assert "<" not in description
        with pytest.raises(Error, match="tainted"):
            other.evaluate(f"() => ({draw})(document.createElement('canvas').getContext('2d'))")
    for link, width in links:
        assert link.startswith(f"{visitor.url}/images/")
        assert seen_picture(other, link)[1] == width


def test_a_copied_picture_of_a_protected_stack_expires(visitor: Visitor, pipeline, protected, album, key, blog: Blog):
    """If statuses need a key, the page works with its key, and another page shows a copied image for some time."""
    page = visitor.open(f"/?image={CAT.removeprefix('uploads/')}", key)
    expect(detail(page)).to_contain_text("This stack shows images only with a key")
    blog.body = copied_picture(visitor, page)
    source, width, _ = seen_picture(visitor.context.new_page(), blog.url)
    assert source.startswith(pipeline.aws_url)
    assert width > 0


def test_only_the_keyboard_is_needed(visitor: Visitor, album, key):
    """From the key to one image and back, and the focus is always visible."""
    page = visitor.open()
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")
    order = expect_tiles(page, *album)
    focused = page.locator(":focus-visible")
    for _ in range(20):
        page.keyboard.press("Tab")
        expect(focused).to_have_count(1)
        if focused.evaluate("(element) => element.matches('image-tile *')"):
            break
    expect(tile(page, order[0]).locator(":focus-visible")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(tile(page, order[1]).locator(":focus-visible")).to_have_count(1)
    page.keyboard.press("End")
    expect(tile(page, order[-1]).locator(":focus-visible")).to_have_count(1)
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(detail(page)).to_be_visible()
    opened = page.locator("image-tile a[aria-current=true]")
    expect(opened).to_have_count(1)
    expect(tile(page, order[0]).get_by_role("link")).to_have_attribute("aria-current", "true")
    page.keyboard.press("Escape")
    expect(detail(page)).to_be_hidden()
    expect(opened).to_have_count(0)
    expect(tile(page, order[0]).locator(":focus-visible")).to_have_count(1)


@pytest.mark.parametrize("width", [3840, pytest.param(768, marks=HEAVY)])
def test_every_screen_is_wide_enough(visitor: Visitor, album, key, width):
    """Nothing scrolls sideways, in any view, also while something moves."""
    page = visitor.context.new_page()
    page.emulate_media(reduced_motion="no-preference")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(visitor.url)
    look_around(page, key, album)


def test_a_phone_shows_one_image_on_the_whole_screen(phone_visitor: Visitor, album, key):
    """Nothing scrolls sideways, and a swipe shows the next or the previous image."""
    visitor = phone_visitor
    page = visitor.open()
    look_around(page, key, album)
    box = detail(page).bounding_box() or {}
    assert (box["x"], box["width"]) == (0, 360)
    visitor.audit(page)
    page.keyboard.press("Escape")
    visitor.audit(page)
    first, second = keys_of(page)[:2]
    tile(page, first).get_by_role("link").tap()
    name = detail(page).get_by_role("heading", level=2)
    expect(name).to_have_text(first.rpartition("/")[2])
    swipe(page, 300, 100)
    expect(name).to_have_text(second.rpartition("/")[2])
    swipe(page, 100, 300)
    expect(name).to_have_text(first.rpartition("/")[2])


def look_around(page: Page, key: str, album: list[str]) -> None:
    """Sign in, open a menu and an image; check each time that the page does not scroll sideways."""
    assert not is_too_wide(page)
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(tile(page, album[0])).to_be_visible()
    assert not is_too_wide(page)
    open_menu(page, "Date")
    assert not is_too_wide(page)
    page.keyboard.press("Escape")
    tile(page, CAT).scroll_into_view_if_needed()
    tile(page, CAT).get_by_role("link").click()
    expect(detail(page).get_by_role("table")).to_be_visible()
    assert not is_too_wide(page)


class Finger:
    """A finger on the screen."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def touch(self, x: float, y: float) -> None:
        self._send("touchStart", {"x": x, "y": y})

    def move(self, x: float, y: float) -> None:
        self._send("touchMove", {"x": x, "y": y})

    def lift(self) -> None:
        self._send("touchEnd")

    def _send(self, kind: str, *points: dict[str, float]) -> None:
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})


def swipe(page: Page, start: float, end: float) -> None:
    """Move a finger across the shown image."""
    finger = Finger(page)
    finger.touch(start, 250)
    finger.move((start + end) / 2, 250)
    finger.move(end, 250)
    finger.lift()


def middle(page: Page, image: str) -> tuple[float, float]:
    box = tile(page, image).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_long_press_selects(phone_visitor: Visitor, make_images, own_key):
    """Then a tap selects, too; a finger that moves scrolls, and a short tap opens the image."""
    images = make_images(3)
    page = phone_visitor.open(key=own_key)
    page.locator("drop-target").wait_for(state="attached")
    selection = page.get_by_role("region", name="Selection")

    finger = Finger(page)
    x, y = middle(page, images[0])
    finger.touch(x, y)
    finger.move(x, y + 30)
    finger.lift()
    expect(selection).to_be_hidden()

    finger.touch(*middle(page, images[0]))
    expect(selection).to_contain_text("1 selected")
    finger.lift()
    page.touchscreen.tap(*middle(page, images[1]))
    expect(selection).to_contain_text("2 selected")
    expect(detail(page)).to_be_hidden()

    page.get_by_role("button", name="Clear selection").click()
    page.touchscreen.tap(*middle(page, images[2]))
    expect(detail(page)).to_be_visible()


def test_a_long_press_selects_nothing_for_a_reader(phone_visitor: Visitor, image_key, make_key, folder):
    """A visitor who may change nothing has nothing to select for."""
    page = phone_visitor.open(key=make_key("read", folder=folder).text)
    page.locator("drop-target").wait_for(state="attached")
    finger = Finger(page)
    finger.touch(*middle(page, image_key))
    page.clock.run_for(2_000)
    finger.lift()
    expect(page.get_by_role("region", name="Selection")).to_be_hidden()


def test_the_page_is_small(new_visitor: Visitor, album, key):
    """At most 60 kB are transferred before the first picture, and on the next visit much less.

    Over a slow connection, each image still arrives when it is scrolled into view.
    """
    page = new_visitor.context.new_page()
    page.set_viewport_size({"width": 480, "height": 400})
    slow_down(page, download=400_000, latency=20)
    first = budget.transferred(page, f"{new_visitor.url}/#key={key}")
    assert 0 < first <= budget.MOST_BYTES
    order = expect_tiles(page, *album)
    for image_key in order:
        tile(page, image_key).scroll_into_view_if_needed()
        if image_key != FAILED:
            expect(tile(page, image_key).locator("img.loaded")).to_be_visible()
    assert budget.transferred(page, f"{new_visitor.url}/?label=") < first / 4


def test_the_api_is_down_and_back(clock_visitor: Visitor, pipeline, album, key):
    """A bar says so, known images are still filtered, and everything continues when the API answers again."""
    visitor = clock_visitor
    visitor.announce("request: .*ERR_CONNECTION_REFUSED")
    with Relay(pipeline.api_url) as server:
        visitor.url = server.url
        page = visitor.open(key=key)
        expect_tiles(page, *album)
        page.locator("drop-target").wait_for(state="attached")
        server.stop()
        open_menu(page, "Status").get_by_role("button", name="Failed").click()
        bar = page.get_by_role("status").filter(has_text="The API does not answer")
        expect(bar).to_be_visible()
        expect_tiles(page, FAILED)
        visitor.audit(page, ".notice, main")
        server.start()
        page.clock.fast_forward(15_000)
        expect(bar).to_be_hidden()
        expect_tiles(page, FAILED)
        page.get_by_role("button", name="Remove filter Status").click()
        expect_tiles(page, *album)
        page.close()


def test_a_fault_of_the_list_is_shown(visitor: Visitor, album, key):
    """An error of the API has its text and a button; it is no empty gallery."""
    visitor.announce("response: 500 .*/images")

    def fail(route: Route) -> None:
        route.fulfill(status=500, content_type="application/problem+json", body='{"detail": "A bug was found."}')

    visitor.context.route(re.compile(r"/images\?"), fail)
    page = visitor.open(key=key)
    expect(page.get_by_role("heading", name="The images cannot be listed")).to_be_visible()
    expect(page.get_by_text("A bug was found.")).to_be_visible()
    visitor.audit(page, "main")
    visitor.context.unroute_all()
    page.get_by_role("button", name="Retry").click()
    expect_tiles(page, *album)


@heavy
def test_ten_thousand_images(visitor: Visitor, pipeline, album, folder, own_key):
    """The DOM stays small down to the last one, and filters answer."""
    count = 10_000
    gallery.fill(pipeline, [pipeline.record(image_key) for image_key in album if image_key != FAILED], folder, count)
    page = visitor.open(key=own_key)
    expect(page.locator("image-tile").first).to_be_visible()
    most = 0
    last = tile(page, f"uploads/{folder}{count - 1:05}.jpg")
    while not last.count():
        page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(50)
        most = max(most, page.locator("image-tile").count())
    assert most < 200
    assert page.evaluate("() => document.querySelectorAll('*').length") < 3000
    open_menu(page, "Status").get_by_role("button", name="Failed").click()
    expect(tile(page, f"uploads/{folder}{gallery.FAILED_EVERY - 1:05}.jpg")).to_be_visible()
    page.get_by_role("button", name="Remove filter Status").click()
    expect(tile(page, f"uploads/{folder}00000.jpg")).to_be_visible()
