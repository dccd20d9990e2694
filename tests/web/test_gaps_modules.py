"""Modules of the page that need no API, imported in the browser."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route

from image_pipeline.imaging import summary
from tests.conftest import ROOT, heavy
from tests.pictures import gradient
from tests.web.conftest import Visitor

ORIGIN = "http://127.0.0.1:9"
BLANK = '<!doctype html><html lang="en"><title>Modules</title>'

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def call(browser: Browser) -> Iterator[Call]:
    """A function that runs the body of an async function with its arguments; `load(name)` imports a module."""

    def answer(route: Route) -> None:
        file = ROOT / "web" / route.request.url.removeprefix(f"{ORIGIN}/").partition("?")[0]
        if file.suffix == ".js":
            route.fulfill(content_type="text/javascript", body=file.read_bytes())
        else:
            route.fulfill(content_type="text/html", body=BLANK)

    context = browser.new_context(locale="en-GB")
    context.route("**", answer)
    visitor = Visitor(context, ORIGIN)
    page = visitor.open()

    def call(body: str, **arguments: Any) -> Any:
        names = ", ".join(arguments)
        script = f"async ({{ {names} }}) => {{ const load = (name) => import(`/${{name}}.js`); {body} }}"
        return page.evaluate(script, arguments)

    yield call
    visitor.leave()


# Transparent pictures -------------------------------------------------------------------------------------------------

SRCSET = """
const { mergedSrcset, hasTransparency } = await load('picture');
return [hasTransparency({ thumbhash }), mergedSrcset({ thumbhash, srcsets })];
"""


def thumbhash(mode: str) -> str:
    """The placeholder of a picture, as the pipeline stores it; with an alpha channel, half of it is transparent."""
    image = gradient(60, 40).convert(mode)
    if mode == "RGBA":
        image.paste((0, 0, 0, 0), (0, 0, 30, 40))
    return base64.b64encode(summary.thumbhash(image)).decode()


@pytest.mark.parametrize(
    ("mode", "srcsets", "expected"),
    [
        ("RGBA", {"image/webp": "w 1200w", "image/jpeg": "s 100w, j 1200w"}, "w 1200w"),
        ("RGBA", {"image/png": "p 640w", "image/jpeg": "j 1200w"}, "p 640w"),
        ("RGBA", {"image/jpeg": "s 100w, j 1200w"}, "s 100w, j 1200w"),
        ("RGB", {"image/webp": "w 1200w", "image/jpeg": "s 100w, j 1200w"}, "w 1200w, s 100w"),
    ],
)
def test_a_transparent_picture_is_shown_as_such(call: Call, mode, srcsets, expected):
    """A JPEG has white in place of transparency, so it is the last choice; others may use it for every width."""
    assert call(SRCSET, thumbhash=thumbhash(mode), srcsets=srcsets) == [mode == "RGBA", expected]


@pytest.mark.parametrize("text", [None, "", "!", "AAA="])
def test_a_picture_without_a_thumbhash_is_not_transparent(call: Call, text):
    """An older record has none, and a foreign one may have nonsense."""
    assert call(SRCSET, thumbhash=text, srcsets={"image/jpeg": "j 1w"}) == [False, "j 1w"]


# Failed images on a phone ---------------------------------------------------------------------------------------------


def test_the_reason_of_a_failure_has_room_on_a_phone(call: Call):
    """Its card has a row for itself, high enough for a message, a hint and a button; all pictures keep their order."""
    failed = {"state": "FAILED", "width": None, "height": None}
    square = {"state": "COMPLETED", "width": 100, "height": 100}
    pictures = [
        {**each, "key": str(n)} for n, each in enumerate([square, failed, square, square, square, failed, square])
    ]
    rows = call(
        "return (await load('layout')).justify(pictures, width, { height: 124, gap: 8 });", pictures=pictures, width=366
    )
    assert [box["picture"]["key"] for row in rows for box in row["boxes"]] == list("0123456")
    cards = [row for row in rows if any(box["picture"]["state"] == "FAILED" for box in row["boxes"])]
    assert [[(box["left"], box["width"]) for box in row["boxes"]] for row in cards] == [[(0, 366)]] * 2
    assert all(row["height"] >= 180 for row in cards)
    others = [row for row in rows if row not in cards]
    assert all(row["height"] <= 124 * 1.4 for row in others)
    assert all(after["top"] == before["top"] + before["height"] + 8 for before, after in itertools.pairwise(rows))


# Messages -------------------------------------------------------------------------------------------------------------

TOASTS = """
const { ToastList } = await load('toast');
const toasts = new ToastList();
document.body.replaceChildren(toasts);
for (const { actions = [], ...message } of messages) {
  toasts.show({ ...message, actions: actions.map((label) => ({ label, run() {} })) });
}
const texts = () => [...toasts.querySelectorAll('.toast-text')].map((text) => text.textContent);
"""


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"text": "The link was copied."}] * 3, ["The link was copied."]),
        ([{"text": "One"}, {"text": "Two"}, {"text": "One"}], ["One", "Two"]),
        ([{"text": "Deleted 2 images.", "actions": ["Undo"]}] * 2, ["Deleted 2 images."] * 2),
        ([{"text": "Deleting 0 of 2…", "progress": 0}] * 2, ["Deleting 0 of 2…"] * 2),
        ([{"text": "Wait 9 s", "about": "a"}, {"text": "Wait 8 s", "about": "a", "actions": ["Try"]}], ["Wait 8 s"]),
    ],
)
def test_equal_messages_do_not_pile_up(call: Call, messages, expected):
    """But those with actions or progress of their own stay apart."""
    assert call(TOASTS + "return texts();", messages=messages) == expected


def test_a_message_that_was_closed_can_be_shown_again(call: Call):
    """It is a new one."""
    again = "toasts.querySelector('[aria-label=\"Close message\"]').click(); toasts.show(messages[0]); return texts();"
    assert call(TOASTS + again, messages=[{"text": "The link was copied."}]) == ["The link was copied."]


# Uploads --------------------------------------------------------------------------------------------------------------

# An API that takes as long as it likes, and a pipeline whose outcomes the test decides.
QUEUE = """
const { UploadQueue } = await load('upload-queue');
const { makePicture } = await load('picture');
const access = { maxUploadBytes: 1000 };
const can = (scope) => scope !== 'read' || canRead;
const session = Object.assign(new EventTarget(), { state: 'signed-in', can, access });
const api = Object.assign(new EventTarget(), {
  reachable: true,
  statuses: async () => ({ statuses: await new Promise((done) => setTimeout(done, 0, [])) }),
  presign: () => new Promise(() => {}),
});
const statuses = Object.assign(new EventTarget(), { watch() {} });
const queue = new UploadQueue({ api, session, statuses, ask: async () => ({ choice: 'skip', forAll: true }) });
const file = (name, size) => new File([new Uint8Array(size)], name);
const until = async (condition) => { while (!condition()) await new Promise((done) => setTimeout(done)); };
"""


def test_a_file_that_cannot_be_sent_is_exchanged(call: Call):
    """The other file goes to the same folder under its own name; the row is the same."""
    rows = call(
        QUEUE
        + """
        queue.add([
          { file: file('empty.png', 0), name: 'summer/empty.png' },
          { file: file('large.png', 1001), name: 'large.png' },
        ]);
        const before = queue.items.map(({ remedy, state }) => `${state} ${remedy}`);
        queue.choose(queue.items[0].id, file('beach.jpg', 10));
        await until(() => queue.items[0].state !== 'failed');
        const after = queue.items.map(({ id, name, size, error }) => [id, name, size, error === null]);
        return [before, after, queue.hasUnsent];
        """,
        canRead=True,
    )
    assert rows == [
        ["failed choose"] * 2,
        [[1, "summer/beach.jpg", 10, True], [2, "large.png", 1001, False]],
        True,
    ]


def test_a_repaired_upload_is_no_longer_failed(call: Call):
    """It follows what the gallery learns, also when it fails again."""
    states = call(
        QUEUE
        + """
        queue.add([{ file: file('a.jpg', 10), name: 'a.jpg' }, { file: file('empty.jpg', 0), name: 'empty.jpg' }]);
        const [item, other] = queue.items;
        const key = 'uploads/a.jpg';
        const outcome = (fields) => {
          statuses.dispatchEvent(new CustomEvent('outcome', { detail: makePicture({ key, ...fields }) }));
        };
        const error = { code: 'InternalError', message: 'No luck.', hint: 'Reprocess it.' };
        const states = [];
        const note = () => states.push([item.state, item.error?.message ?? null, queue.totals.failed]);
        await until(() => item.state === 'asking');
        Object.assign(item, { state: 'sent', versionId: '1' });
        outcome({ state: 'FAILED', error });
        note();
        for (const state of ['FAILED', 'WAITING', 'PROCESSING']) queue.follow(makePicture({ key, state, error }));
        note();
        outcome({ state: 'FAILED', error: { ...error, message: 'Again no luck.' } });
        note();
        queue.follow(makePicture({ key, state: 'COMPLETED' }));
        note();
        queue.follow(makePicture({ key: 'uploads/empty.jpg', state: 'COMPLETED' }));
        states.push(other.state);
        return states;
        """,
        canRead=True,
    )
    assert states == [
        ["failed", "No luck.", 2],
        ["sent", None, 1],
        ["failed", "Again no luck.", 2],
        ["done", None, 1],
        "failed",
    ]


def test_files_that_are_not_sent_are_counted(call: Call):
    """Whatever happens to them: sent, refused, cancelled, tried again, forgotten."""
    counts = call(
        QUEUE
        + """
        const counts = [];
        const note = () => counts.push([queue.hasUnsent, queue.totals.unsent]);
        note();
        queue.add(['a', 'b', 'c'].map((name) => ({ file: file(name, 1), name })));
        note();
        queue.cancel(1);
        note();
        queue.cancelAll();
        note();
        queue.retry(2);
        note();
        session.state = 'signed-out';
        session.dispatchEvent(new Event('change'));
        note();
        return [counts, queue.items.length];
        """,
        canRead=True,
    )
    assert counts == [[[False, 0], [True, 3], [True, 2], [False, 0], [True, 1], [False, 0]], 0]


def test_a_name_is_free_again_after_its_upload_was_forgotten(call: Call):
    """Two uploads of one name at the same time are a conflict, one after the other are none."""
    states = call(
        QUEUE
        + """
        let signed = 0;
        api.presign = () => ((signed += 1), new Promise(() => {}));
        const add = () => queue.add([{ file: file('a', 1), name: 'a' }]);
        add();
        await until(() => signed === 1);
        add();
        await until(() => queue.items[1].state === 'cancelled');
        queue.cancelAll();
        queue.clear();
        add();
        await until(() => signed === 2 || queue.items[0].state === 'cancelled');
        return queue.items.map(({ state }) => state);
        """,
        canRead=True,
    )
    assert states == ["asking"]


# Many files -----------------------------------------------------------------------------------------------------------

MANY = (
    QUEUE
    + """
