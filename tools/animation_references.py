"""Decode the animations of the corpus with Chromium and store the results: `python -m tools.animation_references`.

The results are stored in `tests/corpus/animations.json`: frames, times, repetitions and all pixels of each animation.
`tests/unit/imaging/animation/test_references.py` compares them with what this project reads. Required on the path:
chromium.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.corpus import HERE, animations
from tools import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

RESULTS = HERE / "animations.json"

# ImageDecoder is available only to pages from a trustworthy address, such as loopback.
_DECODE = """async ({data, type}) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const answer = {repetitions: 0, frames: []};
  try {
    const decoder = new ImageDecoder({data: bytes, type, preferAnimation: true});
    await decoder.tracks.ready;
    await decoder.completed.catch(() => {});
    const {frameCount, repetitionCount} = decoder.tracks.selectedTrack;
    answer.repetitions = repetitionCount === Infinity ? -1 : repetitionCount;
    for (let frameIndex = 0; frameIndex < frameCount; frameIndex++) {
      const {image} = await decoder.decode({frameIndex});
      const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      let text = '';
      for (let at = 0; at < pixels.length; at += 8192) text += String.fromCharCode(...pixels.subarray(at, at + 8192));
      const milliseconds = Math.round((image.duration ?? 0) / 1000);
      answer.frames.push({width: canvas.width, height: canvas.height, milliseconds, rgba: btoa(text)});
    }
  } catch (error) {
    answer.error = String(error);
  }
  return answer;
}"""


@dataclass(frozen=True)
class DecodedAnimation:
    """What Chromium decodes."""

    repetitions: int
    """-1 means forever."""
    milliseconds: list[int]
    frames: list[bytes]
    """RGBA of the frames before the first damaged one."""
    error: str
    """The message, if a frame or the whole file is damaged."""


class _PageHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Decoder</title>")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def page(browser_path: str) -> Iterator[Page]:
    """Open an empty page that may decode images."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _PageHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with chromium.started(browser_path) as browser:
            opened = browser.new_page()
            opened.goto(f"http://127.0.0.1:{server.server_port}/")
            yield opened
    finally:
        server.shutdown()


def decode(opened: Page, data: bytes, image_format: str) -> DecodedAnimation:
    """Decode an animation.

    Args:
        opened: from `page`.
        data: the file.
        image_format: gif, png or webp.
    """
    answer = opened.evaluate(_DECODE, {"data": base64.b64encode(data).decode(), "type": f"image/{image_format}"})
    frames: list[dict[str, Any]] = answer["frames"]
    return DecodedAnimation(
        answer["repetitions"],
        [frame["milliseconds"] for frame in frames],
        [base64.b64decode(frame["rgba"]) for frame in frames],
        answer.get("error", ""),
    )


def packed(animation: DecodedAnimation) -> dict[str, Any]:
    """Return JSON; the pixels of all frames are compressed."""
    pixels = base64.b64encode(zlib.compress(b"".join(animation.frames), 9)).decode()
    return {**vars(animation), "frames": pixels}


def unpacked(stored: Mapping[str, Any]) -> DecodedAnimation:
    """Return what `packed` was given."""
    pixels = zlib.decompress(base64.b64decode(stored["frames"]))
    count = len(stored["milliseconds"])
    size = len(pixels) // count if count else 1
    return DecodedAnimation(**{**stored, "frames": [pixels[at : at + size] for at in range(0, len(pixels), size)]})


def main() -> int:
    """Ask and store."""
    path = chromium.find()
    if path is None:
        print("chromium is not on the path")
        return 1
    with page(path) as opened:
        files = animations.ALL.items()
        answers = {name: packed(decode(opened, make(), name.split()[0].lower())) for name, make in files}
    RESULTS.write_text(json.dumps(answers, indent=1) + "\n")
    print(f"{len(answers)} animations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
