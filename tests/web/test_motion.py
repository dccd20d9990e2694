"""The page for visitors who did not ask for less motion; all other tests do, because each frame costs CPU."""

from __future__ import annotations

from tests.web.conftest import PICTURE, Visitor, choose, expect, tile

NOTE_ANIMATIONS = """
() => {
  window.animations = new Set();
  addEventListener('animationstart', ({ animationName }) => animations.add(animationName));
}
"""
UNFINISHED = """
() => {
  const isFinished = (style) => style.opacity === '1' && style.scale === 'none' && style.translate === 'none';
  const moved = [...document.querySelectorAll('image-tile, selection-bar, .detail-frame img')];
  return moved.filter((element) => !isFinished(getComputedStyle(element))).map(({ outerHTML }) => outerHTML);
}
"""


def test_motion_ends_where_the_page_without_motion_is(visitor: Visitor, image_key, folder, key):
    """An upload arrives, a bar appears and a picture fades in, once. In the end, nothing is faded or moved."""
    page = visitor.open(key=key)
    page.emulate_media(reduced_motion="no-preference")
    expect(tile(page, image_key)).to_be_visible()
    page.evaluate(NOTE_ANIMATIONS)
    choose(page, ("a.jpg", PICTURE))
    new = tile(page, f"uploads/{folder}a.jpg")
    expect(new).to_have_attribute("data-state", "COMPLETED")
    link = tile(page, image_key).get_by_role("link")
    link.press("Enter")
    page.get_by_role("button", name="Set focus").wait_for()
    picture = page.locator(".detail-frame img.loaded")
    picture.evaluate("picture => { picture.isKept = true }")
    page.route("**/reprocess", lambda route: route.fulfill(status=202, json={"executionId": "1"}))
    with page.expect_response("**/reprocess"):
        page.get_by_role("button", name="Reprocess").click()
    expect(page.get_by_role("button", name="Reprocess")).to_be_enabled()
    assert picture.evaluate("picture => picture.isKept")
    link.press("Space")
    expect(page.get_by_role("region", name="Selection")).to_be_visible()
    visitor.audit_if_heavy(page)
    page.wait_for_function(f"() => ({UNFINISHED})().length === 0")
    assert {"arrive", "appear", "wander"} <= set(page.evaluate("() => [...animations]"))
