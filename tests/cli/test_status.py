"""`python -m cli status` against the local pipeline."""

from __future__ import annotations

import json
import urllib.request

import pytest

from cli.commands import main
from cli.exits import LEFT, OK, PICTURE_FAILED
from tests.cli.conftest import PICTURE
from tests.pictures import opened


def test_the_status_is_what_the_api_says(pipeline, lines, picture):
    """But for the URLs, which are signed for whoever asks."""
    with urllib.request.urlopen(f"{pipeline.api_url}/images/uploads/{picture}/status") as answer:
        told = json.loads(answer.read())
    code, (found,) = lines("status", picture)
    assert (code, found["missing"]) == (OK, [])
    (status,) = found["statuses"]
    with urllib.request.urlopen(status["renditions"][0]["url"]) as rendition:
        assert opened(rendition.read()).size == (24, 16)
    for each in (told, status):
        assert each.pop("srcsets").keys() == {"image/jpeg", "image/webp"}
        for rendition in each["renditions"]:
            del rendition["url"], rendition["urlExpiresAt"]
    assert status == told


def test_the_order_is_that_of_the_names(pipeline, lines, name):
    """Whichever is found first."""
    names = [f"{name}-{number}" for number in (3, 1, 5, 2, 4)]
    for each in names:
        pipeline.upload(f"uploads/{each}", b"x")
    for each in names:
        pipeline.wait_for(f"uploads/{each}")
    for _ in range(5):
        _, (found,) = lines("status", *names)
        assert [each["imageKey"] for each in found["statuses"]] == [f"uploads/{each}" for each in names]


def test_nobody_waits_for_a_folder(pipeline, lines, name):
    """S3's console makes one by an empty object, which is never processed."""
    pipeline.upload(f"uploads/{name}/", b"")
    code, (found,) = lines("status", f"{name}/", "--wait", "--timeout", "3")
    assert (code, found["missing"]) == (LEFT, [f"uploads/{name}/"])


def test_people_read_how_it_went(picture, running, capsys):
    """A line for each fact; `uploads/` may be left out."""
    assert main(["status", f"uploads/{picture}", *running]) == OK
    words = capsys.readouterr().out
    assert words.startswith(f"uploads/{picture}  COMPLETED\n")
    assert "  picture     JPEG, 24 x 16, " in words
    assert "  100x100     JPEG, 24 x 16, " in words
    assert "  labels      " in words
    assert "ValidateImage " in words
    assert " ms" in words
    assert ":execution:" in words


def test_a_failure_is_told_with_its_reason_and_what_to_do(pipeline, running, name, capsys):
    """And the exit code tells it to programs."""
    pipeline.wait_for(f"uploads/{name}", pipeline.upload(f"uploads/{name}", b"text"))
    assert main(["status", name, *running]) == PICTURE_FAILED
    words = capsys.readouterr().out
    assert "  reason      The file is not an image in a supported format: its content is text." in words
    assert "(UnsupportedFormatError in ValidateImage)" in words
    assert "  what to do  Convert it to one of AVIF" in words


def test_whoever_may_read_the_table_reads_what_went_wrong_inside(pipeline, lines, name):
    """The API does not tell everybody."""
    pipeline.replace("GenerateThumbnailsFunction", lambda _: 1 / 0)
    pipeline.wait_for(f"uploads/{name}", pipeline.upload(f"uploads/{name}", PICTURE))
    code, (found,) = lines("status", name)
    assert code == PICTURE_FAILED
    assert found["statuses"][0]["error"] == pipeline.record(f"uploads/{name}")["error"]


@pytest.mark.parametrize("how", ["--wait", "--watch"])
def test_an_upload_is_followed_to_its_outcome(pipeline, lines, name, how):
    """`--watch` has a line for each change, and `--wait` one document at the end."""
    pipeline.upload(f"uploads/{name}", PICTURE)
    code, told = lines("status", name, how)
    assert code == OK
    assert (told[0]["statuses"][0] if how == "--wait" else told[-1])["status"] == "COMPLETED"


def test_who_was_meant_is_suggested(picture, running, capsys):
    """When there is no upload of that name."""
    assert main(["status", picture.replace("beach", "baech"), *running]) == LEFT
    complaint = capsys.readouterr().err
    assert "There is no 'uploads/" in complaint
    assert f"Did you mean 'uploads/{picture}'?" in complaint


def test_folders_and_patterns_are_told_upload_by_upload(pipeline, lines, picture):
    """A failed one decides the exit code; what stands for nothing is missing."""
    folder = picture.partition("/")[0]
    assert [(code, len(found["statuses"])) for code, (found,) in [lines("status", f"{folder}/*")]] == [(OK, 1)]
    pipeline.wait_for(f"uploads/{folder}/notes.txt", pipeline.upload(f"uploads/{folder}/notes.txt", b"words"))
    code, (found,) = lines("status", f"{folder}/", "--wait")
    assert code == PICTURE_FAILED
    assert {body["imageKey"]: body["status"] for body in found["statuses"]} == {
        f"uploads/{folder}/beach.jpg": "COMPLETED",
        f"uploads/{folder}/notes.txt": "FAILED",
    }
    code, (found,) = lines("status", f"{folder}/*.gif", picture)
    assert (code, len(found["statuses"]), found["missing"]) == (LEFT, 1, [f"uploads/{folder}/*.gif"])
