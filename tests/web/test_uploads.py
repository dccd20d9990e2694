"""Uploads: from the file manager to the outcome, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from playwright.sync_api import Page, Request, Route

from image_pipeline import keys
from image_pipeline.api import apikeys
from tests.conftest import ROOT
from tests.pictures import encoded, gradient
from tests.web.conftest import (
    IMPATIENT,
    PATIENCE_SECONDS,
    PICTURE,
    Visitor,
    choose,
    drop,
    expect,
    hold_uploads,
    listed,
    slow_down,
    tile,
    upload_row,
    versions,
)

WORDS = b"These are words, whatever the name says."
BROKEN = encoded(gradient(640, 480))[:2000]

# The page itself refuses empty files and names with control characters.
UNSENT = [
    "empty.jpg",
    "javascript:document.title='hacked'.jpg",
    " spaces  around .jpg",
    "a" * 200 + ".jpg",
    "ö\u0308 <i>&amp;.png",
    "'; DROP TABLE images; --.gif",
    "\u200f\u200e.webp",
    "~$.tiff",
    "-rf *.bmp",
    "👩\u200d🚀.jpg",
]

BACKWARDS = "\u202egpj.exe"

# Each name is hostile in several ways: every file costs a run of the pipeline.
HOSTILE = [
    "<img src=x onerror=document.title='hacked'> '\"><b>bold<b> <script>document.title='hacked'<!--.jpg",
    BACKWARDS,
    "\u2066\u202efdp שלום עולם 🦊🏳️‍🌈 e\u0301 and é.jpg",
    "%2e%2e%2f 100 % + a&b=c#d what? {{stack}} ${1} $& \\n.jpg",
]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder and return it."""
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def progress(page: Page, name: str) -> float:
    """Return the sent part of a file, as the page shows it."""
    value: float = upload_row(page, name).get_by_role("progressbar").evaluate("(bar) => bar.value")
    return value


def test_a_folder_is_followed_to_its_outcomes(visitor: Visitor, pipeline, folder, key, tmp_path):
    """Each of 20 dropped files gets its outcome, a failed one its reason and a remedy, and names are only text.

    Before, the page invites to drop something, because a key for a folder sees no other images.
    """
    good = {
        **dict.fromkeys(HOSTILE, PICTURE),
        "deep/er/x.png": encoded(gradient(32, 48), "PNG"),
        "deep.heic": (ROOT / "tests" / "corpus" / "deep.heic").read_bytes(),
    }
    bad = {"words.jpg": WORDS, "broken.jpg": BROKEN}
    unsent = dict.fromkeys(UNSENT, b"") | {"a\nb.jpg": PICTURE, "\x1b[31mred\x7f.jpg": PICTURE}
    files = {**good, **bad, **unsent}
    assert len(files) == 20
    write(tmp_path / "holiday", {**files, ".DS_Store": b"x"})
    page = visitor.open(key=key)
    expect(page.get_by_text("Drop your first images here")).to_be_visible()
    expect(page.locator("image-tile")).to_have_count(0)
    visitor.audit(page, "main")
    drop(page, tmp_path / "holiday")
    panel = page.get_by_role("region", name="Uploads")
    expect(panel.get_by_role("heading")).to_have_text(f"{len(bad | unsent)} files failed")
    place = f"{folder}holiday/"
    outcomes = dict.fromkeys(good, "done") | dict.fromkeys(bad | unsent, "failed")
    rows = shown_by(page, "li[data-upload]", "upload")
    assert {name: state for name, (state, _) in rows.items()} == {place + name: outcomes[name] for name in files}
    assert [name for name, (_, text) in rows.items() if keys.printable(name) not in text] == []
    for name, reason in {"words.jpg": "its content is text", UNSENT[0]: "0 bytes", "a\nb.jpg": "U+000A"}.items():
        assert reason in rows[place + name][1]

    tiles = shown_by(page, "image-tile", "key")
    outcomes = dict.fromkeys(good, "COMPLETED") | dict.fromkeys(bad, "FAILED")
    assert {name: state for name, (state, _) in tiles.items()} == {
        f"uploads/{place}{name}": state for name, state in outcomes.items()
    }
    assert [name for name, (_, text) in tiles.items() if keys.printable(Path(name).name) not in text] == []
    for name in bad:
        record = pipeline.record(f"uploads/{place}{name}")
        assert record["error"]["message"] in tiles[record["ImageKey"]][1]
        assert record["error"]["hint"] in tiles[record["ImageKey"]][1]
    assert 0 not in page.locator("image-tile img[src]").evaluate_all(
        "(images) => Promise.all(images.map(async (image) => { await image.decode(); return image.naturalWidth; }))"
    )
    visitor.audit(page, "upload-panel, image-gallery")
    expect(page).to_have_title("image-pipeline")
    assert page.locator("image-tile b, image-tile script, upload-panel b, upload-panel script").count() == 0
    write(tmp_path / "again" / "holiday", {BACKWARDS: PICTURE})
    deceive_nowhere(visitor, page, f"uploads/{place}{BACKWARDS}", tmp_path / "again" / "holiday")

    write(tmp_path, {"repaired.jpg": PICTURE})
    with page.expect_file_chooser() as chooser:
        tile(page, f"uploads/{place}words.jpg").get_by_role("button", name="Replace file").click()
    chooser.value.set_files(tmp_path / "repaired.jpg")
    expect(tile(page, f"uploads/{place}words.jpg")).to_have_attribute("data-state", "COMPLETED")
    assert pipeline.record(f"uploads/{place}words.jpg")["status"] == "COMPLETED"
    expect(upload_row(page, f"{place}words.jpg")).to_have_attribute("data-state", "done")
    expect(panel.get_by_role("heading")).to_have_text(f"{len(bad | unsent) - 1} files failed")


