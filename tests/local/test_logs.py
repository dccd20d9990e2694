"""The log lines of functions while an upload is processed."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.parse import quote

import pytest
from PIL import ExifTags

from image_pipeline.api import apikeys
from image_pipeline.keys import status_path
from local.pipeline import Execution, Pipeline
from tests.conftest import emf
from tests.pictures import encoded, gradient

NAME = "Passport of Erika Mustermann"
CAMERA = {"make": "Voigtländer", "model": "Bessa R2M", "serial": "SN-4711-0815"}
PLACE = ["52.520008", "13.404954"]  # longer than any time of day with its milliseconds


@pytest.fixture
def written(pipeline: Pipeline) -> Any:
    """Return the log lines since the start of the test, by function."""
    folder = pipeline.run_dir / "logs"
    before = {path: path.stat().st_size for path in folder.glob("*Function.log")}

    def read() -> dict[str, str]:
        return {
            path.stem: path.read_bytes()[before.get(path, 0) :].decode()
            for path in sorted(folder.glob("*Function.log"))
        }

    return read


def telling_photo() -> bytes:
    """A photograph whose EXIF has a camera and a position."""
    image = gradient(800, 600)
    exif = image.getexif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = CAMERA["make"], CAMERA["model"]
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = CAMERA["serial"]
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.520008, 0.0, 0.0), 3: "E", 4: (13.404954, 0.0, 0.0)})
    return encoded(image, "JPEG", exif=exif)


def upload(pipeline: Pipeline, key: str, data: bytes) -> Execution:
    """Upload, wait for the outcome, and request the status as a browser does."""
    pipeline.upload(key, data)
    pipeline.wait_for(key)
    with urllib.request.urlopen(pipeline.api_url + status_path(key)) as answer:
        answer.read()
    (execution,) = [execution for execution in pipeline.executions() if execution.key == key]
    return execution


def functions_of(pipeline: Pipeline, execution: Execution) -> list[str]:
    """Return the functions that an execution has called; each has the name of its state."""
    names = [f"{state}Function" for state in pipeline.states_entered(execution)]
    return [name for name in names if name in pipeline.environments]


def objects(text: str) -> list[dict[str, Any]]:
    """Return the JSON lines of the application, without those that Lambda adds."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "requestId" not in line]


@pytest.mark.parametrize("suffix", ["jpg", "txt"])
def test_every_line_of_an_upload_has_its_execution(pipeline, folder, written, suffix):
    """One query finds all lines of an upload, even if it fails."""
    data = telling_photo() if suffix == "jpg" else b"Only words.\n"
    execution = upload(pipeline, f"{folder}/{NAME}.{suffix}", data)
    called = functions_of(pipeline, execution)
    assert "ValidateImageFunction" in called
    for name in called:
        lines = objects(written()[name])
        assert lines, name
        assert {line["correlation_id"] for line in lines} == {execution.name}, name
        assert {line["version"] for line in lines} == {pipeline.outputs["Version"]}, name


def test_the_version_leads_from_the_request_to_the_execution(pipeline, folder, written):
    """An HTTP upload is logged under its request id, its processing under the execution."""
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a test").text
    url = f"{pipeline.api_url}/images?name={quote(folder.removeprefix('uploads/'))}/a.jpg"
    with urllib.request.urlopen(urllib.request.Request(url, telling_photo(), {"x-api-key": key})) as answer:
        body = json.load(answer)
    record = pipeline.wait_for(body["imageKey"])
    (stored,), (taken,) = (
        [line for line in objects(written()[f"{name}Function"]) if line.get("version_id") == body["versionId"]]
        for name in ("UploadImage", "ValidateImage")
    )
    assert stored["caller"] in key
    assert stored["correlation_id"] != taken["correlation_id"] == record["execution"]["id"]


def test_the_log_of_a_success_contains_only_json(pipeline, folder, written):
    """No library prints warnings into the log."""
    execution = upload(pipeline, f"{folder}/{NAME}.jpg", telling_photo())
    for name in functions_of(pipeline, execution):
        assert all(line.startswith("{") for line in written()[name].splitlines()), name


def test_the_final_step_logs_one_metric(pipeline, folder, written):
    """The metric is one line with the name of the stack."""
    upload(pipeline, f"{folder}/{NAME}.jpg", telling_photo())
    counted = [line for text in written().values() for line in emf(text)]
    assert [line["ImageCompleted"] for line in counted] == [[1]]
    assert {line["service"] for line in counted} == {"image-pipeline"}


@pytest.mark.parametrize(
    "data", [telling_photo(), telling_photo()[:9000], b"Only words.\n"], ids=["good", "cut", "text"]
)
def test_logs_contain_no_personal_data(pipeline, folder, written, data):
    """The log has no file name, camera, position or address of a caller."""
    upload(pipeline, f"{folder}/{NAME}.jpg", data)
    text = "".join(written().values())
    assert text
    for private in (folder, NAME, NAME.replace(" ", "%20"), "Mustermann", *CAMERA.values(), *PLACE, "127.0.0.1"):
        assert private not in text
