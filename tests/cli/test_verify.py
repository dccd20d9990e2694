"""`image-pipeline verify`: its files, its comparison of pixels, its question. `tests/acceptance` runs it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from image_pipeline.errors import RejectedError
from image_pipeline.imaging import engine
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe, Watermark
from image_pipeline_cli import prices
from image_pipeline_cli.checks import Check, CheckFailedError
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INCOMPLETE, USAGE
from image_pipeline_cli.stack import Stack, find_local
from image_pipeline_cli.verify import command, pictures, pixels, reports
from image_pipeline_cli.verify.pictures import BLUE, GREEN, PICTURES, RED, WHITE
from image_pipeline_cli.verify.session import Outcome, Session, Times
from image_pipeline_cli.verify.temporary import Inbox
from tests.acceptance.conftest import inventory
from tests.cli.conftest import ENVIRONMENT
from tests.conftest import ROOT
from tests.corpus import turned
from tests.pictures import encoded

RECIPE = Recipe("web", 100, 100, formats=("png",))
TRANSPARENT = next(picture for picture in PICTURES if picture.transparent is not None)
UPRIGHT = pictures.FIRST
RECIPES = [
    Recipe("fit", 100, 100, formats=("jpeg", "webp", "png", "avif")),
    Recipe("larger", 1000, 1000, formats=("jpeg", "webp")),
    Recipe("cover", 64, 90, fit="cover", formats=("jpeg", "png")),
    Recipe("pad", 90, 200, fit="pad", background="#ff8000", formats=("jpeg", "png")),
    Recipe("marked", 120, 90, watermark=Watermark("x" * 40, size=1.0, opacity=1.0)),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_what_the_engine_makes_is_right(picture, recipe):
    """No picture that `verify` uploads looks wrong, whatever the recipe is."""
    for rendition in engine.render(picture.encode(), [recipe], Limits()).renditions:
        assert pixels.complaint(rendition.data, recipe, rendition.format.lower(), picture) == ""


def png(image: Image.Image) -> bytes:
    return encoded(image.resize((100, 67), Image.Resampling.NEAREST), "PNG")


def shown(picture: pictures.Picture) -> Image.Image:
    """The picture as it must look."""
    return Image.open(io.BytesIO(picture.encode()))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(shown(UPRIGHT).transpose(Image.Transpose.ROTATE_180)), "quarter at the top left"),
        (png(shown(UPRIGHT).transpose(Image.Transpose.FLIP_TOP_BOTTOM)), "quarter at the top left"),
        (png(shown(UPRIGHT).convert("L")), "instead of #ff0000"),
        (png(shown(UPRIGHT).point(lambda value: 255 - value)), "instead of #ff0000"),
        (encoded(shown(UPRIGHT), "PNG"), "240 x 160 pixels instead of 100 x 67"),
        (encoded(shown(UPRIGHT).resize((100, 67)), "WEBP"), "WEBP instead of PNG"),
    ],
)
def test_a_wrong_rendition_is_described(data, words):
    """Orientation, colours, size and format are compared."""
    assert words in pixels.complaint(data, RECIPE, "png", UPRIGHT)


def test_lost_transparency_is_described():
    """A rendition whose format has transparency must keep it; a quarter that should be opaque must not have it."""
    opaque, transparent = png(shown(TRANSPARENT).convert("RGB")), png(shown(TRANSPARENT))
    assert (
        pixels.complaint(opaque, RECIPE, "png", TRANSPARENT) == "the transparent quarter at the bottom right is opaque"
    )
    assert "bottom right" in pixels.complaint(transparent, RECIPE, "png", UPRIGHT)


def test_the_background_is_that_of_the_recipe():
    """Transparency becomes the background in JPEG."""
    recipe = Recipe("web", 100, 100, background="#0000ff")
    (rendition,) = engine.render(TRANSPARENT.encode(), [recipe], Limits()).renditions
    assert pixels.complaint(rendition.data, recipe, "jpeg", TRANSPARENT) == ""
    assert "bottom right" in pixels.complaint(
        rendition.data, replace(recipe, background="#00ff00"), "jpeg", TRANSPARENT
    )


def test_turned_pictures_lie_on_their_side():
    """Only a reader of the orientation shows them upright."""
    lying = shown(PICTURES[0]).convert("RGB")
    assert lying.size == (160, 240)
    corners = [(10, 10), (150, 10), (10, 230), (150, 230)]
    for corner, colour in zip(corners, (GREEN, WHITE, RED, BLUE), strict=True):
        assert all(abs(a - b) < 40 for a, b in zip(lying.getpixel(corner), colour, strict=True))


def test_the_heic_file_is_that_of_the_corpus():
    """It was written by the same code."""
    heic = next(picture for picture in PICTURES if picture.image_format == "HEIF")
    assert heic.encode() == turned("HEIF", 6)


@pytest.mark.parametrize("file", [file for file in pictures.bad_files() if file.data], ids=lambda file: file.name)
def test_bad_files_are_bad(file):
    """The engine rejects each for the reason that `verify` expects."""
    with pytest.raises(RejectedError) as caught:
        engine.render(file.data, [RECIPE], Limits())
    assert type(caught.value).__name__ == file.error


def test_every_format_is_uploaded(template):
    """No format is accepted that is not verified."""
    formats = set(template["Parameters"]["ImageFormats"]["Default"].split(","))
    assert {picture.image_format for picture in PICTURES} == formats


def test_the_modelled_cost_is_below_three_cents():
    """The model counts every upload of a run, and the document has the result."""
    assert command.UPLOADS * prices.dollars_per_image() < command.dollars() < 0.03
    assert f"Up to {command.dollars() * 100:.1f} cents" in (ROOT / "docs" / "operations.md").read_text()


def test_nothing_is_done_without_confirmation(running, tmp_path, capsys, monkeypatch):
    """The question says what is created and what it costs."""
    before = inventory(find_local(tmp_path))
    assert main(["verify", *running]) == USAGE
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "no\n")
    assert main(["verify", *running]) == INCOMPLETE
    question = capsys.readouterr().err
    for words in ("uploads/image-pipeline-verify-", "two API keys", "a queue", f"{command.dollars() * 100:.1f} cents"):
        assert words in question
    assert inventory(find_local(tmp_path)) == before


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_created_is_said_before_it_starts(capsys, monkeypatch, as_json):
    """Also without a question, as in a workflow; standard output has only the results."""

    def fail(_: Stack) -> str:
        said.append(capsys.readouterr())
        raise CheckFailedError("Nothing may start.", "")

    said: list[Any] = []
    monkeypatch.setattr(command, "PRECONDITIONS", (Check("stop", fail),))
    stack = Stack({}, lambda service: pytest.fail(f"{service} was called"))
    assert command.verify(stack, Namespace(yes=True, json=as_json, timeout=1.0)) == INCOMPLETE
    ((out, announcement),) = said
    assert out == ""
    for words in ("uploads/image-pipeline-verify-", "two API keys", f"{command.dollars() * 100:.1f} cents"):
        assert words in announcement
    if as_json:
        assert json.loads(capsys.readouterr().out)["checks"][0]["state"] == "FAILED"


def test_times_are_percentiles_of_all_uploads():
    """The nearest rank: p50 of three is the second, p95 the third."""
    times = Times(first=[9.0], together=[1.0], alone=[2.0])
    assert times.to_json() == {"p50": 2.0, "p95": 9.0, "cold": 9.0, "warm": 2.0}
    assert Times().to_json() == {}


FOLDER = "uploads/image-pipeline-verify-1/"


def published(execution_id: str, **changes: Any) -> dict[str, Any]:
    """An outcome event about the upload `a.jpg`."""
    detail = {
        "version": "1",
        "id": f"{execution_id}:COMPLETED",
        "imageKey": f"{FOLDER}a.jpg",
        "status": "COMPLETED",
        "upload": {"versionId": "v1"},
        "execution": {"id": execution_id},
        "statusUrl": "https://api.example",
        **changes,
    }
    return {"source": "image-pipeline", "detail-type": "ImageCompleted", "detail": detail}


def session_with(*messages: Any) -> Session:
    """A run that observed the outcome of one upload, and whose queue has messages."""
    waiting = [[json.dumps(message) for message in messages]]
    inbox = Inbox(lambda: waiting.pop() if waiting else [])
    stack = Stack({}, lambda service: pytest.fail(f"{service} was called"))
    return Session(
        stack, "image-pipeline-verify-1", 0.0, inbox=inbox, outcomes=[Outcome(f"{FOLDER}a.jpg", "COMPLETED", "e1")]
    )


def test_the_same_outcome_may_be_published_again():
    """EventBridge and the stream deliver at least once."""
    assert reports.check_events(session_with(published("e1"), published("e1")))


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([published("e1"), published("e2")], "More than one outcome of one upload"),
        ([published("e2")], "1 of 1 outcomes were not published"),
        ([{**published("e1"), "detail-type": "ImagePartial"}], "1 of 1 outcomes were not published"),
    ],
)
def test_wrong_events_are_described(messages, words):
    """Another execution, another type and a second outcome are found."""
    with pytest.raises(CheckFailedError, match=words):
        reports.check_events(session_with(*messages))


def test_an_event_without_a_required_field_is_described():
    """The contract with consumers names the fields."""
    event = published("e1")
    del event["detail"]["statusUrl"]
    with pytest.raises(CheckFailedError, match="has no statusUrl"):
        reports.check_events(session_with(event))


def notification(image_key: str, status: str) -> dict[str, Any]:
    attributes = {"imageKey": {"Value": image_key}, "status": {"Value": status}}
    return {"Type": "Notification", "MessageAttributes": attributes}


def test_notifications_about_other_uploads_do_not_count():
    """The subscription gets those of the whole stack."""
    own, other = notification(f"{FOLDER}a.jpg", "SUCCESS"), notification("uploads/a.jpg", "SUCCESS")
    assert reports.check_notifications(session_with(other, {"Type": "Notification"}, own))
    with pytest.raises(CheckFailedError, match="1 of 1 notifications did not arrive"):
        reports.check_notifications(session_with(other))
    with pytest.raises(CheckFailedError, match="1 of 1 notifications did not arrive"):
        reports.check_notifications(session_with(notification(f"{FOLDER}a.jpg", "FAILURE")))


def test_the_command_needs_only_its_own_packages():
    """It imports nothing that only functions have."""
    blocked = "import sys; sys.modules |= dict.fromkeys(('aws_lambda_powertools', 'pi_heif', 'cykooz'))"
    program = f"{blocked}; import image_pipeline_cli.verify.command, image_pipeline_cli.doctor.command"
    process = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
