"""An upload never replaces another one unless somebody chose so, whatever the page knows about the names."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Response, Route

from tests.web.conftest import PICTURE, Visitor, choose, expect, upload_row, versions


@pytest.fixture
def store(pipeline, folder):
    """A function that stores an object past the page."""

    def store(name: str) -> None:
        pipeline.client("s3").put_object(Bucket=pipeline.uploads_bucket, Key=f"uploads/{folder}{name}", Body=b"words")

    return store


def question(page: Page, name: str) -> Any:
    """Return the dialog about a name."""
    return page.get_by_role("dialog", name=re.compile(re.escape(name)))


def test_a_name_that_is_taken_meanwhile_is_asked_about(visitor: Visitor, pipeline, folder, key, store):
    """Somebody else stores a file after the page has looked."""
    visitor.announce("412 .*/uploads/")

    def store_first(route: Route) -> None:
        store("x.jpg")
        route.continue_()

    page = visitor.open(key=key)
    page.route("**/images/presigned", store_first)
    choose(page, ("x.jpg", PICTURE))
    expect(question(page, "x.jpg")).to_be_visible()
    question(page, "x.jpg").get_by_role("button", name="Skip").click()
    expect(upload_row(page, f"{folder}x.jpg")).to_contain_text("Skipped")
    assert versions(pipeline, f"{folder}x.jpg") == 1


def test_a_key_that_may_not_read_is_asked_too(visitor: Visitor, pipeline, folder, make_key, store):
    """The page can list nothing, and says so. The bucket knows the names; a taken number is not asked about again."""
    visitor.announce("412 .*/uploads/", "403 .*/images")
    for name in ("x.jpg", "x-1.jpg"):
        store(name)
    page = visitor.open(key=make_key("upload", folder=folder).text)
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", level=2)).to_be_visible()  # says that the images cannot be listed
    choose(page, ("x.jpg", PICTURE))
    question(page, "x.jpg").get_by_role("button", name="Keep both").click()
    expect(upload_row(page, f"{folder}x-2.jpg")).to_have_attribute("data-state", "done")
    choose(page, ("x.jpg", PICTURE))
    question(page, "x.jpg").get_by_role("button", name="Replace").click()
    expect(upload_row(page, f"{folder}x.jpg")).to_have_attribute("data-state", "done")
    assert [versions(pipeline, f"{folder}{name}") for name in ("x.jpg", "x-1.jpg", "x-2.jpg")] == [2, 1, 1]


def test_many_refused_files_are_one_question(visitor: Visitor, pipeline, folder, make_key, store):
    """Files that are refused while the question is open follow its answer, if the box is checked."""
    visitor.announce("412 .*/uploads/", "403 .*/images")
    names = [f"{number}.jpg" for number in range(3)]
    for name in names:
        store(name)
    page = visitor.open(key=make_key("upload", folder=folder).text)
    refused: list[str] = []

    def is_last(response: Response) -> bool:
        refused.extend([response.url] if response.status == 412 else [])
        return len(refused) == len(names)

    with page.expect_response(is_last):
        choose(page, *((name, PICTURE) for name in names))
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Skip").click()
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Skip").click()
    for name in names:
        expect(upload_row(page, f"{folder}{name}")).to_contain_text("Skipped")
