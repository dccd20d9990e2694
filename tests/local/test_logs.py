"""What the functions write into their logs while an upload goes through, and what they do not."""

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
    """By function: what it has logged since the test began."""
    folder = pipeline.run_dir / "logs"
    before = {path: path.stat().st_size for path in folder.glob("*Function.log")}

    def read() -> dict[str, str]:
        return {
            path.stem: path.read_bytes()[before.get(path, 0) :].decode()
            for path in sorted(folder.glob("*Function.log"))
        }

    return read


def telling_photo() -> bytes:
    """A photograph that says whose camera it is from, and where it was taken."""
    image = gradient(800, 600)
    exif = image.getexif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = CAMERA["make"], CAMERA["model"]
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = CAMERA["serial"]
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.520008, 0.0, 0.0), 3: "E", 4: (13.404954, 0.0, 0.0)})
    return encoded(image, "JPEG", exif=exif)


def upload(pipeline: Pipeline, key: str, data: bytes) -> Execution:
    """Upload, wait for the end, and ask for the status as a browser would."""
    pipeline.upload(key, data)
    pipeline.wait_for(key)
    with urllib.request.urlopen(pipeline.api_url + status_path(key)) as answer:
        answer.read()
    (execution,) = [each for each in pipeline.executions() if each.key == key]
    return execution


def functions_of(pipeline: Pipeline, execution: Execution) -> list[str]:
    """The functions that an execution has called: each is named after its state."""
    names = [f"{state}Function" for state in pipeline.states_entered(execution)]
    return [name for name in names if name in pipeline.environments]


def objects(text: str) -> list[dict[str, Any]]:
    """Our own lines. Lambda logs an error that leaves a function, too, under the id of the request."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if "requestId" not in line]


@pytest.mark.parametrize("suffix", ["jpg", "txt"])
def test_every_line_of_an_upload_carries_its_execution(pipeline, folder, written, suffix):
    """From the first function to the last, also where the upload fails: one query finds the whole story."""
    data = telling_photo() if suffix == "jpg" else b"Only words.\n"
    execution = upload(pipeline, f"{folder}/{NAME}.{suffix}", data)
    called = functions_of(pipeline, execution)
    assert "ValidateImageFunction" in called
    for name in called:
        lines = objects(written()[name])
        assert lines, name
        assert {line["correlation_id"] for line in lines} == {execution.name}, name


def test_the_version_leads_from_the_request_to_the_execution(pipeline, folder, written):
    """What is stored over HTTP is logged under the request's id; what becomes of it under the execution's."""
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a test").text
    url = f"{pipeline.api_url}/images?name={quote(folder.removeprefix('uploads/'))}/a.jpg"
    with urllib.request.urlopen(urllib.request.Request(url, telling_photo(), {"x-api-key": key})) as answer:
        told = json.load(answer)
    record = pipeline.wait_for(told["imageKey"])
    (stored,), (taken,) = (
        [line for line in objects(written()[f"{name}Function"]) if line.get("version_id") == told["versionId"]]
        for name in ("UploadImage", "ValidateImage")
    )
    assert stored["caller"] in key
    assert stored["correlation_id"] != taken["correlation_id"] == record["execution"]["id"]


def test_a_success_is_nothing_but_json(pipeline, folder, written):
    """No warning of a library, no stray print: a log that machines read."""
    execution = upload(pipeline, f"{folder}/{NAME}.jpg", telling_photo())
    for name in functions_of(pipeline, execution):
        assert all(line.startswith("{") for line in written()[name].splitlines()), name


def test_an_upload_is_counted_in_the_log_of_the_step_that_ends_it(pipeline, folder, written):
    """One metric line, under the stack's name."""
    upload(pipeline, f"{folder}/{NAME}.jpg", telling_photo())
    counted = [line for text in written().values() for line in emf(text)]
    assert [line["ImageCompleted"] for line in counted] == [[1]]
    assert {line["service"] for line in counted} == {"image-pipeline"}


@pytest.mark.parametrize(
    "data", [telling_photo(), telling_photo()[:9000], b"Only words.\n"], ids=["good", "cut", "text"]
)
def test_logs_know_nothing_of_people(pipeline, folder, written, data):
    """No file name, no camera, no place, no address of who asks."""
    upload(pipeline, f"{folder}/{NAME}.jpg", data)
    text = "".join(written().values())
    assert text
    for private in (folder, NAME, NAME.replace(" ", "%20"), "Mustermann", *CAMERA.values(), *PLACE, "127.0.0.1"):
        assert private not in text