const { UploadPanel } = await load('upload-panel');
const { ToastList } = await load('toast');
const { UploadPreviews } = await load('upload-previews');
const { DropTarget } = await load('drop');
const listing = Object.assign(new EventTarget(), { find: () => undefined, upsert() {}, drop() {} });
const toasts = new ToastList();
const panel = new UploadPanel({ queue, listing, toasts, actions: {}, open() {}, replace() {}, choose() {} });
new UploadPreviews({ queue, listing });
const drop = new DropTarget({ queue, session, folder: () => '', toasts });
document.body.replaceChildren(toasts, panel, drop);

let longest = 0;
let last = performance.now();
let isOver = false;
const beat = () => {
  longest = Math.max(longest, performance.now() - last);
  last = performance.now();
  if (!isOver) setTimeout(beat);
};
const shared = file('x', 1);
const files = Array.from({ length: count }, (_, number) => new File([shared], `picture ${count - number}.jpg`));
const input = document.querySelector('[aria-label="Files to upload"]');
Object.defineProperty(input, 'files', { get: () => files });
last = performance.now();
beat();
input.dispatchEvent(new Event('change'));
await until(() => queue.items.at(-1)?.state === 'queued' && panel.querySelector('li'));
const rows = panel.querySelectorAll('li').length;
const first = queue.items[0].name;
[...panel.querySelectorAll('button')].find(({ textContent }) => textContent === 'Cancel all').click();
await until(() => !queue.hasUnsent && panel.querySelector('h2').textContent === 'Uploads cancelled');
isOver = true;
return { longest, rows, first, items: queue.items.length };
"""
)


@heavy
@pytest.mark.timeout(300)  # the API is asked a thousand times
@pytest.mark.parametrize("can_read", [True, False])
def test_many_files_do_not_freeze_the_page(call: Call, can_read):
    """Adding 100,000 files, checking their names and cancelling them never blocks the page for long."""
    result = call(MANY, count=100_000, canRead=can_read)
    assert (result["items"], result["rows"], result["first"]) == (100_000, 60, "picture 1.jpg")
    assert result["longest"] < 5_000, "milliseconds, on a machine that does ten other things"
