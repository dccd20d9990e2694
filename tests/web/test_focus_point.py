"""The point of an image in the detail view, by mouse and by keyboard."""

from __future__ import annotations

from playwright.sync_api import Page

from local.pipeline import Pipeline
from tests.web.conftest import Visitor, expect, upload


def point(pipeline: Pipeline, key: str) -> tuple[float, float] | None:
    """The point of the renditions, when they are ready."""
    record = pipeline.record(key)
    focus = record.get("focus")
    return (float(focus["x"]), float(focus["y"])) if focus and record["status"] != "PROCESSING" else None


def mark(page: Page) -> str:
    """Where the mark is."""
    return str(page.locator(".focus-mark").evaluate("mark => `${mark.style.left} ${mark.style.top}`"))


def test_a_point_is_set_by_keyboard_and_by_mouse(visitor: Visitor, pipeline, make_images, example, folder, key):
    """It is saved, the image is rendered again, and the mark shows it; Escape changes nothing.

    An image that is smaller than the button has its own proportions, and the button has room beside it.
    """
    (image,) = upload(pipeline, folder, 1)
    make_images(1, inside="small/", image={**example["image"], "width": 40, "height": 2})
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
    expect(page.get_by_role("heading", name="0.jpg")).to_be_visible()

    page.get_by_role("button", name="Next image").click()
    page.get_by_role("button", name="Set focus").click()
    expect(page.get_by_text("Click the point")).to_be_visible()
    size = page.locator(".detail-frame").bounding_box()
    assert size
    assert (size["width"], size["height"]) == (40, 2)
