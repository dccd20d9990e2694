"""`reprocess`: what the command says of an attempt, and of one that failed."""

import threading

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import LEFT, NO_OUTCOME, OK, PICTURE_FAILED


@pytest.fixture
def broken(pipeline, picture):
    """A picture whose next attempts fail; its key."""
    key = f"uploads/{picture}"
    pipeline.fault("lambda", "Invoke", "BrokenError", -1, status=200, containing=[key, "GenerateThumbnailsFunction"])
    return key


def test_it_waits_for_its_own_outcome(lines, pipeline, picture):
    """Not for the one that was there before."""
    code, (document,) = lines("reprocess", picture, "--wait")
    (body,) = document["statuses"]
    assert (code, body["status"], document["open"]) == (OK, "COMPLETED", [])
    assert document["started"][f"uploads/{picture}"].endswith(body["execution"]["id"])


def test_a_failed_attempt_is_told_although_the_picture_stays(lines, broken):
    """By the exit code and the status; the picture is there as before."""
    code, (document,) = lines("reprocess", broken, "--wait")
    (body,) = document["statuses"]
    assert (code, body["status"]) == (PICTURE_FAILED, "COMPLETED")
    assert document["started"][broken].endswith(body["lastFailure"]["executionId"])
    assert body["renditions"]


@pytest.mark.parametrize("command", [("status",), ("status", "--wait"), ("reprocess", "--wait")])
def test_people_read_why_it_failed_and_that_the_picture_stays(running, broken, capsys, command):
    """On a line or two, with the same exit code."""
    assert main(["reprocess", broken, "--wait", *running]) == PICTURE_FAILED
    capsys.readouterr()
    name, *options = command
    assert main([name, broken, *options, *running]) == PICTURE_FAILED
    told = capsys.readouterr().out
    assert "COMPLETED" in told
    assert "fail" in told


def test_the_list_shows_it(lines, pipeline, broken):
    """A moment later, as every change."""
    lines("reprocess", broken, "--wait")

    def listed():
        _, (document,) = lines("list", "--limit", "1000")
        return {image["imageKey"]: image.get("lastFailure") for image in document["images"]}.get(broken)

    pipeline.wait_until(lambda: listed() == "BrokenError", "the list")


def test_what_does_not_end_in_time_is_named(pipeline, running, picture, capsys):
    """Waiting has an end, and its own exit code."""
    key, over = f"uploads/{picture}", threading.Event()
    pipeline.replace("ValidateImageFunction", lambda _: over.wait(60))
    code = main(["reprocess", key, "--wait", "--timeout", "1", *running])
    over.set()
    assert code == NO_OUTCOME
    assert f"{key} has no outcome" in capsys.readouterr().err
    pipeline.wait_until(lambda: pipeline.record(key)["status"] != "PROCESSING", "the end of the reprocess")


def test_what_is_not_there_is_named_and_the_rest_is_followed(lines, picture):
    """One name that is wrong keeps nobody from the others' outcomes."""
    code, (document,) = lines("reprocess", picture, "no such.jpg", "--wait")
    assert code == LEFT
    assert [each["key"] for each in document["failed"]] == ["uploads/no such.jpg"]
    assert [body["status"] for body in document["statuses"]] == ["COMPLETED"]
