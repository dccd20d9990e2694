"""What a visitor meets seldom: signing out too early, long presses, other host names, failures in several folders."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from playwright.sync_api import Page, Route, expect

from local.pipeline import Pipeline
from tests.web.conftest import PICTURE, Visitor, listed, tile, upload_row

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def hold_uploads(visitor: Visitor, page: Page) -> None:
    """Let uploads wait for longer than any test."""

    def refuse(route: Route) -> None:
        route.fulfill(status=429, headers={"retry-after": "600"}, json={"message": "Too many requests."})

    visitor.announce("429 POST .*/images/presigned")
    page.route("**/images/presigned", refuse)


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files to upload, as soon as the page takes them."""
    page.locator("drop-target").wait_for(state="attached")
    payloads: Any = [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files]
    page.get_by_label("Files to upload").set_input_files(payloads)


def sign_out(page: Page) -> None:
    """Use the account menu."""
    page.get_by_role("button", name="Account").click()
    page.get_by_role("dialog", name="Account").get_by_role("button", name="Sign out").click()


# Signing out ----------------------------------------------------------------------------------------------------------


def test_signing_out_asks_while_files_are_uploading(visitor: Visitor, key, folder):
    """In the tab that uploads and in any other one; whoever stays loses nothing."""
    page, other = visitor.open(key=key), visitor.open(key=key)
    hold_uploads(visitor, page)
    choose(page, ("a.jpg", PICTURE))
    expect(upload_row(page, f"{folder}a.jpg")).to_be_visible()
    other.locator("leave-dialog").wait_for(state="attached")
    for tab in (other, page):
        sign_out(tab)
        question = tab.get_by_role("dialog", name="Sign out while files are uploading?")
        expect(question.get_by_role("button", name="Keep uploading")).to_be_focused()
        if tab is page:
            visitor.audit(tab)
        question.get_by_role("button", name="Keep uploading").click()
        expect(question).to_be_hidden()
        expect(page.get_by_role("button", name="Account")).to_be_visible()
    sign_out(other)
    other.get_by_role("dialog", name="Sign out while").get_by_role("button", name="Sign out").click()
    for tab in (other, page):
        expect(tab.get_by_label("API key")).to_be_visible()


def test_signing_out_does_not_ask_without_uploads(visitor: Visitor, key, folder):
    """Neither before the first upload nor after the last one was cancelled."""
    page = visitor.open(key=key)
    hold_uploads(visitor, page)
    choose(page, ("a.jpg", PICTURE))
    upload_row(page, f"{folder}a.jpg").get_by_role("button", name="Cancel").click()
    expect(upload_row(page, f"{folder}a.jpg")).to_have_attribute("data-state", "cancelled")
    sign_out(page)
    expect(page.get_by_label("API key")).to_be_visible()


# Touch ----------------------------------------------------------------------------------------------------------------


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


def middle(page: Page, image: str) -> tuple[float, float]:
    box = tile(page, image).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_long_press_selects(visit: Callable[..., Visitor], key, make_images):
    """Then a tap selects, too; a finger that moves scrolls, and a short tap opens the image."""
    images = make_images(3)
    visitor = visit(**PHONE)
    page = visitor.open(key=key)
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
    expect(page.locator("image-detail")).to_be_hidden()

    page.get_by_role("button", name="Clear selection").click()
    page.touchscreen.tap(*middle(page, images[2]))
    expect(page.locator("image-detail")).to_be_visible()


def test_a_long_press_selects_nothing_for_a_reader(visit: Callable[..., Visitor], make_key, folder, image_key):
    """Whoever may change nothing has nothing to select for."""
    visitor = visit(**PHONE)
    page = visitor.context.new_page()
    page.clock.install()
    page.goto(f"{visitor.url}/#key={make_key('read', folder=folder).text}")
    page.locator("drop-target").wait_for(state="attached")
    finger = Finger(page)
    finger.touch(*middle(page, image_key))
    page.clock.run_for(2_000)
    finger.lift()
    expect(page.get_by_role("region", name="Selection")).to_be_hidden()


# Other addresses ------------------------------------------------------------------------------------------------------


