"""Uploads: from the file manager to the outcome, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import CDPSession, Page

from image_pipeline.api import apikeys
from tests.conftest import ROOT
from tests.pictures import encoded, gradient
from tests.web.conftest import IMPATIENT, PICTURE, Visitor, choose, drop, expect, hold_uploads, listed, tile, upload_row

WORDS = b"These are words, whatever the name says."
BROKEN = encoded(gradient(640, 480))[:2000]

HOSTILE = [
    "<img src=x onerror=document.title='hacked'>.jpg",
    "<script>document.title='hacked'<!--.jpg",
    "'\"><b>bold<b>.jpg",
    "javascript:document.title='hacked'.jpg",
    "\u202egpj.exe",
    "\u2066\u202efdp.jpg",
    "שלום עולם.jpg",
    "🦊🏳️‍🌈.jpg",
    "100 % + a&b=c#d.jpg",
    "what?.jpg",
    "%2e%2e%2f.jpg",
    "{{stack}} ${1} $& \\n.jpg",
    "e\u0301 and é.jpg",
    " spaces  around .jpg",
    "a" * 200 + ".jpg",
]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder and return it."""
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def slow_down(page: Page, bytes_per_second: int) -> CDPSession:
    """Limit the speed of uploads; `detach` the session to end it."""
    session = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", limits)
    return session


def progress(page: Page, name: str) -> float:
    """Return the sent part of a file, as the page shows it."""
    value: float = upload_row(page, name).get_by_role("progressbar").evaluate("(bar) => bar.value")
    return value


def test_a_folder_is_followed_to_its_outcomes(visitor: Visitor, pipeline, folder, key, tmp_path):
    """Each file of a dropped folder gets its outcome, a failed one its reason and a remedy, and names are only text."""
    good = {
        **dict.fromkeys(HOSTILE, PICTURE),
        "deep/er/x.png": encoded(gradient(32, 48), "PNG"),
        "deep.heic": (ROOT / "tests" / "corpus" / "deep.heic").read_bytes(),
    }
    bad = {"words.jpg": WORDS, "broken.jpg": BROKEN, "empty.jpg": b""}
    write(tmp_path / "holiday", {**good, **bad, ".DS_Store": b"x"})
    page = visitor.open(key=key)
    expect(page.get_by_text("Drop your first images here")).to_be_visible()
    drop(page, tmp_path / "holiday")
    for name in good:
        upload = f"{folder}holiday/{name}"
        expect(upload_row(page, upload)).to_have_attribute("data-state", "done")
        expect(upload_row(page, upload)).to_contain_text(upload)
    panel = page.get_by_role("region", name="Uploads")
    expect(panel.get_by_role("heading")).to_have_text("3 files failed")
    for name, reason in {"words.jpg": "its content is text", "broken.jpg": "", "empty.jpg": "0 bytes"}.items():
        row = upload_row(page, f"{folder}holiday/{name}")
        expect(row).to_have_attribute("data-state", "failed")
        expect(row).to_contain_text(reason)
    visitor.audit(page)

    for name in good:
        shown = tile(page, f"uploads/{folder}holiday/{name}")
        expect(shown).to_have_attribute("data-state", "COMPLETED")
        expect(shown).to_contain_text(Path(name).name)
        assert shown.locator("img").evaluate("async (image) => { await image.decode(); return image.naturalWidth }")
    for name in ("words.jpg", "broken.jpg"):
        record = pipeline.record(f"uploads/{folder}holiday/{name}")
        card = tile(page, f"uploads/{folder}holiday/{name}")
        expect(card).to_contain_text(record["error"]["message"])
        expect(card).to_contain_text(record["error"]["hint"])
    expect(page.locator("image-tile")).to_have_count(len(good) + 2)
    expect(page).to_have_title("image-pipeline")
    assert page.locator("image-tile b, image-tile script, upload-panel b, upload-panel script").count() == 0

    write(tmp_path, {"repaired.jpg": PICTURE})
    with page.expect_file_chooser() as chooser:
        tile(page, f"uploads/{folder}holiday/words.jpg").get_by_role("button", name="Replace file").click()
    chooser.value.set_files(tmp_path / "repaired.jpg")
    expect(tile(page, f"uploads/{folder}holiday/words.jpg")).to_have_attribute("data-state", "COMPLETED")
    assert pipeline.record(f"uploads/{folder}holiday/words.jpg")["status"] == "COMPLETED"
    expect(upload_row(page, f"{folder}holiday/words.jpg")).to_have_attribute("data-state", "done")
    expect(panel.get_by_role("heading")).to_have_text("2 files failed")


