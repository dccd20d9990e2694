"""local/show.py: the text output of `make run`."""

from __future__ import annotations

import pytest

from local.show import TextDisplay
from local.watch import EnteredState, FinishedUpload

REASON = "The content is text.\x1b[2J"


def outcome(number: int, status: str = "COMPLETED") -> FinishedUpload:
    record = {"status": status, "renditions": []}
    if status == "FAILED":
        record["error"] = {
            "code": "UnsupportedFormatError",
            "message": REASON,
            "hint": "Convert it.",
            "step": "ValidateImage",
        }
    return FinishedUpload(f"uploads/{number}.jpg", "v", 0.5, "http://127.0.0.1/status", 200, record)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line]


@pytest.mark.parametrize("expected", [True, False])
def test_many_images_get_one_line_each(capsys, expected):
    """A line has the reason of a failure, and the end has a summary."""
    words = TextDisplay()
    outcomes = [outcome(number, "FAILED" if number == 7 else "COMPLETED") for number in range(100)]
    if expected:
        words.expect(100)
    for upload in outcomes:
        words.entered(EnteredState(upload.key, "ClaimUpload", 0.1))
    printed(capsys)
    for upload in outcomes:
        words.entered(EnteredState(upload.key, "ValidateImage", 0.2))
        words.ended(upload)
    words.outcomes(outcomes)
    lines = printed(capsys)
    assert len(lines) == 101
    assert lines[7].endswith("uploads/7.jpg → FAILED  The content is text.?[2J")
    assert lines[-1] == "99 COMPLETED, 1 FAILED."


def test_a_few_images_are_shown_in_full(capsys):
    """Each state and all details of the outcome are printed."""
    words = TextDisplay()
    words.expect(2)
    outcomes = [outcome(1), outcome(2, "FAILED")]
    for upload in outcomes:
        words.entered(EnteredState(upload.key, "ClaimUpload", 0.1))
        words.ended(upload)
    words.outcomes(outcomes)
    text = "\n".join(printed(capsys))
    for part in ("1.jpg → ClaimUpload", "1.jpg → COMPLETED", "  status ", "  what to do   Convert it."):
        assert part in text


def test_a_single_image_after_many_is_shown_in_full(capsys):
    """Paragraphs return after all images of a burst have ended."""
    words = TextDisplay()
    crowd = [outcome(number) for number in range(20)]
    for upload in crowd:
        words.entered(EnteredState(upload.key, "ClaimUpload", 0.1))
    printed(capsys)
    for upload in crowd:
        words.ended(upload)
        words.outcomes([upload])
    assert len(printed(capsys)) == 20
    words.entered(EnteredState("uploads/later.jpg", "ClaimUpload", 0.1))
    assert len(printed(capsys)) == 1