def shown_by(page: Page, selector: str, name: str) -> dict[str, list[str]]:
    """Return the state and the text of some elements, by the value of an attribute."""
    shown: dict[str, list[str]] = page.locator(selector).evaluate_all(
        "(all, name) => Object.fromEntries(all.map((each) => "
        "[each.dataset[name], [each.dataset.state, each.textContent]]))",
        name,
    )
    return shown


def deceive_nowhere(visitor: Visitor, page: Page, image_key: str, second: Path) -> None:
    """Check that a name that a browser would show backwards deceives nowhere, and that links have the true name.

    Args:
        visitor: The visitor.
        page: A tab that shows the image.
        image_key: The key of the image.
        second: A folder with a file of this name.
    """
    name = keys.printable(image_key.removeprefix("uploads/"))
    tile(page, image_key).get_by_role("link").press("Enter")
    view = page.locator("image-detail")
    expect(view.get_by_role("heading", level=2)).to_have_text(name.rpartition("/")[2])
    view.get_by_role("heading", name="Record").click()
    visitor.grant("clipboard-write")
    view.get_by_role("button", name="Copy link", exact=True).click()
    assert unquote(visitor.copied(page)).startswith(f"{visitor.url}/images/{image_key}/renditions/")
    drop(page, second)
    question = page.get_by_role("dialog")
    expect(question).to_contain_text(f"{name} exists already")
    visitor.look(page)
    visitor.audit_if_heavy(page)
    question.get_by_role("button", name="Skip").click()
    page.keyboard.press("Escape")