def test_a_file_of_a_strange_name_gets_another(visitor: Visitor, folder, key, tmp_path):
    """The page says why the API would refuse a name, and uploads under the nearest one."""
    page = visitor.open(key=key)
    drop(page, write(tmp_path, {"bell\x07.jpg": PICTURE}) / "bell\x07.jpg")
    row = page.locator("li[data-upload]")
    expect(row).to_contain_text("control character U+0007")
    row.get_by_role("button", name=re.compile("Upload as .*bell_.jpg")).click()
    expect(tile(page, f"uploads/{folder}bell_.jpg")).to_have_attribute("data-state", "COMPLETED")


def test_a_file_that_is_too_large_is_not_sent(visitor: Visitor, folder, key, tmp_path):
    """The limit and the size are named at once."""
    page = visitor.open(key=key)
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(200_000_000)
    drop(page, tmp_path / "large.jpg")
    row = upload_row(page, f"{folder}large.jpg")
    expect(row).to_have_attribute("data-state", "failed")
    expect(row).to_contain_text("200 MB")
    expect(row.get_by_role("button", name="Retry")).to_have_count(0)


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


def test_files_are_chosen_and_pasted(visitor: Visitor, folder, key, tmp_path):
    """The button opens the dialog for files; a pasted picture gets a name."""
    page = visitor.open(key=key)
    write(tmp_path, {"one.jpg": PICTURE, "two.jpg": PICTURE})
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload", exact=True).click()
    assert chooser.value.is_multiple()
    chooser.value.set_files([tmp_path / "one.jpg", tmp_path / "two.jpg"])
    for name in ("one.jpg", "two.jpg"):
        expect(tile(page, f"uploads/{folder}{name}")).to_have_attribute("data-state", "COMPLETED")
    page.evaluate(
        """(bytes) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([new Uint8Array(bytes)], 'image.png', { type: 'image/png' }));
          document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
        }""",
        list(encoded(gradient(40, 40), "PNG")),
    )
    pasted = page.locator(f'image-tile[data-key^="uploads/{folder}screenshot "]')
    expect(pasted).to_have_attribute("data-state", "COMPLETED")


def test_an_upload_goes_into_the_shown_folder(visitor: Visitor, folder, make_key, tmp_path):
    """The filter for a folder is the place of new uploads."""
    page = visitor.open(f"/?prefix={folder}inner/", make_key().text)
    expect(page.get_by_role("button", name="Account")).to_be_visible()
    drop(page, write(tmp_path, {"x.jpg": PICTURE}) / "x.jpg")
    expect(tile(page, f"uploads/{folder}inner/x.jpg")).to_have_attribute("data-state", "COMPLETED")


def test_a_slow_upload_shows_its_progress(visitor: Visitor, folder, key, tmp_path):
    """Progress and speed are shown; leaving the page warns; cancel ends the transfer, and retry sends it again."""
    page = visitor.open(key=key)
    expect(page.get_by_role("button", name="Account")).to_be_visible()
    limit = slow_down(page, 30_000)
    noise = encoded(gradient(800, 600).effect_spread(40), "PNG")
    drop(page, write(tmp_path, {"slow.png": noise}) / "slow.png")
    name = f"{folder}slow.png"
    row = upload_row(page, name)
    expect(row).to_have_attribute("data-state", "sending")
    expect(row).to_contain_text(re.compile(r"[1-9]\d?% of .*/s"))
    assert 0 < progress(page, name) < 1
    expect(tile(page, f"uploads/{name}")).to_have_attribute("data-state", "UPLOADING")
    visitor.audit(page)

    with page.expect_event("dialog") as warning:
        page.evaluate("() => { setTimeout(() => location.reload()) }")
    assert warning.value.type == "beforeunload"
    warning.value.dismiss()
    expect(row).to_have_attribute("data-state", "sending")

    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-state", "cancelled")
    expect(tile(page, f"uploads/{name}")).to_have_count(0)
    limit.detach()
    row.get_by_role("button", name="Retry").click()
    expect(row).to_have_attribute("data-state", "done")
    expect(tile(page, f"uploads/{name}")).to_have_attribute("data-state", "COMPLETED")
    page.reload()  # warns of nothing
    expect(tile(page, f"uploads/{name}")).to_be_visible()


