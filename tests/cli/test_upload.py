"""`image-pipeline upload` against the local pipeline, with the commands that follow it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import IMAGE_FAILED, INCOMPLETE, INTERRUPTED, OK, TIMED_OUT, USAGE
from image_pipeline_cli.upload import PART_BYTES, content_type, etag
from tests.cli.conftest import ENVIRONMENT, PICTURE
from tests.conftest import ROOT, heavy
from tests.pictures import encoded, gradient, opened

FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "tif": "TIFF", "bmp": "BMP"}
ODD_NAMES = [
    "a b.jpg",
    "a+b.jpg",
    "100 %41.jpg",
    "ü.jpg",
    "😀.jpg",
    "what?.jpg",
    "a\\b.jpg",
    "-rf.jpg",
    "no suffix",
    "[1].jpg",
]


@pytest.fixture
def hundred_files(folder: Path) -> Path:
    """A folder with 100 files: images of several formats, text, empty files, unusual names."""
    for index in range(20):
        suffix = list(FORMATS)[index % len(FORMATS)]
        path = folder / f"day {index % 3}" / f"{index}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(gradient(24, 16), FORMATS[suffix]))
    for name in ODD_NAMES:
        (folder / name).write_bytes(PICTURE)
    for index in range(50):
        (folder / f"notes {index}.txt").write_text(f"note {index}")
    for index in range(20):
        (folder / f"empty {index}.jpg").touch()
    return folder


@heavy
def test_a_hundred_files_are_uploaded_followed_fetched_and_deleted(pipeline, lines, hundred_files, tmp_path):
    """Each has one outcome, the exit code reports failed images, and a second upload skips all files."""
    code, events = lines("upload", str(hundred_files), "--wait", "--jobs", "8")
    assert code == IMAGE_FAILED
    assert Counter(line["event"] for line in events) == {"uploaded": 100, "outcome": 100, "summary": 1}
    statuses = {line["key"]: line["status"] for line in events if line["event"] == "outcome"}
    prefix = f"uploads/{hundred_files.name}/"
    bad = {key for key in statuses if key.startswith((f"{prefix}notes", f"{prefix}empty"))}
    assert {key for key, status in statuses.items() if status == "FAILED"} == bad
    assert events[-1] == {
        "event": "summary", "uploaded": 100, "skipped": 0, "failed": 0, "outcomes": {"COMPLETED": 30, "FAILED": 70},
    }  # fmt: skip
    code, events = lines("upload", str(hundred_files), "--wait")
    assert (code, events[-1]["skipped"], events[-1]["outcomes"]["COMPLETED"]) == (IMAGE_FAILED, 100, 30)

    name = f"{hundred_files.name}/what?.jpg"
    code, (document,) = lines("download", name, "--rendition", "100x100", "--to", str(tmp_path / "out"))
    (file,) = document["downloaded"]
    assert (code, Path(file["path"])) == (OK, tmp_path / "out" / hundred_files.name / "what_.jpg.100x100.jpg")
    assert opened(Path(file["path"]).read_bytes()).size == (24, 16)

    assert lines("delete", name, "--yes") == (OK, [{"deleted": [prefix + "what?.jpg"], "failed": []}])
    pipeline.wait_until(lambda: pipeline.record(prefix + "what?.jpg")["status"] == "DELETED", "the deletion")
    code, (document,) = lines("status", name)
    assert (code, document["statuses"][0]["status"]) == (OK, "DELETED")


def test_an_interrupted_upload_continues(unprocessed, pipeline, running, lines, folder):
    """Ctrl-C ends it at once, even if a connection hangs; running it again sends only the remaining file."""
    for name in ("a", "b", "hangs", "y", "z"):
        (folder / f"{name}.jpg").write_bytes(PICTURE)
    pipeline.hang("s3", "PutObject", -1, containing="hangs.jpg")
    process = subprocess.Popen(
        [sys.executable, "-m", "image_pipeline_cli", "upload", str(folder), "--jobs", "2", "--json", *running],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        first = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert {line["event"] for line in first} == {"uploaded"}
    assert (process.returncode, out) == (INTERRUPTED, b"")
    assert b"Traceback" not in err
    assert len(err.splitlines()) == 1
    pipeline.clear()
    code, events = lines("upload", str(folder))
    assert (code, events[-1]) == (OK, {"event": "summary", "uploaded": 1, "skipped": 4, "failed": 0})


def test_a_rejected_file_does_not_stop_the_others(unprocessed, pipeline, lines, folder):
    """The exit code is 1, and running the command again uploads the file."""
    for name in ("a", "refused"):
        (folder / f"{name}.jpg").write_bytes(PICTURE)
    pipeline.fault("s3", "PutObject", "AccessDenied", -1, status=403, containing="refused.jpg")
    code, events = lines("upload", str(folder))
    assert (code, events[-1]["uploaded"], events[-1]["failed"]) == (INCOMPLETE, 1, 1)
    (failure,) = [line for line in events if line["event"] == "failed"]
    assert "AccessDenied" in failure["reason"]
    pipeline.clear()
    assert lines("upload", str(folder))[1][-1]["uploaded"] == 1


def test_a_changed_file_is_uploaded_again(unprocessed, lines, folder, pipeline):
    """This holds even if its size is the same; `--no-overwrite` skips it without an error."""
    path = folder / "x.jpg"
    path.write_bytes(b"one")
    key = f"uploads/{folder.name}/x.jpg"

    def stored() -> bytes:
        return pipeline.client("s3").get_object(Bucket=pipeline.uploads_bucket, Key=key)["Body"].read()

    assert lines("upload", str(folder))[1][-1]["uploaded"] == 1
    path.write_bytes(b"two")
    code, events = lines("upload", str(folder), "--no-overwrite")
    assert (code, events[0]["event"], stored()) == (OK, "skipped", b"one")
    assert lines("upload", str(folder))[1][-1]["uploaded"] == 1
    assert stored() == b"two"


@pytest.mark.parametrize("size", [0, 5, PART_BYTES, PART_BYTES + 1], ids=["empty", "small", "one part", "two parts"])
def test_an_uploaded_file_is_recognised_by_its_etag(unprocessed, lines, folder, size, pipeline):
    """This holds for every size, so no state is kept on this machine."""
    path = folder / "x.bin"
    path.write_bytes(b"x" * size)
    assert lines("upload", str(path), "--to", folder.name)[1][-1]["uploaded"] == 1
    head = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=f"uploads/{folder.name}/x.bin")
    assert head["ETag"].strip('"') == etag(path)
    assert lines("upload", str(path), "--to", folder.name)[1][-1]["skipped"] == 1


def test_an_upload_waits_for_its_own_outcome(pipeline, lines, folder):
    """The record already has the outcome of the previous upload."""
    path = folder / "x.jpg"
    path.write_bytes(b"text")
    assert lines("upload", str(path), "--to", folder.name, "--wait")[0] == IMAGE_FAILED
    path.write_bytes(PICTURE)
    code, events = lines("upload", str(path), "--to", folder.name, "--wait")
    assert (code, events[-1]["outcomes"]) == (OK, {"COMPLETED": 1})


def test_a_timeout_has_its_own_exit_code(pipeline, lines, folder):
    """An event names the key without an outcome."""
    (folder / "x.jpg").write_bytes(PICTURE)
    pipeline.restrict("ProcessImageStateMachineImageUploadedRole", [])
    code, events = lines("upload", str(folder), "--wait", "--timeout", "1")
    assert code == TIMED_OUT
    assert {"event": "no-outcome", "key": f"uploads/{folder.name}/x.jpg"} in events


def test_the_content_type_comes_from_the_suffix(unprocessed, lines, folder, pipeline):
    """This includes types that the system does not know."""
    types = {"a.JPG": "image/jpeg", "b.avif": "image/avif", "c.heic": "image/heic", "d.webp": "image/webp", "e": ""}
    assert {name: content_type(Path(name)) for name in types} == types | {"e": "application/octet-stream"}
    (folder / "b.avif").write_bytes(b"x")
    lines("upload", str(folder))
    key = f"uploads/{folder.name}/b.avif"
    assert pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=key)["ContentType"] == "image/avif"


def test_text_output_has_a_line_for_each_file(running, folder, capsys):
    """A pipe gets plain text; a name cannot forge lines."""
    (folder / "x\x1b[2J\nforged.txt").write_text("text")
    (folder / ".hidden").write_text("x")
    (folder / "broken.jpg").symlink_to("nowhere")
    assert main(["upload", str(folder), "--wait", "--follow-links", *running]) == INCOMPLETE
    out, err = capsys.readouterr()
    key = f"uploads/{folder.name}/x?[2J?forged.txt"
    hidden, uploaded, failed, files, outcomes = out.splitlines()
    assert hidden.startswith(f"left out  {folder}/.hidden: ")
    assert uploaded == f"uploaded  {key}"
    assert failed.startswith(f"FAILED    {key}  ")
    assert files == "1 uploaded, 0 skipped, 1 failed."
    assert outcomes == "1 FAILED."
    (error,) = err.splitlines()
    assert error.startswith(f"{folder}/broken.jpg ")


@pytest.mark.parametrize("options", [["--jobs", "0"], ["--to", "../elsewhere"], ["--timeout", "soon"], ["--whatever"]])
def test_invalid_arguments_upload_nothing(running, folder, options, capsys):
    """The command prints its usage."""
    with pytest.raises(SystemExit) as exit_info:
        main(["upload", str(folder), *options, *running])
    assert exit_info.value.code == USAGE
    assert "usage:" in capsys.readouterr().err


def test_an_empty_folder_is_not_an_error(lines, folder):
    """It is reported, and the command succeeds."""
    code, events = lines("upload", str(folder))
    assert code == OK
    assert [line["event"] for line in events] == ["left-out", "summary"]


def test_a_link_is_followed_only_on_request(unprocessed, lines, folder):
    """A folder from another person must not upload files outside of it."""
    (folder / "beach.jpg").write_bytes(PICTURE)
    private = folder.parent / "id_private"
    private.write_text("secret")
    (folder / "link.jpg").symlink_to(private)
    code, events = lines("upload", str(folder))
    assert (code, [line["event"] for line in events]) == (0, ["left-out", "uploaded", "summary"])
    assert events[0]["path"] == str(folder / "link.jpg")
    assert "--follow-links" in events[0]["reason"]
    code, events = lines("upload", str(folder), "--follow-links")
    assert (code, sorted(line["event"] for line in events)) == (0, ["skipped", "summary", "uploaded"])
    code, events = lines("upload", str(folder / "link.jpg"))
    assert (code, [line["event"] for line in events]) == (1, ["failed", "summary"])
