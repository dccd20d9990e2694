"""Changing images: selections, deletions, and processing again."""

from __future__ import annotations

import re

from tests.web.conftest import Visitor, detail, expect, expect_tiles, listed, open_menu, tile, upload


def test_images_are_selected(visitor: Visitor, make_images, key):
    """With the mouse and with the keyboard, one by one, in ranges and all; the link of a tile, the focus, says so."""
    images = make_images(5)
    page = visitor.open(key=key)
    keys = expect_tiles(page, *images)
    bar = page.get_by_role("region", name="Selection")
    tile(page, keys[1]).hover()
    tile(page, keys[1]).get_by_role("checkbox").click()
    expect(bar).to_contain_text("1 selected")
    tile(page, keys[3]).get_by_role("link").click(modifiers=["Shift"])
    expect(bar).to_contain_text("3 selected")
    tile(page, keys[0]).get_by_role("link").click()
    expect(bar).to_contain_text("4 selected")
    expect(tile(page, keys[0]).get_by_role("checkbox")).to_be_checked()
    visitor.audit(page, "main, selection-bar")
    page.keyboard.press("Escape")
    expect(bar).to_be_hidden()
    tile(page, keys[0]).get_by_role("link").focus()
    name = keys[0].removeprefix("uploads/")
    expect(tile(page, keys[0]).get_by_role("link")).to_have_accessible_name(name)
    page.keyboard.press("Space")
    expect(tile(page, keys[0]).get_by_role("link")).to_have_accessible_name(f"{name}, selected")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(bar).to_contain_text("3 selected")
    page.keyboard.press("Control+a")
    expect(bar).to_contain_text("5 selected")
    page.get_by_role("button", name="Clear selection").click()
    expect(bar).to_be_hidden()
    expect(tile(page, keys[4]).get_by_role("link")).to_be_focused()


def test_a_deletion_is_undone(visitor: Visitor, pipeline, folder, make_images, key):
    """Deleted images disappear at once; undo restores them; later, the filter for deleted ones offers it, too."""
    images = upload(pipeline, folder, 2)
    (other,) = make_images(1, inside="other/")
    page = visitor.open(key=key)
    *keys, _ = expect_tiles(page, *images, other)
    tile(page, keys[0]).get_by_role("link").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_role("region", name="Selection").get_by_role("button", name="Delete").click()
    expect_tiles(page, other)
    message = page.get_by_role("group", name="Message").filter(has_text="Deleted 2 images.")
    expect(message).to_be_visible()
    visitor.audit(page, ".toast")
    pipeline.wait_until(
        lambda: {pipeline.record(image_key)["status"] for image_key in keys} == {"DELETED"}, "the deletion"
    )
    message.get_by_role("button", name="Undo").click()
    for image_key in keys:
        expect(tile(page, image_key)).to_have_attribute("data-state", "COMPLETED")
    assert {pipeline.record(image_key)["status"] for image_key in keys} == {"COMPLETED"}

    tile(page, keys[0]).get_by_role("link").focus()
    page.keyboard.press("Delete")
    expect(tile(page, keys[0])).to_have_count(0)
    pipeline.wait_until(lambda: listed(pipeline, folder, "DELETED") == [keys[0]], "the deletion")
    open_menu(page, "Status").get_by_role("button", name="Deleted").click()
    expect_tiles(page, keys[0])
    visitor.audit(page, "main")
    tile(page, keys[0]).get_by_role("link").press("Enter")
    expect(detail(page).get_by_role("button", name="Restore")).to_be_visible()
    visitor.audit(page, "image-detail")
    page.keyboard.press("Escape")
    tile(page, keys[0]).get_by_role("button", name="Restore").click()
    pipeline.wait_until(lambda: pipeline.record(keys[0])["status"] == "COMPLETED", "the restored image")
    page.get_by_role("button", name="Remove filter Status").click()
    expect(tile(page, keys[0])).to_have_attribute("data-state", "COMPLETED")


def test_images_are_processed_again(visitor: Visitor, pipeline, folder, key):
    """Several at once, with progress; too soon again, the page says why and when."""
    keys = upload(pipeline, folder, 2)
    before = {image_key: pipeline.record(image_key)["execution"]["id"] for image_key in keys}
    page = visitor.open(key=key)
    expect_tiles(page, *keys)
    tile(page, keys[0]).get_by_role("link").focus()
    page.keyboard.press("Control+a")
    reprocess = page.get_by_role("region", name="Selection").get_by_role("button", name="Reprocess")
    message = page.get_by_role("group", name="Message")
    page.route("**/reprocess", lambda _: None)
    reprocess.click()
    expect(message).to_contain_text("0 of 2")
    expect(message.get_by_role("progressbar")).to_be_visible()
    page.unroute("**/reprocess")  # the held requests continue
    expect(message).to_contain_text("Processing 2 images again.")
    pipeline.wait_until(
        lambda: all(pipeline.record(image_key)["execution"]["id"] != before[image_key] for image_key in keys), "it"
    )
    for image_key in keys:
        expect(tile(page, image_key)).to_have_attribute("data-state", "COMPLETED")
    visitor.announce("response: 429 .*/reprocess")
    reprocess.click()
    expect(message.filter(has_text="2 images were not").get_by_role("listitem")).to_have_count(2)
    page.keyboard.press("Escape")
    tile(page, keys[0]).get_by_role("link").press("Enter")
    detail(page).get_by_role("button", name="Reprocess").click()
    refused = message.filter(has_text="less than 10 seconds ago").last
    expect(refused).not_to_contain_text("2 images")
    expect(refused.get_by_role("button", name=re.compile("Try again"))).to_be_visible()
    visitor.audit(page, ".toast")


def test_changes_of_others_appear(clock_visitor: Visitor, pipeline, make_images, folder, key):
    """What another tab uploads or deletes is shown without a reload, within ten seconds."""
    (image_key,) = upload(pipeline, folder, 1)
    page, other = clock_visitor.open(key=key), clock_visitor.open(key=key)
    for tab in (page, other):
        expect_tiles(tab, image_key)
    other.locator("selection-bar").wait_for(state="attached")
    tile(other, image_key).get_by_role("link").press("Delete")
    expect_tiles(other)
    pipeline.wait_until(lambda: listed(pipeline, folder) == [], "the deletion")
    page.clock.fast_forward(10_000)
    expect_tiles(page)
    (new,) = make_images(1, inside="new/")
    page.clock.fast_forward(10_000)
    expect(tile(page, new)).to_have_attribute("data-state", "COMPLETED")