@pytest.fixture
def taken(pipeline, folder) -> list[str]:
    """Names that exist."""
    names = [f"{folder}{name}" for name in ("a.jpg", "b.jpg", "c.jpg")]
    for name in names:
        pipeline.upload(f"uploads/{name}", WORDS)
    pipeline.wait_until(lambda: len(listed(pipeline, folder, "FAILED")) == len(names), "the listing")
    return names


def versions(pipeline, name: str) -> int:
    """Return the number of versions of an upload."""
    found = pipeline.client("s3").list_object_versions(Bucket=pipeline.uploads_bucket, Prefix=f"uploads/{name}")
    return len(found.get("Versions", []))


def test_a_taken_name_is_asked_about(visitor: Visitor, pipeline, folder, key, taken, tmp_path):
    """Replace, keep both or skip, one by one; a file of a new name does not wait."""
    page = visitor.open(key=key)
    expect(tile(page, f"uploads/{taken[0]}")).to_be_visible()
    write(tmp_path, dict.fromkeys(["a.jpg", "b.jpg", "c.jpg", "new.jpg"], encoded(gradient(64, 64))))
    drop(page, *(tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg", "new.jpg")))
    expect(upload_row(page, f"{folder}new.jpg")).to_have_attribute("data-state", "done")
    for name, choice in {"a.jpg": "Replace", "b.jpg": "Keep both", "c.jpg": "Skip"}.items():
        dialog = page.get_by_role("dialog", name=re.compile(re.escape(name)))
        expect(dialog).to_be_visible()
        if choice == "Replace":
            visitor.audit(page)
        dialog.get_by_role("button", name=choice).click()
    for name in ("a.jpg", "b-1.jpg"):
        expect(upload_row(page, f"{folder}{name}")).to_have_attribute("data-state", "done")
        expect(tile(page, f"uploads/{folder}{name}")).to_have_attribute("data-state", "COMPLETED")
    assert [versions(pipeline, f"{folder}{name}") for name in ("a.jpg", "b.jpg", "b-1.jpg", "c.jpg")] == [2, 1, 1, 1]


def test_one_answer_counts_for_all(visitor: Visitor, pipeline, folder, key, taken, tmp_path):
    """The box in the dialog ends the questions; Escape skips."""
    page = visitor.open(key=key)
    expect(tile(page, f"uploads/{taken[0]}")).to_be_visible()
    write(tmp_path, dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], PICTURE))
    files = [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")]
    drop(page, *files)
    page.get_by_role("dialog").get_by_role("checkbox").check()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    drop(page, *files)
    page.get_by_role("dialog").get_by_role("checkbox").check()
    page.get_by_role("dialog").get_by_role("button", name="Keep both").click()
    for name in ("a-1.jpg", "b-1.jpg", "c-1.jpg"):
        expect(tile(page, f"uploads/{folder}{name}")).to_have_attribute("data-state", "COMPLETED")
    assert [versions(pipeline, name) for name in taken] == [1, 1, 1]


def test_the_queue_survives_an_expired_key(visitor: Visitor, pipeline, folder, make_key, tmp_path):
    """Uploads wait for another key and continue with it."""
    old, new = make_key(folder=folder), make_key(folder=folder)
    page = visitor.open(key=old.text)
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()
    apikeys.revoke(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], key_id=old.key_id)
    pipeline.clear()
    visitor.announce("403 (GET|POST) .*/images")
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
    visitor.audit(page)
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
    visitor.announce(f"response: 503 PUT .*{pipeline.uploads_bucket}")
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
    """If the file is not to blame, the tile offers to process it again."""
    page = visitor.open(key=key)

    def fail(event):
        raise RuntimeError("a bug")

    pipeline.replace("GenerateThumbnailsFunction", fail)
    drop(page, write(tmp_path, {"x.jpg": PICTURE}) / "x.jpg")
    card = tile(page, f"uploads/{folder}x.jpg")
    expect(card).to_have_attribute("data-state", "FAILED")
    pipeline.clear()
    card.get_by_role("button", name="Reprocess").click()
    expect(card).to_have_attribute("data-state", "COMPLETED")
