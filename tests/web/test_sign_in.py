"""Who uses the page: signing in and out, and keys that may do little."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from image_pipeline.api import apikeys, webpage
from local.pipeline import Pipeline
from tests.conftest import ROOT, WITH_OUTCOME, heavy
from tests.web.conftest import IMPATIENT, MENU, PASTE, PICTURE, Visitor, choose, expect, hold_uploads, tile, upload_row
from tests.web.relay import Relay

TOKEN = "header.claims.signature"
WRONG_KEY = f"ip_{'0' * 12}_{'0' * 43}"


def fill_in(page: Page, key: str, *, remember: bool = False) -> None:
    """Fill in and send the form."""
    page.get_by_label("API key").fill(key)
    if remember:
        page.get_by_label("Keep me signed in on this device").check()
    page.get_by_role("button", name="Sign in").click()


def expect_signed_in(page: Page) -> None:
    """Check that the page shows the gallery."""
    expect(page.get_by_role("button", name="Account")).to_be_visible()
    expect(page.get_by_label("API key")).to_have_count(0)


def expect_signed_out(page: Page) -> None:
    """Check that the page shows only the form."""
    expect(page.get_by_label("API key")).to_be_visible()
    expect(page.get_by_role("button", name="Upload", exact=True)).to_have_count(0)
    expect(page.locator("image-tile")).to_have_count(0)


def sign_out(page: Page) -> None:
    """Sign out by the menu. The tab comes to the front: the browser draws the tabs behind it once a second."""
    page.bring_to_front()
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()


def kept(page: Page) -> list[int]:
    """Return the number of values in the storage of the session and of the device."""
    counts: list[int] = page.evaluate("() => [sessionStorage.length, localStorage.length]")
    return counts


def test_the_form_signs_in(visitor: Visitor, key):
    """Without a key, only the form is shown. A key is kept for the session, and is in no address."""
    page = visitor.open()
    expect_signed_out(page)
    expect(page.get_by_label("API key")).to_be_focused()
    expect(page).to_have_title("image-pipeline")
    visitor.audit_if_heavy(page)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    fill_in(page, f"  {key}\n")
    expect_signed_in(page)
    assert kept(page)[1] == 0
    page.reload()
    expect_signed_in(page)
    assert not [url for url in urls if key in url]
    expect_signed_out(visitor.open())


def test_the_link_signs_in(visitor: Visitor, key):
    """The key leaves the address and the history at once; the filters stay. The name `localhost` leads to the page."""
    page = visitor.context.new_page()
    page.goto(f"{visitor.url.replace('127.0.0.1', 'localhost')}/?status=FAILED#key={key}")
    expect(page.get_by_role("button", name="Status: Failed")).to_be_visible()
    assert page.url == f"{visitor.url}/?status=FAILED"
    assert page.evaluate("() => history.length") <= 2
    page.goto(f"{visitor.url}/")
    page.go_back()
    assert page.url == f"{visitor.url}/?status=FAILED"
    expect_signed_in(page)


def test_a_link_signs_nobody_in_at_a_deployed_stack(visitor: Visitor, pipeline, key, make_key):
    """The link of somebody else, with their key, neither starts a session nor replaces one."""
    foreign_key = make_key().text
    with Relay(pipeline.api_url, "images.localhost") as deployed:
        visitor.url = deployed.url
        page = visitor.open("/?status=FAILED", foreign_key)
        expect_signed_out(page)
        assert page.url == f"{visitor.url}/?status=FAILED"
        assert kept(page) == [0, 0]
        fill_in(page, key)
        expect_signed_in(page)
        page.locator("drop-target").wait_for(state="attached")
        with page.expect_response("**/access"), page.expect_response("**/images?*"):
            page.goto(f"{page.url}#key={foreign_key}")
        expect_signed_in(page)
        assert page.evaluate("() => Object.values(sessionStorage)") == [key]
        page.close()


def test_a_wrong_key_is_refused(visitor: Visitor, key):
    """The form says what is wrong and accepts another key; nothing is kept."""
    visitor.announce("403 .*/(access|images)")
    page = visitor.open(key="nonsense")
    expect(page.get_by_role("alert")).to_contain_text("unknown, revoked or expired")
    expect_signed_out(page)
    fill_in(page, WRONG_KEY)
    expect(page.get_by_role("alert")).to_contain_text("unknown, revoked or expired")
    expect(page.get_by_label("API key")).to_be_focused()
    visitor.audit(page)
    assert kept(page) == [0, 0]
    fill_in(page, key)
    expect_signed_in(page)


def test_a_key_is_kept_on_the_device_on_request(visitor: Visitor, image_key, key):
    """Other tabs are signed in, also after all tabs were closed. Signing out of one forgets the key everywhere."""
    page = visitor.open()
    fill_in(page, key, remember=True)
    expect_signed_in(page)
    page.close()
    page, other = visitor.open(), visitor.open()
    for tab in (page, other):
        expect(tile(tab, image_key)).to_be_visible()
    sign_out(page)
    for tab in (page, other):
        expect_signed_out(tab)
        assert kept(tab) == [0, 0]
        tab.reload()
        expect_signed_out(tab)
        tab.go_back()
    expect_signed_out(visitor.open())


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
            visitor.audit(tab, "dialog")
        question.get_by_role("button", name="Keep uploading").click()
        expect(question).to_be_hidden()
        expect(page.get_by_role("button", name="Account")).to_be_visible()
    sign_out(other)
    other.get_by_role("dialog", name="Sign out while").get_by_role("button", name="Sign out").click()
    for tab in (other, page):
        expect(tab.get_by_label("API key")).to_be_visible()


@heavy  # without any upload, test_a_key_is_kept_on_the_device_on_request signs out without a question
def test_signing_out_does_not_ask_without_uploads(visitor: Visitor, key, folder):
    """Neither before the first upload nor after the last one was cancelled."""
    page = visitor.open(key=key)
    hold_uploads(visitor, page)
    with page.expect_response("**/images/presigned"):
        choose(page, ("a.jpg", PICTURE))
    upload_row(page, f"{folder}a.jpg").get_by_role("button", name="Cancel").click()
    expect(upload_row(page, f"{folder}a.jpg")).to_have_attribute("data-state", "cancelled")
    sign_out(page)
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_revoked_key_is_asked_for_again(visitor: Visitor, pipeline, folder, image_key, make_key):
    """What the page shows stays, and a new key continues."""
    old, new = make_key(folder=folder), make_key(folder=folder)
    page = visitor.open(key=old.text)
    expect(tile(page, image_key)).to_be_visible()
    apikeys.revoke(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], key_id=old.key_id)
    pipeline.clear()  # API Gateway would accept the key for five more minutes
    visitor.announce("403 .*/images")
    page.get_by_role("button", name="Status").click()
    page.get_by_role("dialog", name="Status").get_by_role("button", name="Completed", exact=True).click()
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_be_visible()
    visitor.audit(page, "dialog")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    fill_in(page, new.text)
    expect(dialog).to_have_count(0)
    expect(tile(page, image_key)).to_be_visible()
    assert page.url.endswith("?status=COMPLETED")


def test_a_key_that_may_only_read_sees_no_buttons(visitor: Visitor, folder, make_images, make_key):
    """Neither upload nor change is offered, in the gallery and beside an image, even if it failed.

    Pasted files are not taken, and the point of an image is only shown.
    """
    (image_key,) = make_images(1, focus={"x": Decimal("0.25"), "y": Decimal("0.75")})
    (failed,) = make_images(1, inside="failed/", status="FAILED", **WITH_OUTCOME)
    page = visitor.open(key=make_key("read", folder=folder).text)
    for name in (failed, image_key):
        expect(tile(page, name)).to_be_visible()
    changes = re.compile("Upload|Replace|Reprocess|Delete|Restore|Select|ocus")
    expect(page.get_by_role("button", name=changes)).to_have_count(0)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    tile(page, failed).get_by_role("link").press("Delete")
    for name in (failed, image_key):
        tile(page, name).get_by_role("link").press("Enter")
        expect(page.get_by_role("button", name="Download original")).to_be_visible()
        expect(page.get_by_role("button", name=changes)).to_have_count(0)
    mark = page.locator(".focus-mark")
    expect(mark).to_be_visible()
    assert mark.evaluate("({ style }) => [style.left, style.top]") == ["25%", "75%"]
    expect(page.get_by_role("button", name=changes)).to_have_count(0)
    page.get_by_role("button", name="Account").click()
    expect(page.get_by_text("Scopes: read")).to_be_visible()
    visitor.audit(page, MENU)
    page.evaluate(PASTE)
    expect(page.get_by_role("group", name="Message")).to_contain_text("This key may not upload")


@pytest.fixture
def token_visitor(visitor: Visitor, pipeline: Pipeline, key: str) -> Visitor:
    """A visitor of a stack with `JwtIssuer`. The local run cannot check tokens, so the test does."""
    settings = pipeline.environments["ServePageFunction"]
    headers = webpage.security_headers(uploads_url=settings["UPLOADS_URL"], renditions_url=settings["RENDITIONS_URL"])
    files = webpage.WebPage(ROOT / "web", {"stack": "image-pipeline", "authorization": "token"}, headers)

    def serve(event: dict[str, Any]) -> dict[str, Any]:
        path = event.get("pathParameters")
        file = files.find(path["digest"], path["file"]) if path else files.index
        assert file
        return file.answer(event["headers"])

    def authorize(route: Route) -> None:
        headers = route.request.headers
        assert "x-api-key" not in headers
        if headers.get("authorization") == f"Bearer {TOKEN}":
            route.continue_(headers={**headers, "x-api-key": key})
        else:
            route.fulfill(status=401, json={"message": "Unauthorized"})

    pipeline.replace("ServePageFunction", serve)
    visitor.context.route(re.compile("/(access|images)"), authorize)
    return visitor


def test_a_token_signs_in(token_visitor: Visitor, image_key):
    """With `JwtIssuer`, the form asks for a token, and requests have it as `Authorization: Bearer`."""
    token_visitor.announce("401 .*/access")
    page = token_visitor.open()
    field = page.get_by_label("Access token")
    expect(field).to_be_focused()
    expect(page.get_by_text("Get one from your identity provider.")).to_be_visible()
    expect(page.get_by_label("API key")).to_have_count(0)
    field.fill("expired")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This token is invalid or expired.")
    token_visitor.audit_if_heavy(page)
    field.fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    expect(tile(page, image_key)).to_be_visible()


def test_files_that_are_refused_for_a_moment_are_loaded_again(visitor: Visitor, key):
    """A stack that refuses some of the many files at first still shows the page, and the link still signs in."""
    visitor.announce(r"503 .*/tile\.js", r"503 .*/page\.css", "Failed to load .*css|dynamically imported module")
    refusals = {"tile.js": 2, "page.css": 1}

    def refuse(route: Route) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        refusals[name] -= 1
        if refusals[name] >= 0:
            route.fulfill(status=503, body="{}")
        else:
            route.continue_()

    visitor.context.route(re.compile(r"/(tile\.js|page\.css)$"), refuse)
    page = visitor.open(key=key, script=IMPATIENT)
    expect_signed_in(page)
    expect(page.get_by_role("banner")).to_have_css("position", "sticky")


def test_a_page_that_cannot_start_says_so(visitor: Visitor, key):
    """After the sixth attempt, a sentence and a button are shown; the button loads the page again."""
    visitor.announce(r"503 .*/tile\.js", "Failed to fetch dynamically imported module")
    visitor.context.route("**/tile.js", lambda route: route.fulfill(status=503, body="{}"))
    page = visitor.open(key=key, script=f"{IMPATIENT} sessionStorage['image-pipeline:failed-starts'] ??= '4';")
    button = page.get_by_role("button", name="Try again")
    expect(button).to_be_visible()
    visitor.audit(page)
    visitor.context.unroute("**/tile.js")
    button.click()
    expect_signed_in(page)