def test_a_file_that_cannot_be_sent_is_exchanged(visitor: Visitor, folder, key, tmp_path):
    """A row says at once what is wrong: a strange name gets the nearest one, and an empty file another file."""
    page = visitor.open(key=key)
    hold_uploads(visitor, page)
    drop(page, write(tmp_path, {"bell\x07.jpg": PICTURE}) / "bell\x07.jpg")
    row = page.locator("li[data-upload]")
    expect(row).to_contain_text("control character U+0007")
    with page.expect_request("**/images/presigned") as request:
        row.get_by_role("button", name=re.compile("Upload as .*bell_.jpg")).click()
    assert requested(request.value) == f"uploads/{folder}bell_.jpg"

    choose(page, ("empty.jpg", b""))
    row = upload_row(page, f"{folder}empty.jpg")
    expect(row).to_contain_text("The file is empty")
    with page.expect_file_chooser() as chooser:
        row.get_by_role("button", name="Choose another file").click()
    with page.expect_request("**/images/presigned") as request:
        chooser.value.set_files([{"name": "full.jpg", "mimeType": "image/jpeg", "buffer": PICTURE}])
    assert requested(request.value) == f"uploads/{folder}full.jpg"
    expect(upload_row(page, f"{folder}full.jpg")).to_be_visible()
    expect(row).to_have_count(0)

    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(200_000_000)
    drop(page, tmp_path / "large.jpg")
    row = upload_row(page, f"{folder}large.jpg")
    expect(row).to_have_attribute("data-state", "failed")
    expect(row).to_contain_text("200 MB")
    expect(row.get_by_role("button", name="Retry")).to_have_count(0)


def requested(request: Request) -> str:
    """Return the key for which the page asks a signature."""
    name: str = json.loads(request.post_data or "")["name"]
    return name


def test_files_are_chosen_and_pasted(visitor: Visitor, folder, make_key, tmp_path):
    """The button opens the dialog for files, its menu that for a folder, and a pasted picture gets a name.

    All go into the folder that is shown.
    """
    page = visitor.open(f"/?prefix={folder}inner/", make_key().text)
    hold_uploads(visitor, page)
    write(tmp_path, {"one.jpg": PICTURE})
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload", exact=True).click()
    assert chooser.value.is_multiple()
    chooser.value.set_files([tmp_path / "one.jpg"])
    files = page.evaluate_handle(
        "() => { const data = new DataTransfer(); data.items.add(new File([], 'x')); return data; }"
    )
    overlay = page.get_by_text(f"Drop to upload to {folder}inner/")
    page.dispatch_event("body", "dragenter", {"dataTransfer": files})
    expect(overlay).to_be_visible()
    visitor.audit(page, "drop-target")
    page.dispatch_event("body", "dragleave", {"dataTransfer": files})
    expect(overlay).to_be_hidden()
    page.dispatch_event("body", "dragenter", {"dataTransfer": files})
    expect(overlay).to_be_visible()
    page.mouse.move(100, 100)  # the drag was cancelled, without any event
    expect(overlay).to_be_hidden()
    page.get_by_role("button", name="Ways to upload").click()
    visitor.audit_if_heavy(page)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(write(tmp_path / "trip", {"deep/two.jpg": PICTURE}))
    page.evaluate(
        """(bytes) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }));
          document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
        }""",
        list(encoded(gradient(40, 40), "PNG")),
    )
    expect(page.locator("li[data-upload]")).to_have_count(3)
    uploads = shown_by(page, "li[data-upload]", "upload")
    one, pasted, two = sorted(name.removeprefix(f"{folder}inner/") for name in uploads)
    assert (one, two) == ("one.jpg", "trip/deep/two.jpg")
    assert pasted.startswith("screenshot ")


