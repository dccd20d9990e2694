"""Read a status repeatedly, wait for it, and show a rendition."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from image_pipeline.api import apikeys
from image_pipeline.keys import rendition_path, status_path
from local.pipeline import Pipeline
from tests.conftest import ROOT
from tests.pictures import opened, photo

PHOTO, OTHER_PHOTO = photo(200, 150), photo(150, 200)
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


class Answer(NamedTuple):
    """The response of the API."""

    status: int
    headers: Any
    data: bytes


def get(url: str, **headers: str) -> Answer:
    """Send a request without following redirects."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    try:
        request_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=request_headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def processed(pipeline: Pipeline, key: str, data: bytes = PHOTO) -> str:
    """Upload, wait, and return the status URL."""
    pipeline.upload(key, data)
    pipeline.wait_for(key)
    return pipeline.api_url + status_path(key)


class Held:
    """Uploads stay in ValidateImage until they are released; then they fail."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.reached, self.free = threading.Event(), threading.Event()

        def validate(_: Any) -> None:
            self.reached.set()
            self.free.wait(30)
            raise KeyError("held")

        pipeline.replace("ValidateImageFunction", validate)


@pytest.fixture
def hold(pipeline: Pipeline) -> Iterator[Callable[[], Held]]:
    """A function that holds uploads from now on."""
    holds: list[Held] = []

    def hold() -> Held:
        holds.append(Held(pipeline))
        return holds[-1]

    yield hold
    for held in holds:
        held.free.set()


def test_status_and_rendition_follow_the_upload(pipeline, folder):
    """An unchanged status is 304 without a body; the address of a rendition is stable, and its image changes."""
    key = f"{folder}/x, y.jpg"
    url, address = processed(pipeline, key), pipeline.api_url + rendition_path(key, "web")
    first = get(url)
    check_srcsets(json.loads(first.data))
    again = get(url, if_none_match=f'"other", {first.headers["etag"]}')
    assert (again.status, again.data, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
    for accept, content_type in ((BROWSER, "image/webp"), ("*/*", "image/jpeg")):
        redirect = get(address, accept=accept)
        assert (redirect.status, redirect.data, redirect.headers["vary"]) == (302, b"", "accept")
        assert redirect.headers["cache-control"] == "private, max-age=60"
        assert get(redirect.headers["location"]).headers["content-type"] == content_type

    processed(pipeline, key, OTHER_PHOTO)
    changed = get(url, if_none_match=first.headers["etag"])
    assert (changed.status, json.loads(changed.data)["image"]["height"]) == (200, 200)
    assert opened(get(get(address).headers["location"]).data).size == (150, 200)

    pipeline.client("s3").delete_object(Bucket=pipeline.uploads_bucket, Key=key)
    pipeline.wait_until(lambda: (pipeline.record(key) or {})["status"] == "DELETED", "the deletion")
    assert json.loads(get(url, if_none_match=changed.headers["etag"]).data)["status"] == "DELETED"
    missing = get(address)
    assert (missing.status, missing.headers["content-type"]) == (404, "application/problem+json")


def check_srcsets(record: dict[str, Any]) -> None:
    """Check that each URL in the sets for HTML returns an image of that type and width."""
    assert list(record["srcsets"]) == ["image/webp", "image/jpeg"]
    for content_type, srcset in record["srcsets"].items():
        for candidate in srcset.split(", "):
            url, width = candidate.split(" ")
            answer = get(url)
            assert (answer.status, answer.headers["content-type"]) == (200, content_type)
            assert f"{opened(answer.data).width}w" == width
    assert record["summary"]["thumbhash"]
    assert all(rendition["urlExpiresAt"] > record["updatedAt"] for rendition in record["renditions"])


def test_a_waiting_caller_gets_the_outcome(pipeline, folder, hold):
    """A caller that does not wait gets Retry-After; neither answer may be cached."""
    key, held = f"{folder}/x.jpg", hold()
    pipeline.upload(key, PHOTO)
    assert held.reached.wait(30)
    url = pipeline.api_url + status_path(key)
    now = get(url)
    assert (now.status, json.loads(now.data)["status"]) == (200, "PROCESSING")
    assert (now.headers["retry-after"], now.headers["cache-control"]) == ("1", "no-store")
    started = time.monotonic()
    short = get(f"{url}?wait=1")
    assert json.loads(short.data)["status"] == "PROCESSING"
    assert time.monotonic() - started > 0.5
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(get(f"{url}?wait=10")))
    waiting.start()
    held.free.set()
    waiting.join(30)
    assert json.loads(answers[0].data)["status"] == "FAILED"
    assert "retry-after" not in answers[0].headers


def test_waiting_for_a_missing_record_ends_in_time(pipeline, folder):
    """The answer is 404 after the requested time, because an invented name never gets a record."""
    started = time.monotonic()
    assert get(f"{pipeline.api_url}{status_path(f'{folder}/never.jpg')}?wait=1").status == 404
    assert time.monotonic() - started < 8
    for query in ("wait=11", "wait=1&wait=1", "versionId=", "versionId=a+b", "versionId=a&versionId=a"):
        assert get(f"{pipeline.api_url}{status_path(f'{folder}/never.jpg')}?{query}").status == 400


def test_the_outcome_belongs_to_the_requested_upload(pipeline, folder):
    """Each answer without Retry-After is the outcome of the new upload, not of the previous one."""
    key = f"{folder}/x.jpg"
    url = pipeline.api_url + status_path(key)
    for number in range(12 if "HEAVY" in os.environ else 3):
        data = PHOTO if number % 2 else OTHER_PHOTO
        version_id = pipeline.upload(key, data)
        while (answer := get(f"{url}?wait=10&versionId={version_id}")).headers["retry-after"]:
            assert answer.status in (200, 404)
        record = json.loads(answer.data)
        assert (record["upload"]["versionId"], record["status"]) == (version_id, "COMPLETED")
        assert (record["image"]["width"], record["image"]["height"]) == opened(data).size


def test_a_version_replaced_before_processing_returns_its_successor(pipeline, folder, hold):
    """The version never has an outcome, so the answer is about its successor."""
    key, held = f"{folder}/x.jpg", hold()
    first = pipeline.upload(key, PHOTO)
    second = pipeline.upload(key, OTHER_PHOTO)
    pipeline.wait_until(
        lambda: (pipeline.record(key) or {}).get("upload", {}).get("versionId") == second, "the second upload"
    )
    held.free.set()
    while (answer := get(f"{pipeline.api_url}{status_path(key)}?wait=10&versionId={first}")).headers["retry-after"]:
        pass
    assert json.loads(answer.data)["upload"]["versionId"] == second


def test_the_previous_image_is_shown_during_processing(pipeline, folder, hold):
    """Without a previous image, the answer has Retry-After."""
    key = f"{folder}/x.jpg"
    processed(pipeline, key)
    held = hold()
    pipeline.upload(key, OTHER_PHOTO)
    assert held.reached.wait(30)
    redirect = get(pipeline.api_url + rendition_path(key, "100x100"))
    assert (redirect.status, redirect.headers["cache-control"]) == (302, "no-store")
    assert opened(get(redirect.headers["location"]).data).size == (100, 75)
    held.reached.clear()
    pipeline.upload(f"{folder}/new.jpg", PHOTO)
    assert held.reached.wait(30)
    missing = get(pipeline.api_url + rendition_path(f"{folder}/new.jpg", "100x100"))
    assert (missing.status, missing.headers["retry-after"], missing.headers["cache-control"]) == (404, "1", "no-store")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are for curl")
def test_the_examples_of_the_document_work(pipeline, tmp_path):
    """The examples of the document run in their order."""
    processed(pipeline, "uploads/beach.jpg")
    key = apikeys.create(pipeline.client, table=pipeline.outputs["ApiKeyTableName"], name="a test").text
    (tmp_path / ".curlrc").write_text("fail\nsilent\nshow-error\n")
    environment = {**os.environ, "API": pipeline.api_url, "KEY": key, "CURL_HOME": str(tmp_path)}
    text = (ROOT / "docs" / "reading.md").read_text()
    blocks = re.findall(r"^```sh\n(curl|ETAG|VERSION)(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "beach.jpg").write_bytes(OTHER_PHOTO)
    outputs = []
    for block in map("".join, blocks):
        run = subprocess.run(["sh", "-e"], input=block, text=True, capture_output=True, env=environment, cwd=tmp_path)
        assert (run.returncode, run.stderr) == (0, ""), block
        outputs.append(run.stdout)
    assert [json.loads(output)["status"] for output in outputs[:3]] == ["COMPLETED"] * 3
    assert json.loads(outputs[2])["image"]["height"] == 200  # of the picture that the example has uploaded
    assert outputs[3] == "304\n"
    assert opened((tmp_path / "beach.webp").read_bytes()).format == "WEBP"
    first, end = json.JSONDecoder().raw_decode(outputs[-1])
    assert [page.keys() for page in (first, json.loads(outputs[-1][end:]))] == [{"images", "cursor"}] * 2
