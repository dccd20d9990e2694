"""The log lines of functions while an upload is processed."""

from __future__ import annotations

import json
import urllib.request
import uuid
from typing import Any
from urllib.parse import quote

import pytest
from PIL import ExifTags

from image_pipeline.api import apikeys
from image_pipeline.keys import status_path
from local.pipeline import Pipeline
from tests.conftest import emf
from tests.pictures import encoded, gradient

NAME = "Passport of Erika Mustermann"
CAMERA = {"make": "Voigtländer", "model": "Bessa R2M", "serial": "SN-4711-0815"}
PLACE = ["52.520008", "13.404954"]  # longer than any time of day with its milliseconds


class Written:
    """The log lines that functions write from now on."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._folder = pipeline.run_dir / "logs"
        self._before = {path: path.stat().st_size for path in self._folder.glob("*Function.log")}

    def read(self) -> dict[str, str]:
        """Return the lines so far, by function."""
        return {
            path.stem: path.read_bytes()[self._before.get(path, 0) :].decode()
            for path in sorted(self._folder.glob("*Function.log"))
        }


@pytest.fixture
def written(pipeline: Pipeline) -> Written:
    """The log lines since the start of the test."""
    return Written(pipeline)


def telling_photo() -> bytes:
    """A photograph whose EXIF has a camera and a position."""
    image = gradient(800, 600)
    exif = image.getexif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = CAMERA["make"], CAMERA["model"]
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = CAMERA["serial"]
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.520008, 0.0, 0.0), 3: "E", 4: (13.404954, 0.0, 0.0)})
    return encoded(image, "JPEG", exif=exif)


class Upload:
    """An upload whose status was requested, its execution, and the log lines of both."""

    def __init__(self, pipeline: Pipeline, data: bytes) -> None:
        self.pipeline, self.key = pipeline, f"uploads/{uuid.uuid4()}/{NAME}"
        written = Written(pipeline)
        pipeline.upload(self.key, data)
        pipeline.wait_for(self.key)
        with urllib.request.urlopen(pipeline.api_url + status_path(self.key)) as answer:
            answer.read()
        (self.execution,) = [execution for execution in pipeline.executions() if execution.key == self.key]
        self.lines = written.read()

    def called(self) -> list[str]:
        """Return the functions that the execution has called; each has the name of its state."""
        names = [f"{state}Function" for state in self.pipeline.states_entered(self.execution)]
        return [name for name in names if name in self.pipeline.environments]


@pytest.fixture(scope="module")
def good(shared_pipeline: Pipeline) -> Upload:
    return Upload(shared_pipeline, telling_photo())


@pytest.fixture(scope="module")
def cut(shared_pipeline: Pipeline) -> Upload:
    return Upload(shared_pipeline, telling_photo()[:9000])


@pytest.fixture(scope="module")
def text(shared_pipeline: Pipeline) -> Upload:
    return Upload(shared_pipeline, b"Only words.\n")


def objects(text: str) -> list[dict[str, Any]]:
    """Return the JSON lines of the application, without those that Lambda adds."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "requestId" not in line]


@pytest.mark.parametrize("kind", ["good", "text"])
def test_every_line_of_an_upload_has_its_execution(request, kind):
    """One query finds all lines of an upload, even if it fails."""
    upload = request.getfixturevalue(kind)
    called = upload.called()
    assert "ValidateImageFunction" in called
    for name in called:
        lines = objects(upload.lines[name])
        assert lines, name
        assert {line["correlation_id"] for line in lines} == {upload.execution.name}, name
        assert {line["version"] for line in lines} == {upload.pipeline.outputs["Version"]}, name


def test_the_version_leads_from_the_request_to_the_execution(pipeline, folder, written):
    """An HTTP upload is logged under its request id, its processing under the execution."""
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a test").text
    url = f"{pipeline.api_url}/images?name={quote(folder.removeprefix('uploads/'))}/a.jpg"
    with urllib.request.urlopen(urllib.request.Request(url, telling_photo(), {"x-api-key": key})) as answer:
        body = json.load(answer)
    record = pipeline.wait_for(body["imageKey"])
    (stored,), (taken,) = (
        [line for line in objects(written.read()[f"{name}Function"]) if line.get("version_id") == body["versionId"]]
        for name in ("UploadImage", "ValidateImage")
    )
    assert stored["caller"] in key
    assert stored["correlation_id"] != taken["correlation_id"] == record["execution"]["id"]


def test_the_log_of_a_success_contains_only_json(good):
    """No library prints warnings into the log."""
    for name in good.called():
        assert all(line.startswith("{") for line in good.lines[name].splitlines()), name


def test_the_final_step_logs_one_metric(good):
    """The metric is one line with the name of the stack."""
    counted = [line for text in good.lines.values() for line in emf(text)]
    assert [line["ImageCompleted"] for line in counted] == [[1]]
    assert {line["service"] for line in counted} == {"image-pipeline"}


@pytest.mark.parametrize("kind", ["good", "cut", "text"])
def test_logs_contain_no_personal_data(request, kind):
    """The log has no file name, camera, position or address of a caller."""
    upload = request.getfixturevalue(kind)
    text = "".join(upload.lines.values())
    assert text
    folder, name = upload.key.removeprefix("uploads/").split("/")
    for private in (folder, name, name.replace(" ", "%20"), "Mustermann", *CAMERA.values(), *PLACE, "127.0.0.1"):
        assert private not in text