def test_a_slow_upload_shows_its_progress(visitor: Visitor, folder, key, tmp_path):
    """Progress and speed are shown; leaving the page warns; cancel ends the transfer, and retry sends it again.

    At most four files are sent at a time.
    """
    page = visitor.open(key=key)
    expect(page.get_by_role("button", name="Account")).to_be_visible()
    limit = slow_down(page, upload=80_000)
    noise = encoded(gradient(400, 300).effect_spread(40), "PNG")
    names = ["slow.png", *(f"x{number}.png" for number in range(4))]
    drop(page, *(write(tmp_path, {name: noise}) / name for name in names))
    name = f"{folder}slow.png"
    row = upload_row(page, name)
    panel = page.get_by_role("region", name="Uploads")
    sending = panel.locator("li[data-state=sending]")
    expect(panel.get_by_role("heading")).to_have_text("Uploading 0 of 5")
    expect(panel).to_contain_text(re.compile(r"/s · .+ left"))
    expect(row).to_contain_text(re.compile(r"[1-9]\d?% of .*/s"))
    assert 0 < progress(page, name) < 1
    assert sending.count() == 4
    expect(tile(page, f"uploads/{name}")).to_have_attribute("data-state", "UPLOADING")
    visitor.audit(page, "upload-panel, image-gallery")

    with page.expect_event("dialog") as warning:
        page.evaluate("() => { setTimeout(() => location.reload()) }")
    assert warning.value.type == "beforeunload"
    warning.value.dismiss()
    expect(row).to_have_attribute("data-state", "sending")

    panel.get_by_role("button", name="Hide files").click()
    expect(row).to_be_hidden()
    panel.get_by_role("button", name="Show files").click()
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-state", "cancelled")
    expect(tile(page, f"uploads/{name}")).to_have_count(0)
    expect(sending).to_have_count(4)
    panel.get_by_role("button", name="Cancel all").click()
    expect(sending).to_have_count(0)
    limit.detach()
    row.get_by_role("button", name="Retry").click()
    expect(row).to_have_attribute("data-state", "done")
    expect(tile(page, f"uploads/{name}")).to_have_attribute("data-state", "COMPLETED")
    page.reload()  # warns of nothing
    expect(tile(page, f"uploads/{name}")).to_be_visible()


@pytest.fixture
def taken(pipeline, folder, make_images) -> str:
    """The key of a text. The names of two images exist, too: `0.jpg` and `1.jpg`."""
    make_images(2)
    image_key = f"uploads/{folder}words.jpg"
    pipeline.upload(image_key, WORDS)
    pipeline.wait_until(lambda: listed(pipeline, folder, "FAILED") == [image_key], "the listing")
    return image_key


def test_a_taken_name_is_asked_about(visitor: Visitor, pipeline, folder, key, taken, tmp_path):
    """Replace, keep both or skip, one by one; a file of a new name does not wait.

    The box in the dialog ends the questions, and Escape skips.
    """
    page = visitor.open(key=key)
    expect(tile(page, taken)).to_be_visible()
    names = ["0.jpg", "1.jpg", "words.jpg", "new.jpg"]
    write(tmp_path, dict.fromkeys(names, PICTURE))
    files = [tmp_path / name for name in names]
    dialog = page.get_by_role("dialog")
    drop(page, *files[:3])
    dialog.get_by_role("checkbox").check()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    drop(page, *files)
    expect(upload_row(page, f"{folder}new.jpg")).to_have_attribute("data-state", "done")
    for name, choice in {"0.jpg": "Keep both", "1.jpg": "Skip", "words.jpg": "Replace"}.items():
        question = page.get_by_role("dialog", name=re.compile(re.escape(name)))
        expect(question).to_be_visible()
        if choice == "Keep both":
            visitor.audit(page, "dialog")
        question.get_by_role("button", name=choice).click()
    for name in ("words.jpg", "0-1.jpg"):
        expect(tile(page, f"uploads/{folder}{name}")).to_have_attribute("data-state", "COMPLETED")
    for name in ("words.jpg", "0-1.jpg"):
        done = upload_row(page, f"{folder}{name}").and_(page.locator("[data-state=done]"))
        expect(done).to_have_count(1)
    expected = {"words.jpg": 2, "0.jpg": 0, "0-1.jpg": 1, "1.jpg": 0}
    assert {name: versions(pipeline, f"{folder}{name}") for name in expected} == expected


