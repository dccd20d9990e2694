"""What the page does while a part of it is not loaded yet, or cannot be loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.web.conftest import PASTE, PICTURE, Visitor, drop_at_once, expect, tile, upload_row

HURRIED = """
const { setTimeout: wait } = globalThis;
globalThis.setTimeout = (run, milliseconds = 0, ...values) => wait(run, milliseconds / 100, ...values);
"""
REQUESTED = "(name) => performance.getEntriesByType('resource').some((entry) => entry.name.endsWith(`/${name}`))"


@pytest.fixture
def picture(tmp_path) -> Path:
    """A file to upload."""
    file = tmp_path / "x.jpg"
    file.write_bytes(PICTURE)
    return file


def refuse(visitor: Visitor, name: str) -> None:
    """Let a file of the page be missing."""
    visitor.announce(f"503 .*/{name}", "Failed to fetch dynamically imported module")
    visitor.context.route(f"**/{name}", lambda route: route.fulfill(status=503, body="{}"))


def test_files_are_taken_before_the_list_has_arrived(visitor: Visitor, folder, key, picture):
    """A drop or a paste never leaves the page, and is uploaded as soon as the page can do so."""
    held: list[Route] = []
    visitor.context.route(re.compile(r"/images\?"), lambda route: held.append(route))
    visitor.context.route("**/images/presigned", lambda _: None)  # nothing is uploaded
    page = visitor.open(key=key)
    page.get_by_role("banner").wait_for()
    drop_at_once(page, picture)
    page.evaluate(PASTE)
    assert page.url.startswith(visitor.url)
    visitor.context.route(re.compile(r"/images\?"), lambda route: route.continue_())
    for route in held:
        route.continue_()
    for name in ("x.jpg", "pasted.jpg"):
        expect(upload_row(page, f"{folder}{name}")).to_be_visible()


def test_images_are_listed_while_the_session_signs_in(visitor: Visitor, image_key, key):
    """The requests for the rights of the key and for the first images do not wait for each other."""
    held: list[Route] = []
    visitor.context.route("**/access", lambda route: held.append(route))
    with visitor.context.expect_event("response", lambda response: "/images?" in response.url):
        page = visitor.open(key=key)
    (rights,) = held
    rights.continue_()
    expect(tile(page, image_key)).to_be_visible()


def test_the_workbench_is_loaded_before_more_images(visitor: Visitor, image_key, key):
    """All its modules are requested at once. Images below the viewport are listed afterwards."""
    entries: list[dict[str, Any]] = []

    def list_many(route: Route) -> None:
        is_first = not entries
        if is_first:
            entries.extend(route.fetch().json()["images"])
        numbers = range(24) if is_first else [24]
        images = [{**entries[0], "imageKey": f"{image_key}-{number}"} for number in numbers]
        route.fulfill(json={"images": images, "cursor": "next" if is_first else None})

    held: list[Route] = []
    visitor.context.route(re.compile(r"/images\?"), list_many)
    visitor.context.route("**/workbench.js", lambda route: held.append(route))
    page = visitor.open(key=key)
    expect(page.locator("image-tile")).to_have_count(24)
    page.wait_for_function(REQUESTED, arg="upload-queue.js")
    (workbench,) = held
    expect(page.get_by_text("Loading images")).to_be_attached()
    workbench.continue_()
    expect(page.locator("image-tile")).to_have_count(25)


def test_a_page_without_its_workbench_says_so(visitor: Visitor, image_key, key):
    """The buttons that need it cannot work; the page says why, and offers to load it again."""
    refuse(visitor, "workbench.js")
    page = visitor.open(key=key, script=HURRIED)
    expect(tile(page, image_key)).to_be_visible()
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("The page could not be loaded completely.")
    page.get_by_role("button", name="Upload", exact=True).click()
    visitor.audit(page)
    visitor.context.unroute("**/workbench.js")
    notice.get_by_role("button", name="Reload").click()
    page.locator("drop-target").wait_for(state="attached")
    expect(notice).to_have_count(0)


def test_an_image_without_its_point_says_so(visitor: Visitor, image_key, key):
    """The rest of the details works."""
    refuse(visitor, "focus-point.js")
    page = visitor.open(f"/?image={image_key.removeprefix('uploads/')}", key=key, script=HURRIED)
    expect(page.get_by_role("group", name="Message")).to_contain_text("The focus could not be loaded.")
    expect(page.get_by_role("button", name="Copy <picture>")).to_be_visible()
