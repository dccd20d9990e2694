"""What a screen reader says about the tiles."""

from __future__ import annotations

from tests.web.conftest import Visitor, expect, tile


def test_a_tile_says_that_it_is_selected_or_open(visitor: Visitor, make_images, key):
    """The focus is on the link of a tile, so the link says so."""
    first, second = make_images(2)
    page = visitor.open(key=key)
    links = {name: tile(page, name).get_by_role("link") for name in (first, second)}
    name = first.removeprefix("uploads/")
    expect(links[first]).to_have_accessible_name(name)
    links[first].focus()
    page.keyboard.press("Space")
    expect(links[first]).to_have_accessible_name(f"{name}, selected")
    page.keyboard.press("Escape")
    expect(links[first]).to_have_accessible_name(name)
    page.keyboard.press("Enter")
    expect(links[first]).to_have_attribute("aria-current", "true")
    expect(links[second]).not_to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Close", exact=True).click()
    expect(links[first]).not_to_have_attribute("aria-current", "true")