def test_the_queue_survives_an_expired_key(visitor: Visitor, pipeline, folder, make_key, tmp_path):
    """Uploads wait for another key and continue with it."""
    old, new = make_key(folder=folder), make_key(folder=folder)
    page = visitor.open(key=old.text)
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()
    apikeys.revoke(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], key_id=old.key_id)
    pipeline.clear()
    visitor.announce("403 .*/images")
    write(tmp_path, {"x.jpg": PICTURE, "y.jpg": PICTURE})
    drop(page, tmp_path / "x.jpg", tmp_path / "y.jpg")
    dialog = page.get_by_role("dialog", name="Sign in again")
    expect(dialog).to_be_visible()
    dialog.get_by_label("API key").fill(new.text)
    dialog.get_by_role("button", name="Sign in").click()
    for name in ("x.jpg", "y.jpg"):
        expect(tile(page, f"uploads/{folder}{name}")).to_have_attribute("data-state", "COMPLETED")


def test_uploads_wait_for_the_connection(clock_visitor: Visitor, folder, key, tmp_path):
    """Without the API, the page says so and tries again; nothing is lost."""
    visitor = clock_visitor
    page = visitor.open(key=key)
    expect(page.get_by_text("Drop your first images here")).to_be_visible()
    visitor.announce("request: .*ERR_CONNECTION_REFUSED")
    visitor.context.route(re.compile("/(images|access)"), lambda route: route.abort("connectionrefused"))
    drop(page, write(tmp_path, {"x.jpg": PICTURE}) / "x.jpg")
    bar = page.get_by_role("status").filter(has_text="The API does not answer")
    expect(bar).to_be_visible()
    expect(page.get_by_role("heading", name="Waiting for the connection")).to_be_visible()
    visitor.audit(page, "upload-panel")
    with page.expect_request(re.compile("/(images|access)")):
        page.get_by_role("button", name="Retry now").click()
    visitor.context.unroute_all()
    page.clock.fast_forward("01:00")
    expect(bar).to_be_hidden()
    expect(tile(page, f"uploads/{folder}x.jpg")).to_have_attribute("data-state", "COMPLETED")


def test_a_transfer_that_fails_is_tried_again(visitor: Visitor, pipeline, folder, key, tmp_path):
    """A fault of the bucket delays an upload, and does not end it."""
    page = visitor.open(key=key, script=IMPATIENT)
    expect(page.get_by_text("Drop your first images here")).to_be_visible()
    visitor.announce(f"response: 503 .*{pipeline.uploads_bucket}")
    refused: list[str] = []

    def refuse_once(route) -> None:
        if route.request.method == "PUT" and not refused:
            refused.append(route.request.url)
            route.fulfill(status=503, headers={"access-control-allow-origin": "*"}, body="<Code>SlowDown</Code>")
        else:
            route.continue_()

    visitor.context.route(f"**/{pipeline.uploads_bucket}**", refuse_once)
    drop(page, write(tmp_path, {"x.jpg": PICTURE}) / "x.jpg")
    expect(tile(page, f"uploads/{folder}x.jpg")).to_have_attribute("data-state", "COMPLETED")
    assert refused


def test_a_fault_of_the_pipeline_is_reprocessed(visitor: Visitor, pipeline, folder, key, tmp_path):
    """The tile follows the upload; if the file is not to blame, it offers to process it again."""
    page = visitor.open(key=key)
    image_key = f"uploads/{folder}x.jpg"
    failing = threading.Event()

    def know_nothing(route: Route) -> None:
        route.fulfill(json={"statuses": [], "missing": [image_key]})

    def fail(_: Any) -> None:
        failing.wait(PATIENCE_SECONDS)
        raise RuntimeError("a bug")

    pipeline.replace("GenerateThumbnailsFunction", fail)
    page.route("**/images/statuses", know_nothing)
    drop(page, write(tmp_path, {"x.jpg": PICTURE}) / "x.jpg")
    card = tile(page, image_key)
    expect(card).to_have_attribute("data-state", "WAITING")
    page.unroute("**/images/statuses")
    expect(card).to_have_attribute("data-state", "PROCESSING")
    failing.set()
    expect(card).to_have_attribute("data-state", "FAILED")
    pipeline.clear()
    card.get_by_role("button", name="Reprocess").click()
    expect(card).to_have_attribute("data-state", "COMPLETED")
