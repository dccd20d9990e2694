"""`image-pipeline status` against the local pipeline."""

from __future__ import annotations

import json
import urllib.request

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import IMAGE_FAILED, INCOMPLETE, OK
from tests.cli.conftest import PICTURE
from tests.pictures import opened


def test_the_status_is_that_of_the_api(pipeline, lines, shared_image_name):
    """Only the signed URLs differ."""
    image_name = shared_image_name
    with urllib.request.urlopen(f"{pipeline.api_url}/images/uploads/{image_name}/status") as answer:
        api_status = json.loads(answer.read())
    code, (document,) = lines("status", image_name)
    assert (code, document["missing"]) == (OK, [])
    (status,) = document["statuses"]
    with urllib.request.urlopen(status["renditions"][0]["url"]) as rendition:
        assert opened(rendition.read()).size == (24, 16)
    for body in (api_status, status):
        assert body.pop("srcsets").keys() == {"image/jpeg", "image/webp"}
        for rendition in body["renditions"]:
            del rendition["url"], rendition["urlExpiresAt"]
    assert status == api_status


def test_the_order_is_that_of_the_names(store_record, lines, name):
    """It does not depend on which status is read first."""
    names = [f"{name}-{number}" for number in (3, 1, 5, 2, 4)]
    keys = [f"uploads/{name}" for name in names]
    for key in keys:
        store_record(key)
    for _ in range(5):
        _, (document,) = lines("status", *names)
        assert [body["imageKey"] for body in document["statuses"]] == keys


def test_a_folder_marker_is_not_waited_for(pipeline, lines, name):
    """The console of S3 creates folders as empty objects, which are never processed."""
    pipeline.upload(f"uploads/{name}/", b"")
    code, (document,) = lines("status", f"{name}/", "--wait", "--timeout", "1")
    assert (code, document["missing"]) == (INCOMPLETE, [f"uploads/{name}/"])


def test_text_output_has_a_line_for_each_fact(shared_image_name, running, capsys):
    """It shows the image, its renditions, labels, steps and execution."""
    image_name = shared_image_name
    assert main(["status", f"uploads/{image_name}", *running]) == OK
    first, *facts = capsys.readouterr().out.splitlines()
    assert first == f"uploads/{image_name}  COMPLETED"
    values = {line.split()[0]: line for line in facts}
    assert "JPEG, 24 x 16, " in values["image"]
    assert "JPEG, 24 x 16, " in values["100x100"]
    assert "labels" in values
    assert "ValidateImage " in values["steps"]
    assert ":execution:" in values["execution"]


def test_a_failure_has_a_reason_and_a_hint(pipeline, running, name, capsys):
    """The exit code reports it to programs."""
    pipeline.wait_for(f"uploads/{name}", pipeline.upload(f"uploads/{name}", b"text"))
    assert main(["status", name, *running]) == IMAGE_FAILED
    out = capsys.readouterr().out
    error = pipeline.record(f"uploads/{name}")["error"]
    assert error["code"] == "UnsupportedFormatError"
    for text in (error["message"], error["code"], error["step"], error["hint"]):
        assert text in out


def test_internal_errors_are_shown_in_full(pipeline, lines, name):
    """The API hides them; a caller with access to the table may see them."""
    pipeline.replace("GenerateThumbnailsFunction", lambda _: 1 / 0)
    pipeline.wait_for(f"uploads/{name}", pipeline.upload(f"uploads/{name}", PICTURE))
    code, (document,) = lines("status", name)
    assert code == IMAGE_FAILED
    assert document["statuses"][0]["error"] == pipeline.record(f"uploads/{name}")["error"]


@pytest.mark.parametrize("option", ["--wait", "--watch"])
def test_an_upload_is_followed_to_its_outcome(pipeline, lines, name, option):
    """`--watch` prints a line for each change, and `--wait` one document at the end."""
    pipeline.upload(f"uploads/{name}", PICTURE)
    code, output = lines("status", name, option)
    assert code == OK
    assert (output[0]["statuses"][0] if option == "--wait" else output[-1])["status"] == "COMPLETED"


def test_a_similar_name_is_suggested(shared_image_name, running, capsys):
    """This helps if no upload has the name."""
    assert main(["status", shared_image_name.replace("beach", "baech"), *running]) == INCOMPLETE
    assert f"'uploads/{shared_image_name}'" in capsys.readouterr().err


def test_folders_and_patterns_have_a_status_for_each_upload(pipeline, lines, image_name):
    """A failed upload sets the exit code; a pattern without matches is missing."""
    folder = image_name.partition("/")[0]
    code, (document,) = lines("status", f"{folder}/*")
    assert (code, len(document["statuses"])) == (OK, 1)
    pipeline.wait_for(f"uploads/{folder}/notes.txt", pipeline.upload(f"uploads/{folder}/notes.txt", b"words"))
    code, (document,) = lines("status", f"{folder}/", "--wait")
    assert code == IMAGE_FAILED
    assert {body["imageKey"]: body["status"] for body in document["statuses"]} == {
        f"uploads/{folder}/beach.jpg": "COMPLETED",
        f"uploads/{folder}/notes.txt": "FAILED",
    }
    code, (document,) = lines("status", f"{folder}/*.gif", image_name)
    assert (code, len(document["statuses"]), document["missing"]) == (INCOMPLETE, 1, [f"uploads/{folder}/*.gif"])
