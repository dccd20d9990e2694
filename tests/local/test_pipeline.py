"""From an upload to its status."""

import io
import json
import re
import shutil
import subprocess
import unicodedata
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest
from PIL import Image

from image_pipeline.keys import status_path
from local.emulator import clients
from local.pipeline import Execution, Pipeline
from tests.conftest import HEAVY, heavy
from tests.pictures import photo

PHOTO = photo(200, 150)


def status(pipeline: Pipeline, key: str) -> tuple[int, dict[str, Any]]:
    """Request a status from the HTTP API."""
    try:
        with urllib.request.urlopen(pipeline.api_url + status_path(key)) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def executions(pipeline: Pipeline, key: str) -> list[Execution]:
    return [execution for execution in pipeline.executions() if execution.key == key]


def mails(pipeline: Pipeline, key: str) -> list[dict[str, Any]]:
    return [
        notification
        for notification in pipeline.notifications()
        if notification["MessageAttributes"]["imageKey"]["Value"] == key
    ]


def test_a_photograph_becomes_renditions_labels_a_record_a_status_and_a_notification(pipeline, folder):
    """Every URL in the status works, and there is one notification."""
    key = f"{folder}/beach.jpg"
    pipeline.upload(key, PHOTO)
    pipeline.wait_for(key)
    code, record = status(pipeline, key)
    assert (code, record["status"]) == (200, "COMPLETED")
    assert (record["image"]["width"], record["image"]["height"]) == (200, 150)
    assert record["labels"]
    assert record["labelModelVersion"] == "local stand-in 1 (not Rekognition)"
    for rendition in record["renditions"]:
        with urllib.request.urlopen(rendition["url"]) as answer:
            image = Image.open(io.BytesIO(answer.read()))
        assert (image.format, *image.size) == (rendition["format"], rendition["width"], rendition["height"])
    (mail,) = mails(pipeline, key)
    assert mail["MessageAttributes"]["status"]["Value"] == "SUCCESS"
    assert pipeline.api_url + status_path(key).replace("%28", "(") in mail["Message"]


@pytest.mark.parametrize(
    "name",
    [
        "a&b=c;d,e and\nno extension",
        pytest.param("plain.jpg", marks=HEAVY),
        pytest.param("with space.jpg", marks=HEAVY),
        pytest.param("a+b.jpg", marks=HEAVY),
        pytest.param("100%25.jpg", marks=HEAVY),
        pytest.param("50%.jpg", marks=HEAVY),
        pytest.param("copy (1).jpg", marks=HEAVY),
        pytest.param(unicodedata.normalize("NFC", "Grün Åse.jpg"), marks=HEAVY),
        pytest.param(unicodedata.normalize("NFD", "Grün Åse.jpg"), marks=HEAVY),
        pytest.param("fox 🦊👩‍🚀.jpg", marks=HEAVY),
        pytest.param("deep/er/than that/x.jpg", marks=HEAVY),
        pytest.param("what?.jpg", marks=HEAVY),
        pytest.param("a&b=c;d,e.jpg", marks=HEAVY),
        pytest.param("no extension", marks=HEAVY),
        pytest.param("new\nline.jpg", marks=HEAVY),
        pytest.param("tab\t and \x01 and \x7f.jpg", marks=HEAVY),
    ],
)  # test_hostile_names.py tries every kind of name
def test_any_name_works_from_event_to_status(pipeline, folder, name):
    """Event, record and status have exactly the key of the upload."""
    key = f"{folder}/{name}"
    pipeline.upload(key, PHOTO)
    pipeline.wait_for(key)
    (execution,) = executions(pipeline, key)
    code, record = status(pipeline, key)
    assert execution.event["detail"]["object"]["key"] == key
    assert (code, record["status"], record["upload"]["key"]) == (200, "COMPLETED", key)
    assert len(mails(pipeline, re.sub(r"[\x00-\x1f\x7f]", "?", key))) == 1


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("text.jpg", b"Only words.\n", "UnsupportedFormatError"),
        ("empty.jpg", b"", "EmptyUploadError"),
        pytest.param("truncated.jpg", PHOTO[: len(PHOTO) // 2], "CorruptImageError", marks=HEAVY),
    ],
)
def test_a_file_that_is_not_an_image_fails_with_a_reason(pipeline, folder, name, data, error):
    """Status, record, execution and notification have the same reason."""
    key = f"{folder}/{name}"
    pipeline.upload(key, data)
    pipeline.wait_for(key)
    code, record = status(pipeline, key)
    assert (code, record["status"], record["error"]["code"]) == (200, "FAILED", error)
    assert record["error"]["message"]
    assert record["error"]["hint"]
    *_, execution = executions(pipeline, key)  # an empty one was waited for before
    assert (execution.status, execution.error) == ("FAILED", error)
    (mail,) = mails(pipeline, key)
    assert mail["MessageAttributes"]["status"]["Value"] == "FAILURE"
    assert error in mail["Message"]
    assert record["error"]["message"] in mail["Message"]


def test_a_folder_marker_leaves_no_trace(pipeline, folder):
    """A folder marker has no record, notification or failure."""
    key = f"{folder}/album/"
    pipeline.upload(key, b"")
    assert pipeline.wait_for(key) is None
    assert [execution.status for execution in executions(pipeline, key)] == ["SUCCEEDED"]
    assert mails(pipeline, key) == []


def test_an_unknown_key_is_404(pipeline):
    """The answer is the documented problem."""
    code, problem = status(pipeline, "uploads/never.jpg")
    assert (code, problem["message"]) == (404, "Image details not found for the given image identifier.")


