"""`image-pipeline verify`: its files, its comparison of pixels, its question. `tests/acceptance` runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from image_pipeline.errors import RejectedError
from image_pipeline.imaging import engine
from image_pipeline.imaging.focus import Point
from image_pipeline.imaging.formats.limits import Limits
from image_pipeline.imaging.recipes import Recipe, Watermark
from image_pipeline_cli import follow, prices
from image_pipeline_cli.checks import Check, CheckFailedError
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INCOMPLETE, USAGE
from image_pipeline_cli.stack import Stack
from image_pipeline_cli.verify import api, command, estimate, facts, images, pixels, reports, samples
from image_pipeline_cli.verify.samples import SAMPLES
from image_pipeline_cli.verify.session import ObservedOutcome, Session, Times
from image_pipeline_cli.verify.temporary import Inbox
from tests.cli.conftest import ENVIRONMENT
from tests.conftest import ROOT, crossed
from tests.corpus import turned
from tests.pictures import encoded

RECIPE = Recipe("web", 100, 100, formats=("png",))
TRANSPARENT = next(sample for sample in SAMPLES if sample.transparent is not None)
UPRIGHT = samples.FIRST
RECIPES = [
    Recipe("fit", 100, 100, formats=("jpeg", "webp", "png", "avif")),
    Recipe("larger", 1000, 1000, formats=("jpeg", "webp")),
    Recipe("cover", 64, 90, fit="cover", formats=("jpeg", "png")),
    Recipe("pad", 90, 200, fit="pad", background="#ff8000", formats=("jpeg", "png")),
    Recipe("marked", 120, 90, watermark=Watermark("x" * 40, size=1.0, opacity=1.0)),
]


@pytest.mark.parametrize(("sample", "recipe"), crossed(list(SAMPLES), RECIPES))
def test_verify_accepts_the_renditions_of_the_engine(sample, recipe):
    """The comparison of pixels finds no problem for any sample and recipe."""
    for rendition in engine.render(sample.encode(), [recipe], Limits(), sample.point).renditions:
        assert pixels.complaint(rendition.data, recipe, rendition.format.lower(), sample) == ""


def png(image: Image.Image) -> bytes:
    return encoded(image.resize((100, 67), Image.Resampling.NEAREST), "PNG")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(UPRIGHT.draw().transpose(Image.Transpose.ROTATE_180)), "quarter at the top left"),
        (png(UPRIGHT.draw().transpose(Image.Transpose.FLIP_TOP_BOTTOM)), "quarter at the top left"),
        (png(UPRIGHT.draw().convert("L")), "instead of #ff0000"),
        (png(UPRIGHT.draw().point(lambda value: 255 - value)), "instead of #ff0000"),
        (encoded(UPRIGHT.draw(), "PNG"), "240 x 160 pixels instead of 100 x 67"),
        (encoded(UPRIGHT.draw().resize((100, 67)), "WEBP"), "WEBP instead of PNG"),
    ],
)
def test_a_wrong_rendition_is_described(data, words):
    """Orientation, colours, size and format are compared."""
    assert words in pixels.complaint(data, RECIPE, "png", UPRIGHT)


def test_lost_transparency_is_described():
    """A rendition whose format has transparency must keep it; a quarter that should be opaque must not have it."""
    opaque, transparent = png(TRANSPARENT.draw().convert("RGB")), png(TRANSPARENT.draw())
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


@pytest.mark.parametrize("sample", [UPRIGHT, *SAMPLES], ids=lambda sample: sample.name)
def test_a_rendition_of_another_image_is_described(sample):
    """The comparison fails for a rendition of an image with other quarters."""
    (rendition,) = engine.render(sample.encode(), [RECIPE], Limits(), sample.point).renditions
    other = replace(sample, quarters=sample.quarters[::-1], transparent=None)
    assert "quarter at the" in pixels.complaint(rendition.data, RECIPE, "png", other)


@pytest.mark.parametrize("file", samples.bad_files(), ids=lambda file: file.name)
def test_a_bad_file_that_is_accepted_is_described(file):
    """The check fails if the stack accepts a bad file."""
    session: Any = SimpleNamespace(outcome=lambda _: {"status": "COMPLETED"})
    with pytest.raises(CheckFailedError, match=f"COMPLETED with no error instead of FAILED with {file.error}"):
        images.check_bad_file(session, file)


LYING = [sample for sample in (*SAMPLES, api._POSTED) if sample.orientation > 1]


def test_every_orientation_is_uploaded():
    """The samples have all EXIF orientations."""
    assert {sample.orientation for sample in LYING} == set(range(2, 9))


@pytest.mark.parametrize("sample", LYING, ids=lambda sample: sample.name)
def test_a_rendition_without_its_orientation_is_described(sample):
    """A rendition that ignores the EXIF orientation is wrong."""
    stored = sample.draw().transpose(samples._TRANSPOSITIONS[sample.orientation])
    assert "quarter at the" in pixels.complaint(png(stored), RECIPE, "png", sample)


WIDE = next(sample for sample in SAMPLES if sample.point)


@pytest.mark.parametrize("focus", ["centre", "smart"])
@pytest.mark.parametrize("box", [(100, 100), (400, 300), (300, 300)])
def test_a_crop_without_the_point_is_described(box, focus):
    """The point wins over the focus of the recipe."""
    recipe = Recipe("crop", *box, fit="cover", focus=focus, formats=("png",))
    (right,) = engine.render(WIDE.encode(), [recipe], Limits(), WIDE.point).renditions
    (wrong,) = engine.render(WIDE.encode(), [recipe], Limits(), Point(0.1, 0.5)).renditions
    assert pixels.complaint(right.data, recipe, "png", WIDE) == ""
    assert "quarter at the" in pixels.complaint(wrong.data, recipe, "png", WIDE)


def facts_of(sample: samples.SampleImage) -> dict[str, Any]:
    """Return the facts that the record of a sample has."""
    rendered = engine.render(sample.encode(), [RECIPE], Limits(), sample.point)
    size = {"sizeBytes": len(sample.encode())}
    return {
        "image": {**rendered.header.to_dict(), **size, "sha256": rendered.sha256},
        "upload": size,
        "focus": sample.point and sample.point.to_json(),
        "summary": rendered.summary.to_dict(),
        "labels": [{"name": "Square", "confidence": 99.0}, {"name": "Red", "confidence": 80.5}],
        "labelModelVersion": "3.0",
        "warnings": [],
    }


PARAMETERS = {"Labels": "REKOGNITION", "LabelsMax": "2", "LabelsMinConfidence": "75"}


@pytest.mark.parametrize("sample", [UPRIGHT, *SAMPLES], ids=lambda sample: sample.name)
def test_the_facts_of_every_sample_are_right(sample):
    """The facts that the engine measures match the sample."""
    assert facts.complaint(facts_of(sample), sample, PARAMETERS) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": {"width": 160}}, "image.width is 160 instead of 240"),
        ({"image": {"height": 240}}, "image.height is 240 instead of 160"),
        ({"image": {"format": "PNG"}}, "image.format is 'PNG' instead of 'JPEG'"),
        ({"image": {"sizeBytes": 1}}, "image.sizeBytes is 1"),
        ({"image": {"sha256": "00"}}, "image.sha256 is '00'"),
        ({"image": {"orientation": 6}}, "image.orientation is 6"),
        ({"upload": {"sizeBytes": 1}}, "upload.sizeBytes is 1"),
        ({"focus": {"x": 0.5, "y": 0.5}}, "focus is {'x': 0.5, 'y': 0.5} instead of None"),
        ({"warnings": ["w"]}, "warnings is ['w']"),
        ({"summary": {"phash": f"{~int('b34cb2b3494cb2b3', 16) & (1 << 64) - 1:016x}"}}, "that of another image"),
        ({"summary": {"colours": ["#ff0000", "#00ff00", "#0000ff"]}}, "without #ffffff"),
        ({"summary": {"thumbhash": ""}}, "thumbhash is empty"),
        ({"labelModelVersion": None}, "nothing has detected labels"),
        ({"labels": [{"confidence": 80}] * 3}, "there are 3 labels, but LabelsMax is 2"),
        ({"labels": [{"confidence": 70}]}, "a label has 70 %, but LabelsMinConfidence is 75"),
    ],
)
def test_wrong_facts_are_described(changes, words):
    """Each field of the record is compared."""
    body = facts_of(UPRIGHT)
    for name, value in changes.items():
        body[name] = body[name] | value if isinstance(value, dict) and body[name] else value
    assert words in facts.complaint(body, UPRIGHT, PARAMETERS)


def test_labels_are_wrong_if_the_stack_detects_none():
    """A record must have no labels if `Labels` is OFF."""
    body, off = facts_of(UPRIGHT), {"Labels": "OFF"}
    assert "Labels is OFF" in facts.complaint(body, UPRIGHT, off)
    assert facts.complaint({**body, "labels": [], "labelModelVersion": None}, UPRIGHT, off) == ""


def test_the_heic_file_is_that_of_the_corpus():
    """The HEIC sample equals the file that the corpus generates."""
    heic = next(sample for sample in SAMPLES if sample.image_format == "HEIF")
    assert heic.encode() == turned("HEIF", 6)


@pytest.mark.parametrize("file", [file for file in samples.bad_files() if file.data], ids=lambda file: file.name)
def test_the_engine_rejects_every_bad_file(file):
    """The error is the one that `verify` expects."""
    with pytest.raises(RejectedError) as caught:
        engine.render(file.data, [RECIPE], Limits())
    assert type(caught.value).__name__ == file.error


def test_every_format_is_uploaded(template):
    """Every accepted format has a sample."""
    formats = set(template["Parameters"]["ImageFormats"]["Default"].split(","))
    assert {sample.image_format for sample in SAMPLES} == formats


def test_the_modelled_cost_is_below_three_cents():
    """The model counts every upload of a run, and the document has the result."""
    assert estimate.UPLOADS * prices.dollars_per_image() < estimate.dollars() < 0.03
    assert f"Up to {estimate.dollars() * 100:.1f} cents" in (ROOT / "docs" / "operations.md").read_text()


def test_the_modelled_time_is_below_three_minutes():
    """The document has the result."""
    assert estimate.seconds() < 180
    assert f"about {estimate.seconds():.0f} seconds on AWS" in (ROOT / "docs" / "operations.md").read_text()


def test_verify_needs_confirmation(capsys, monkeypatch):
    """The question lists the resources and the cost; before the answer, no request is sent to AWS."""
    stack = Stack({}, lambda service: pytest.fail(f"{service} was called"))
    monkeypatch.setattr("image_pipeline_cli.stack.find_on_aws", lambda *_: stack)
    assert main(["verify", "--stack", "pictures"]) == USAGE
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "no\n")
    assert main(["verify", "--stack", "pictures"]) == INCOMPLETE
    question = capsys.readouterr().err
    for words in ("uploads/image-pipeline-verify-", "two API keys", "a queue", f"{estimate.dollars() * 100:.1f} cents"):
        assert words in question


@pytest.mark.parametrize("as_json", [True, False])
def test_the_announcement_precedes_the_first_check(capsys, monkeypatch, as_json):
    """It goes to standard error even without a question; standard output contains only the results."""

    def fail(_: Stack) -> str:
        said.append(capsys.readouterr())
        raise CheckFailedError("Nothing may start.", "")

    said: list[Any] = []
    monkeypatch.setattr(command, "PRECONDITIONS", (Check("stop", fail),))
    stack = Stack({}, lambda service: pytest.fail(f"{service} was called"))
    assert command.verify(stack, Namespace(yes=True, json=as_json, timeout=1.0)) == INCOMPLETE
    ((out, announcement),) = said
    assert out == ""
    sums = f"{estimate.dollars() * 100:.1f} cents", f"{estimate.seconds():.0f} seconds"
    for words in ("uploads/image-pipeline-verify-", "two API keys", *sums):
        assert words in announcement
    if as_json:
        assert json.loads(capsys.readouterr().out)["checks"][0]["state"] == "FAILED"


def test_times_are_percentiles_of_all_uploads():
    """Percentiles use the nearest rank: of three values, p50 is the second and p95 the third."""
    times = Times(first=[9.0], together=[1.0], alone=[2.0])
    assert times.to_json() == {"p50": 2.0, "p95": 9.0, "cold": 9.0, "warm": 2.0}
    assert Times().to_json() == {}


FOLDER = "uploads/image-pipeline-verify-1/"
API = "https://api.example"
RELEASE = {"Version": "1.2.0", "Commit": "abc1234"}
RECORD = {
    "ImageKey": f"{FOLDER}a.jpg",
    "imageKey": f"{FOLDER}a.jpg",
    "status": "COMPLETED",
    "upload": {"key": f"{FOLDER}a.jpg", "versionId": "v1", "sizeBytes": 7},
    "execution": {"id": "e1", "finishedAt": "2026-11-21T12:00:02.500Z"},
    "image": {"format": "JPEG", "width": 240, "height": 160, "sha256": "00"},
    "renditions": [{"name": "web", "width": 100, "url": "https://s3.example"}],
    "labels": [{"name": "Coffee", "confidence": 98.7, "parents": []}],
}


def published(execution_id: str, **changes: Any) -> dict[str, Any]:
    """An outcome event about the upload `a.jpg`."""
    detail = {
        "version": "1",
        "id": f"{execution_id}:COMPLETED",
        "imageKey": f"{FOLDER}a.jpg",
        "status": "COMPLETED",
        "upload": RECORD["upload"],
        "execution": {"id": execution_id, "finishedAt": "2026-11-21T12:00:02.500Z"},
        "statusUrl": f"{API}/images/{FOLDER}a.jpg/status",
        "image": {"format": "JPEG", "width": 240, "height": 160},
        "renditions": [{"name": "web", "width": 100}],
        "labels": [{"name": "Coffee", "confidence": 98.7}],
        "pipeline": {"version": "1.2.0", "commit": "abc1234"},
        **changes,
    }
    return {"source": "image-pipeline", "detail-type": "ImageCompleted", "detail": detail}


def session_with(monkeypatch: pytest.MonkeyPatch, *messages: Any, execution_id: str = "e1") -> Session:
    """A run that observed the outcome of one upload, and whose queue has messages.

    Args:
        monkeypatch: Replaces the table.
        messages: What the queue has.
        execution_id: The execution that the record has now.
    """
    waiting = [[json.dumps(message) for message in messages]]
    inbox = Inbox(lambda: waiting.pop() if waiting else [])
    stack = Stack({"ImageStatusApiEndpoint": API, **RELEASE}, lambda service: pytest.fail(f"{service} was called"))
    record = {**RECORD, "execution": {"id": execution_id}}
    monkeypatch.setattr(follow, "read", lambda _, image_keys: dict.fromkeys(image_keys, record))
    return Session(stack, "image-pipeline-verify-1", 0.0, inbox=inbox, outcomes=[ObservedOutcome(RECORD)])


def test_the_same_outcome_may_be_published_again(monkeypatch):
    """EventBridge and the stream deliver at least once."""
    assert reports.check_events(session_with(monkeypatch, published("e1"), published("e1")))


def without_url() -> dict[str, Any]:
    event = published("e1")
    del event["detail"]["statusUrl"]
    return event


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([published("e1"), published("e2")], "More than one outcome of one upload"),
        ([published("e2")], "1 of 1 outcomes were not published"),
        ([{**published("e1"), "detail-type": "ImagePartial"}], "1 of 1 outcomes were not published"),
        ([without_url()], "differs from its record: statusUrl"),
        ([published("e1", labels=[])], "differs from its record: labels"),
        ([published("e1", location={"latitude": 52.5})], "differs from its record: location"),
        ([published("e1", pipeline={"version": "1.1.0", "commit": "abc1234"})], "differs from its record: pipeline"),
        ([published("e1", renditions=[])], "differs from its record: renditions"),
    ],
)
def test_wrong_events_are_described(monkeypatch, messages, words):
    """Another execution, another type, a second outcome and each field that differs are found."""
    with pytest.raises(CheckFailedError, match=words):
        reports.check_events(session_with(monkeypatch, *messages))


def test_a_second_execution_is_found_before_its_event(monkeypatch):
    """The check compares the record, even if the second outcome is not published yet."""
    with pytest.raises(CheckFailedError, match=r"Processed again without a request: .*a\.jpg"):
        reports.check_events(session_with(monkeypatch, published("e1"), execution_id="e2"))


def notification(image_key: str, status: str) -> dict[str, Any]:
    attributes = {"imageKey": {"Value": image_key}, "status": {"Value": status}}
    return {"Type": "Notification", "MessageAttributes": attributes}


def test_notifications_about_other_uploads_do_not_count(monkeypatch):
    """The subscription receives the notifications of the whole stack."""
    own, other = notification(f"{FOLDER}a.jpg", "SUCCESS"), notification("uploads/a.jpg", "SUCCESS")
    assert reports.check_notifications(session_with(monkeypatch, other, {"Type": "Notification"}, own))
    with pytest.raises(CheckFailedError, match="1 of 1 notifications did not arrive"):
        reports.check_notifications(session_with(monkeypatch, other))
    with pytest.raises(CheckFailedError, match="1 of 1 notifications did not arrive"):
        reports.check_notifications(session_with(monkeypatch, notification(f"{FOLDER}a.jpg", "FAILURE")))


def test_the_command_needs_only_its_own_packages():
    """`verify` imports no package that only the functions have."""
    blocked = "import sys; sys.modules |= dict.fromkeys(('aws_lambda_powertools', 'pi_heif', 'cykooz'))"
    program = f"{blocked}; import image_pipeline_cli.verify.command, image_pipeline_cli.doctor.command"
    process = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
