"""A stack of each release is updated to this version, and rolled back, while it processes uploads."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_pipeline.api import apikeys
from image_pipeline.keys import status_path
from local.pipeline import UPLOADS_MACHINE, Execution, Pipeline
from tests.conftest import heavy
from tests.pictures import photo
from tools import release_snapshot

VERSIONS = sorted(folder.name for folder in release_snapshot.RELEASES.iterdir())
PHOTO = photo(200, 150)
UNDER_WAY = 15 if "HEAVY" in os.environ else 4
"""Uploads that are processed at the same time, before and during an update. All fit into one page of the list."""

pytestmark = pytest.mark.timeout(900)  # HEAVY processes about a hundred uploads with four processes


class Update:
    """An update during uploads, and the results of the uploads.

    Args:
        pipeline: A running stack of another version.
        template: The template to update to.
        folder: The folder of the uploads.
    """

    def __init__(self, pipeline: Pipeline, template: Path, folder: str) -> None:
        self.pipeline, self._folder = pipeline, folder
        self.versions: dict[str, str | None] = {}
        self._updated = threading.Event()
        uploader = threading.Thread(target=self._upload)
        uploader.start()
        try:
            pipeline.wait_until(lambda: len(self.ended()) >= UNDER_WAY, "some uploads to be processed")
            self.before = {key: pipeline.record(key) for key in self.ended()}
            self.under_way = [execution for execution in self._executions() if execution.running]
            pipeline.update(template)
        finally:
            self._updated.set()
            uploader.join()
        self.keys = list(self.versions)
        self.records = {key: pipeline.wait_for(key, version) for key, version in self.versions.items()}

    def ended(self) -> list[str]:
        """Return the keys whose execution has ended."""
        return [str(execution.key) for execution in self._executions() if not execution.running]

    def succeeded(self) -> list[str]:
        """Return the keys of all executions that have succeeded."""
        return [str(execution.key) for execution in self._executions() if execution.status == "SUCCEEDED"]

    def notified(self) -> Counter[str]:
        """Count the notifications about each key."""
        notifications = self.pipeline.notifications()
        keys = [notification["MessageAttributes"]["imageKey"]["Value"] for notification in notifications]
        return Counter(key for key in keys if key in self.versions)

    def published(self) -> Counter[str]:
        """Count the outcome events of each key."""
        keys = [event["detail"]["imageKey"] for event in self.pipeline.events()]
        return Counter(key for key in keys if key in self.versions)

    def _upload(self) -> None:
        """Keep a number of uploads under way until the update has ended, and upload as many afterwards."""
        for number in itertools.count():
            if self._updated.is_set():
                break
            self._upload_one(number)
            self.pipeline.wait_until(self._is_room, "an upload to be processed")
        for more in range(UNDER_WAY):
            self._upload_one(number + more)

    def _upload_one(self, number: int) -> None:
        key = f"{self._folder}/{number}.jpg"
        self.versions[key] = self.pipeline.upload(key, PHOTO)

    def _is_room(self) -> bool:
        return self._updated.is_set() or len(self.versions) - len(self.ended()) < UNDER_WAY

    def _executions(self) -> list[Execution]:
        return [
            execution
            for execution in self.pipeline.executions(UPLOADS_MACHINE)
            if (execution.key or "").startswith(f"{self._folder}/")
        ]


def check_outcomes(update: Update) -> None:
    """Each upload has exactly one outcome, one notification and one event."""
    assert update.under_way, "no upload was under way when the update began"
    for key, record in update.records.items():
        assert record, key
        assert (record["status"], record["upload"]["versionId"]) == ("COMPLETED", update.versions[key]), key
    assert Counter(update.succeeded()) == Counter(update.keys)
    update.pipeline.wait_until(lambda: update.published().keys() >= set(update.keys), "an event for each upload")
    assert update.published() == Counter(update.keys)
    assert update.notified() == Counter(update.keys)


@pytest.fixture(scope="module", params=VERSIONS)
def update(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Update]:
    """An update from a release to this version during uploads."""
    folder = tmp_path_factory.mktemp("release")
    released = release_snapshot.unpack(request.param, folder / "stack")
    with Pipeline(folder / "run", template=released, wait_scale=0.0, controls=True) as pipeline:
        yield Update(pipeline, release_snapshot.ROOT / "template.yml", "uploads/update")


def test_an_update_loses_no_upload(update):
    """No upload is lost, whichever version starts, continues or ends an execution."""
    check_outcomes(update)


def test_an_update_changes_no_stored_record(update):
    """The records that the release stored are unchanged."""
    assert update.before
    for key, record in update.before.items():
        assert update.records[key] == record


def test_records_of_both_versions_are_answered(update):
    """Status and list contain the images of both versions."""
    key = apikeys.create(update.pipeline.client, table=update.pipeline.outputs["ApiKeyTableName"], name="a test").text
    for image_key in (next(iter(update.before)), update.keys[-1]):
        with urllib.request.urlopen(update.pipeline.api_url + status_path(image_key)) as answer:
            status = json.load(answer)
        assert (status["imageKey"], status["status"]) == (image_key, "COMPLETED")
        with urllib.request.urlopen(status["renditions"][0]["url"]) as answer:
            assert answer.read()

    def listed() -> set[str]:
        url = f"{update.pipeline.api_url}/images?limit=100"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": key})) as answer:
            images = json.load(answer)["images"]
        return {image["imageKey"] for image in images if image["status"] == "COMPLETED"}

    update.pipeline.wait_until(lambda: listed() >= set(update.keys), "the list of all images")


@heavy  # an update in the other direction
def test_a_roll_back_loses_no_upload(update, tmp_path, request):
    """The previous release takes over during uploads."""
    released = release_snapshot.unpack(request.node.callspec.params["update"], tmp_path)
    check_outcomes(Update(update.pipeline, released, "uploads/rolled-back"))


def _version(folder: Path, **names: str) -> Path:
    """Copy the deployed files, with other names in functions and core; return the path of the template."""
    for path in ("monitoring", "statemachine", "functions", "layers"):
        shutil.copytree(release_snapshot.ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*folder.glob("functions/*/app.py"), *folder.glob("layers/core/**/*.py")):
        text = path.read_text()
        for old, new in names.items():
            text = text.replace(old, new)
        path.write_text(text)
    return Path(shutil.copy(release_snapshot.ROOT / "template.yml", folder))


@heavy  # waits between retries
@pytest.mark.parametrize("first", ["functions", "layers"])
def test_code_and_layers_that_change_in_two_steps_lose_no_upload(first, tmp_path):
    """Functions cannot import new code between the two steps of CloudFormation; the workflow retries."""
    before = _version(tmp_path / "before")
    after = _version(tmp_path / "after", UploadReader="ObjectReader")
    between = _version(tmp_path / "between")
    shutil.rmtree(between.parent / first)
    shutil.copytree(after.parent / first, between.parent / first)
    with Pipeline(tmp_path / "run", template=before, controls=True) as pipeline:
        log = pipeline.run_dir / "logs" / "ValidateImageFunction.log"
        pipeline.update(between)
        versions = {key: pipeline.upload(key, PHOTO) for key in ("uploads/half/1.jpg", "uploads/half/2.jpg")}
        pipeline.wait_until(lambda: log.exists() and "cannot import name" in log.read_text(), "a failed import")
        pipeline.update(after)
        for key, version in versions.items():
            record = pipeline.wait_for(key, version)
            assert record, key
            assert record["status"] == "COMPLETED", record