def test_an_overwrite_replaces_the_record_and_a_duplicate_event_does_not(pipeline, folder):
    """The status is that of the newest upload; an execution of a duplicate event sends no notification."""
    key = f"{folder}/twice.jpg"
    first = pipeline.upload(key, PHOTO)
    pipeline.wait_for(key, first)
    second = pipeline.upload(key, photo(320, 200))
    pipeline.wait_for(key, second)
    _, record = status(pipeline, key)
    assert (record["image"]["width"], record["upload"]["versionId"]) == (320, second)
    before, notified = pipeline.record(key), len(mails(pipeline, key))
    for number, execution in enumerate(executions(pipeline, key)):
        arn = pipeline.client("stepfunctions").start_execution(
            stateMachineArn=pipeline.outputs["ProcessImageStateMachineArn"],
            name=f"{folder[8:]}-{number}",
            input=json.dumps(execution.event),
        )["executionArn"]
        assert pipeline.states_entered(pipeline.wait_for_end(arn))[-1] == "Superseded"
    assert pipeline.record(key) == before
    assert len(mails(pipeline, key)) == notified == 2


def reason(pipeline: Pipeline, key: str) -> str:
    assert (pipeline.wait_for(key) or {}).get("status") == "COMPLETED"
    (execution,) = executions(pipeline, key)
    detail: dict[str, str] = execution.event["detail"]
    return detail["reason"]


@heavy  # test_http_uploads.py uploads by a URL that the API has signed
def test_upload_by_presigned_put(pipeline, folder):
    """The presigned URL is enough to upload."""
    key = f"{folder}/put ü+.jpg"
    url = pipeline.client("s3").generate_presigned_url(
        "put_object", {"Bucket": pipeline.uploads_bucket, "Key": key}, ExpiresIn=60
    )
    with urllib.request.urlopen(urllib.request.Request(url, data=PHOTO, method="PUT")) as answer:
        assert answer.status == 200
    assert reason(pipeline, key) == "PutObject"


@heavy  # test_http_uploads.py uploads by a form that the API has signed
def test_upload_by_presigned_post(pipeline, folder):
    """The presigned form is enough to upload."""
    key = f"{folder}/post.jpg"
    form = pipeline.client("s3").generate_presigned_post(pipeline.uploads_bucket, key)
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in form["fields"].items()]
    head = '--edge\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + PHOTO + b"\r\n--edge--\r\n"
    request = urllib.request.Request(
        form["url"], data=body, headers={"Content-Type": "multipart/form-data; boundary=edge"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204
    assert reason(pipeline, key) == "POST Object"


def test_upload_in_parts(pipeline, folder):
    """A multipart upload starts the workflow once, when it is complete."""
    key = f"{folder}/parts.jpg"
    data = PHOTO + b"\0" * (5 * 1024 * 1024)  # what follows the end of a JPEG is ignored
    s3, address = pipeline.client("s3"), {"Bucket": pipeline.uploads_bucket, "Key": key}
    upload = {**address, "UploadId": s3.create_multipart_upload(**address)["UploadId"]}
    border = 5 * 1024 * 1024
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=body)["ETag"]}
        for n, body in ((1, data[:border]), (2, data[border:]))
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert reason(pipeline, key) == "CompleteMultipartUpload"


def test_upload_by_copy(pipeline, folder):
    """A copy within S3 is an upload, and an object outside of uploads/ is ignored."""
    key = f"{folder}/copy.jpg"
    pipeline.upload("elsewhere/original.jpg", PHOTO)
    bucket = pipeline.uploads_bucket
    pipeline.client("s3").copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/elsewhere/original.jpg")
    assert reason(pipeline, key) == "CopyObject"
    assert executions(pipeline, "elsewhere/original.jpg") == []


@pytest.mark.skipif(shutil.which("aws") is None, reason="the AWS CLI is not installed")
def test_upload_by_the_aws_cli(pipeline, folder, tmp_path):
    """`aws s3 cp` needs only the endpoint."""
    key = f"{folder}/cli ü (1)+%25 🦊.jpg"
    (tmp_path / "x.jpg").write_bytes(PHOTO)
    subprocess.run(
        ["aws", "s3", "cp", str(tmp_path / "x.jpg"), f"s3://{pipeline.uploads_bucket}/{key}"],
        env=clients.environment(pipeline.aws_url, pipeline.region),
        check=True,
        capture_output=True,
    )
    assert reason(pipeline, key) == "PutObject"


@heavy  # test_hostile_names.py uploads many at once
def test_a_burst_of_uploads_is_processed(pipeline, folder):
    """All uploads of a burst are processed, with a limited number of functions."""
    keys = [f"{folder}/{number}.jpg" for number in range(12)]
    versions = {key: pipeline.upload(key, PHOTO) for key in keys}
    records = [pipeline.wait_for(key, versions[key], seconds=60) for key in keys]
    assert {(record or {}).get("status") for record in records} == {"COMPLETED"}


def test_a_waiting_thread_notices_changes_that_another_thread_reads(monkeypatch, tmp_path):
    """It does not wait for one more change if another thread reads the last one right after it tests its condition."""
    pipeline = Pipeline(tmp_path)
    changes: list[dict[str, Any]] = []

    def request(_: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert len(changes) > arguments["position"] or not arguments["seconds"], "waits for a change that never comes"
        return {"position": len(changes), "executions": changes[arguments["position"] :]}

    def has_ended() -> bool:
        if changes:
            return True
        changes.append(
            {"arn": "e", "stateMachineArn": "m", "started": "2026-01-01", "status": "SUCCEEDED", "input": "{}"}
            | {"error": None, "cause": None}
        )
        pipeline.executions()  # as another thread would
        return False

    monkeypatch.setattr(pipeline, "_request", request)
    pipeline._wait_for_changes(has_ended, "the end", 5)
