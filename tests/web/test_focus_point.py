"""The point of an image in the detail view, by mouse and by keyboard."""

from __future__ import annotations

from decimal import Decimal

import pytest
from playwright.sync_api import Page

from local.pipeline import Pipeline
from tests.pictures import photo
from tests.web.conftest import Visitor, expect


@pytest.fixture
def image(pipeline: Pipeline, folder: str) -> str:
    """An image that the test may change."""
    key = f"uploads/{folder}a.jpg"
    pipeline.wait_for(key, pipeline.upload(key, photo(300, 200)))
    return key


def point(pipeline: Pipeline, key: str) -> tuple[float, float] | None:
    """The point of the renditions, when they are ready."""
    record = pipeline.record(key)
    focus = record.get("focus")
    return (float(focus["x"]), float(focus["y"])) if focus and record["status"] != "PROCESSING" else None


def mark(page: Page) -> str:
    """Where the mark is."""
    return str(page.locator(".focus-mark").evaluate("mark => `${mark.style.left} ${mark.style.top}`"))


def test_a_point_is_set_by_keyboard_and_by_mouse(visitor: Visitor, pipeline, image, key):
    """It is saved, the image is rendered again, and the mark shows it; Escape changes nothing."""
    page = visitor.open(f"/?image={image.removeprefix('uploads/')}", key=key)
    page.get_by_role("button", name="Set focus").press("Enter")
    area = page.get_by_role("button", name="Focus: 50")
    for press in ("Shift+ArrowLeft", "ArrowUp"):
        page.keyboard.press(press)
    area = page.get_by_role("button", name="Focus: 40")
    expect(area).to_be_focused()
    visitor.audit(page, "image-detail")
    page.keyboard.press("Enter")
    pipeline.wait_until(lambda: point(pipeline, image) == (0.4, 0.49), "the point of the keyboard")
    expect(page.get_by_role("button", name="Move focus")).to_be_visible()
    assert mark(page) == "40% 49%"
    page.get_by_role("button", name="Move focus").click()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert mark(page) == "40% 49%"
    expect(page.get_by_role("heading", name="a.jpg")).to_be_visible()


def test_the_point_of_a_small_image_can_be_set(visitor: Visitor, make_images, example, key):
    """The picture has its own proportions, and the button has room beside it."""
    (image,) = make_images(1, image={**example["image"], "width": 40, "height": 2})
    page = visitor.open(f"/?image={image.removeprefix('uploads/')}", key=key)
    page.get_by_role("button", name="Set focus").click()
    expect(page.get_by_text("Click the point")).to_be_visible()
    size = page.locator(".detail-frame").bounding_box()
    assert (size["width"], size["height"]) == (40, 2)


def test_a_caller_who_may_not_upload_sees_the_point_only(visitor: Visitor, make_images, make_key, folder):
    """There is no button without the scope `upload`."""
    (image,) = make_images(1, focus={"x": Decimal("0.25"), "y": Decimal("0.75")})
    page = visitor.open(f"/?image={image.removeprefix('uploads/')}", key=make_key("read", folder=folder).text)
    expect(page.locator(".focus-mark")).to_be_visible()
    assert mark(page) == "25% 75%"
    expect(page.get_by_role("button", name="focus")).to_have_count(0)
