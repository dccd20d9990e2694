"""`image-pipeline reprocess`: the outcome of an attempt, successful or failed."""

import argparse
import json
import threading
from types import SimpleNamespace

from image_pipeline.errors import StorageUnavailableError, TooSoonError
from image_pipeline_cli import reprocess
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import IMAGE_FAILED, INCOMPLETE, OK, TIMED_OUT
from image_pipeline_cli.stack import Stack


def test_reprocess_waits_for_its_own_outcome(lines, shared_image_name):
    """The previous outcome does not count."""
    code, (document,) = lines("reprocess", shared_image_name, "--wait")
    (body,) = document["statuses"]
    assert (code, body["status"], document["open"]) == (OK, "COMPLETED", [])
    assert document["started"][f"uploads/{shared_image_name}"].endswith(body["execution"]["id"])


def test_a_failed_attempt_is_reported_although_the_image_is_kept(
    without_cooldown, pipeline, running, lines, shared_image_name, capsys
):
    """Exit code, status and list report it, as JSON and as text; the renditions stay."""
    key = f"uploads/{shared_image_name}"
    pipeline.fault("lambda", "Invoke", "BrokenError", -1, status=200, containing=[key, "GenerateThumbnailsFunction"])
    code, (document,) = lines("reprocess", key, "--wait")
    (body,) = document["statuses"]
    assert (code, body["status"]) == (IMAGE_FAILED, "COMPLETED")
    assert document["started"][key].endswith(body["lastFailure"]["executionId"])
    assert body["renditions"]
    for name, *options in (("status",), ("status", "--wait"), ("reprocess", "--wait")):
        assert main([name, key, *options, *running]) == IMAGE_FAILED
        out = capsys.readouterr().out
        assert "COMPLETED" in out
        assert "fail" in out

    def listed():
        _, (document,) = lines("list", "--limit", "1000")
        return {image["imageKey"]: image.get("lastFailure") for image in document["images"]}.get(key)

    pipeline.wait_until(lambda: listed() == "BrokenError", "the list")  # changes a moment later


def test_a_timeout_has_its_own_exit_code(without_cooldown, pipeline, running, shared_image_name, capsys):
    """The message names the key."""
    key, finished = f"uploads/{shared_image_name}", threading.Event()
    pipeline.replace("ValidateImageFunction", lambda _: finished.wait(60))
    code = main(["reprocess", key, "--wait", "--timeout", "1", *running])
    finished.set()
    assert code == TIMED_OUT
    assert key in capsys.readouterr().err
    pipeline.wait_until(lambda: pipeline.record(key)["status"] != "PROCESSING", "the end of the reprocess")


def test_a_missing_upload_does_not_stop_the_others(without_cooldown, lines, shared_image_name):
    """It is reported, and the command waits for the other outcomes."""
    code, (document,) = lines("reprocess", shared_image_name, "no such.jpg", "--wait")
    assert code == INCOMPLETE
    assert [failure["key"] for failure in document["failed"]] == ["uploads/no such.jpg"]
    assert [body["status"] for body in document["statuses"]] == ["COMPLETED"]


def test_waiting_to_start_ends_with_the_timeout(monkeypatch, capsys):
    """An upload may never become ready, such as one without a record."""
    names = ("UploadsBucketName", "ImageTableName", "ProcessImageStateMachineArn")
    stack = Stack(dict.fromkeys(names, "x"), client=lambda _: None)
    waits: list[int] = []
    monkeypatch.setattr(reprocess, "time", SimpleNamespace(sleep=waits.append))

    def refuse(*_, **__):
        assert len(waits) < 10
        raise TooSoonError("It has no record yet.", "Try again.", 1)

    options = argparse.Namespace(wait=False, json=False, timeout=3)
    assert reprocess.start_all(stack, options, ["a.jpg"], refuse) == INCOMPLETE
    assert waits == [1, 1, 1]
    assert "It has no record yet. Try again." in capsys.readouterr().err


def test_an_error_of_one_upload_does_not_stop_the_others(capsys):
    """What was started is reported, even if AWS does not answer for another upload."""
    names = ("UploadsBucketName", "ImageTableName", "ProcessImageStateMachineArn")
    stack = Stack(dict.fromkeys(names, "x"), client=lambda _: None)

    def start(*_, image_key, **__):
        if image_key == "uploads/a.jpg":
            raise StorageUnavailableError("S3 request failed.", "Try again.")
        return "arn"

    options = argparse.Namespace(wait=False, json=True, timeout=3)
    assert reprocess.start_all(stack, options, ["a.jpg", "b.jpg"], start) == INCOMPLETE
    document = json.loads(capsys.readouterr().out)
    assert document["started"] == {"uploads/b.jpg": "arn"}
    assert [failure["key"] for failure in document["failed"]] == ["uploads/a.jpg"]