def test_localhost_leads_to_the_page(visitor: Visitor, key):
    """The link that signs in works with this name, too, and keeps its filters."""
    page = visitor.context.new_page()
    page.goto(f"{visitor.url.replace('127.0.0.1', 'localhost')}/?status=FAILED#key={key}")
    expect(page.get_by_role("button", name="Status: Failed")).to_be_visible()
    assert page.url == f"{visitor.url}/?status=FAILED"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def other_site(tmp_path: Path) -> Iterator[str]:
    """The address of a site that serves the temporary folder at another host name and port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()


def test_a_copied_picture_works_in_a_file(visitor: Visitor, key, image_key, tmp_path: Path, other_site):
    """And in a page at another host name. Neither page can read it."""
    page = visitor.open(f"/?image={image_key.removeprefix('uploads/')}", key=key)
    page.get_by_role("button", name="Copy <picture>").click()
    expect(page.locator(".toast")).to_contain_text("The <picture> was copied.")

    file = tmp_path / "blog.html"
    head = '<!doctype html><html lang="en"><title>A blog</title><link rel="icon" href="data:,">'
    file.write_text(head + visitor.copied(page))
    shown = "() => document.images[0].complete && document.images[0].naturalWidth"
    canvas = "(c) => (c.drawImage(document.images[0], 0, 0), c.getImageData(0, 0, 1, 1))"
    blog = visitor.context.new_page()
    for address in (file.as_uri(), f"{other_site}/blog.html"):
        blog.goto(address)
        assert blog.wait_for_function(shown).json_value() == 48
        with pytest.raises(Exception, match="tainted"):
            blog.evaluate(f"() => ({canvas})(document.createElement('canvas').getContext('2d'))")


# Failures -------------------------------------------------------------------------------------------------------------


def test_a_failed_image_names_its_folder(visitor: Visitor, pipeline: Pipeline, key, folder, example):
    """Files of one name in several folders can be told apart."""
    failure = {"status": "FAILED", "error": {"code": "CorruptImageError", "message": "Broken.", "hint": "Repair it."}}
    table, serialize = pipeline.outputs["ImageTableName"], TypeSerializer().serialize
    for inner in ("one", "two"):
        record = {**example, **failure, "ImageKey": f"uploads/{folder}{inner}/a.jpg"}
        item = {name: serialize(value) for name, value in record.items()}
        pipeline.client("dynamodb").put_item(TableName=table, Item=item)
    pipeline.wait_until(lambda: len(listed(pipeline, folder)) == 2, "the listing")
    page = visitor.open(key=key)
    for inner in ("one", "two"):
        card = tile(page, f"uploads/{folder}{inner}/a.jpg")
        expect(card).to_contain_text("a.jpg")
        expect(card.get_by_text(f"{folder}{inner}/", exact=True)).to_be_visible()
    visitor.audit(page)


def test_an_empty_file_is_exchanged_for_another_one(visitor: Visitor, key, folder):
    """Its row offers it, and the other file gets its own name."""
    page = visitor.open(key=key)
    hold_uploads(visitor, page)
    choose(page, ("empty.jpg", b""))
    row = upload_row(page, f"{folder}empty.jpg")
    expect(row).to_contain_text("The file is empty")
    with page.expect_file_chooser() as chooser:
        row.get_by_role("button", name="Choose another file").click()
    chooser.value.set_files([{"name": "full.jpg", "mimeType": "image/jpeg", "buffer": PICTURE}])
    with page.expect_request("**/images/presigned") as request:
        expect(upload_row(page, f"{folder}full.jpg")).to_be_visible()
    assert json.loads(request.value.post_data or "")["name"] == f"uploads/{folder}full.jpg"
    expect(row).to_have_count(0)


def test_copying_twice_shows_one_message(visitor: Visitor, key, image_key):
    """Equal messages do not pile up over the pictures."""
    page = visitor.open(f"/?image={image_key.removeprefix('uploads/')}", key=key)
    page.locator("image-detail .raw summary").click()
    copy = page.get_by_role("button", name="Copy JSON")
    copy.click()
    copy.click()
    expect(page.locator(".toast")).to_have_count(1)
