"""The panel of uploads, with files whose progress the test decides."""

from __future__ import annotations

import pytest

from tests.web.conftest import Call

PANEL = """
const { UploadPanel } = await load('upload-panel');
const queue = Object.assign(new EventTarget(), {
  items: [{ id: 1, name: 'beach.jpg', size: 10_000, sent, state: 'sending', meter: { speed: () => speed } }],
  totals: { count: 1, sent: 0, finished: 0, failed: 0, unsent: 1, bytes: 10_000, sentBytes: sent, speed },
});
const listing = Object.assign(new EventTarget(), { find() {} });
const panel = new UploadPanel({ queue, listing, actions: {}, toasts: { announce() {} } });
document.body.replaceChildren(panel);
queue.dispatchEvent(new CustomEvent('change', { detail: null }));
while (!panel.querySelector('li')) await new Promise((done) => setTimeout(done, 10));
return ['.upload-note', '.uploads-summary'].map((selector) => panel.querySelector(selector).textContent);
"""


@pytest.mark.parametrize(
    ("sent", "speed", "texts"),
    [
        (2_000, 1_000, ["20% of 10 kB · 1 kB/s · 8 secs left", "1 kB/s · 8 secs left"]),
        (9_999, 1_000, ["100% of 10 kB · 1 kB/s · 1 sec left", "1 kB/s · 1 sec left"]),
        (10_000, 1_000, ["100% of 10 kB · 1 kB/s", "1 kB/s"]),
        (2_000, None, ["20% of 10 kB", ""]),
    ],
)
def test_each_file_shows_its_time_left(call: Call, sent, speed, texts):
    """Beside its speed, as soon as that is known; the summary shows the same of all files."""
    assert call(PANEL, sent=sent, speed=speed) == texts
