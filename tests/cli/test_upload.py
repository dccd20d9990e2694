"""`python -m cli upload`, and what one does next, against the local pipeline."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cli.commands import main
from cli.exits import INTERRUPTED, LEFT, NO_OUTCOME, OK, PICTURE_FAILED, USAGE
from cli.upload import PART_BYTES, content_type, etag
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
def hundred(folder: Path) -> Path:
    """Good pictures of several formats in folders, text, empty files, odd names: a hundred."""
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
def test_a_hundred_files_are_uploaded_followed_fetched_and_deleted(pipeline, lines, hundred, tmp_path):
    """Each has one outcome, and the exit code tells that not all are pictures; the second time all are skipped."""
    code, told = lines("upload", str(hundred), "--wait", "--jobs", "8")
    assert code == PICTURE_FAILED
    assert Counter(line["event"] for line in told) == {"uploaded": 100, "outcome": 100, "summary": 1}
    statuses = {line["key"]: line["status"] for line in told if line["event"] == "outcome"}
    prefix = f"uploads/{hundred.name}/"
    bad = {key for key in statuses if key.startswith((f"{prefix}notes", f"{prefix}empty"))}
    assert {key for key, status in statuses.items() if status == "FAILED"} == bad
    assert told[-1] == {
        "event": "summary", "uploaded": 100, "skipped": 0, "failed": 0, "outcomes": {"COMPLETED": 30, "FAILED": 70},
    }  # fmt: skip
    code, told = lines("upload", str(hundred), "--wait")
    assert (code, told[-1]["skipped"], told[-1]["outcomes"]["COMPLETED"]) == (PICTURE_FAILED, 100, 30)

    name = f"{hundred.name}/what?.jpg"
    code, (found,) = lines("download", name, "--rendition", "100x100", "--to", str(tmp_path / "out"))
    (one,) = found["downloaded"]
    assert (code, Path(one["path"])) == (OK, tmp_path / "out" / hundred.name / "what_.jpg.100x100.jpg")
    assert opened(Path(one["path"]).read_bytes()).size == (24, 16)

    assert lines("delete", name, "--yes") == (OK, [{"deleted": [prefix + "what?.jpg"], "failed": []}])
    pipeline.wait_until(lambda: pipeline.record(prefix + "what?.jpg")["status"] == "DELETED", "the deletion")
    code, (found,) = lines("status", name)
    assert (code, found["statuses"][0]["status"]) == (OK, "DELETED")


def test_an_interrupted_upload_goes_on_where_it_stopped(pipeline, running, lines, folder):
    """Ctrl-C ends it at once, although a connection hangs; the second time only the rest is sent."""
    for name in ("a", "b", "hangs", "y", "z"):
        (folder / f"{name}.jpg").write_bytes(PICTURE)
    pipeline.hang("s3", "PutObject", -1, containing="hangs.jpg")
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "upload", str(folder), "--jobs", "2", "--json", *running],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        first = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        out, complaint = process.communicate(timeout=20)
    finally:
        process.kill()
    assert {line["event"] for line in first} == {"uploaded"}
    assert (process.returncode, out) == (INTERRUPTED, b"")
    assert complaint == b"Interrupted. The same command again does the rest.\n"
    pipeline.clear()
    code, told = lines("upload", str(folder))
    assert (code, told[-1]) == (OK, {"event": "summary", "uploaded": 1, "skipped": 4, "failed": 0})


def test_what_s3_refuses_is_told_and_the_rest_goes(pipeline, lines, folder):
    """The exit code says that something was left; the next time it goes."""
    for name in ("a", "refused"):
        (folder / f"{name}.jpg").write_bytes(PICTURE)
    pipeline.fault("s3", "PutObject", "AccessDenied", -1, status=403, containing="refused.jpg")
    code, told = lines("upload", str(folder))
    assert (code, told[-1]["uploaded"], told[-1]["failed"]) == (LEFT, 1, 1)
    (fault,) = [line for line in told if line["event"] == "failed"]
    assert "AccessDenied" in fault["reason"]
    pipeline.clear()
    assert lines("upload", str(folder))[1][-1]["uploaded"] == 1


def test_a_file_that_has_changed_is_sent_again(lines, folder, pipeline):
    """Also when it is as long as before; with `--no-overwrite` it is left alone, and that is no failure."""
    path = folder / "x.jpg"
    path.write_bytes(b"one")
    key = f"uploads/{folder.name}/x.jpg"

    def stored() -> bytes:
        return pipeline.client("s3").get_object(Bucket=pipeline.uploads_bucket, Key=key)["Body"].read()

    assert lines("upload", str(folder))[1][-1]["uploaded"] == 1
    path.write_bytes(b"two")
    code, told = lines("upload", str(folder), "--no-overwrite")
    assert (code, told[0]["reason"], stored()) == (OK, "It is there already, with other content.", b"one")
    assert lines("upload", str(folder))[1][-1]["uploaded"] == 1
    assert stored() == b"two"


@pytest.mark.parametrize("size", [0, 5, PART_BYTES, PART_BYTES + 1], ids=["empty", "small", "one part", "two parts"])
def test_what_is_there_is_known_by_its_etag(lines, folder, size, pipeline):
    """Whatever its size; so nothing else needs to remember it."""
    path = folder / "x.bin"
    path.write_bytes(b"x" * size)
    assert lines("upload", str(path), "--to", folder.name)[1][-1]["uploaded"] == 1
    head = pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=f"uploads/{folder.name}/x.bin")
    assert head["ETag"].strip('"') == etag(path)
    assert lines("upload", str(path), "--to", folder.name)[1][-1]["skipped"] == 1


def test_an_upload_waits_for_itself_and_not_for_the_one_before(pipeline, lines, folder):
    """The record of the key has an outcome all the time."""
    path = folder / "x.jpg"
    path.write_bytes(b"text")
    assert lines("upload", str(path), "--to", folder.name, "--wait")[0] == PICTURE_FAILED
    path.write_bytes(PICTURE)
    code, told = lines("upload", str(path), "--to", folder.name, "--wait")
    assert (code, told[-1]["outcomes"]) == (OK, {"COMPLETED": 1})


def test_waiting_in_vain_has_an_end(pipeline, lines, folder):
    """And an exit code of its own."""
    (folder / "x.jpg").write_bytes(PICTURE)
    pipeline.restrict("ProcessImageStateMachineImageUploadedRole", [])
    code, told = lines("upload", str(folder), "--wait", "--timeout", "1")
    assert code == NO_OUTCOME
    assert {"event": "no-outcome", "key": f"uploads/{folder.name}/x.jpg"} in told


def test_the_content_type_is_that_of_the_suffix(lines, folder, pipeline):
    """Also where the system does not know it."""
    types = {"a.JPG": "image/jpeg", "b.avif": "image/avif", "c.heic": "image/heic", "d.webp": "image/webp", "e": ""}
    assert {name: content_type(Path(name)) for name in types} == types | {"e": "application/octet-stream"}
    (folder / "b.avif").write_bytes(b"x")
    lines("upload", str(folder))
    key = f"uploads/{folder.name}/b.avif"
    assert pipeline.client("s3").head_object(Bucket=pipeline.uploads_bucket, Key=key)["ContentType"] == "image/avif"


def test_people_read_a_line_for_each_file_and_a_summary(running, folder, capsys):
    """Plain in a pipe; a name cannot write its own lines."""
    (folder / "x\x1b[2J\nforged.txt").write_text("text")
    (folder / ".hidden").write_text("x")
    (folder / "broken.jpg").symlink_to("nowhere")
    assert main(["upload", str(folder), "--wait", "--follow-links", *running]) == LEFT
    out, complaint = capsys.readouterr()
    key = f"uploads/{folder.name}/x?[2J?forged.txt"
    assert out.splitlines() == [
        f"left out  {folder}/.hidden: it is hidden; name it to upload it",
        f"uploaded  {key}",
        f"FAILED    {key}  The file is not an image in a supported format: its content is text.",
        "1 uploaded, 0 skipped, 1 failed.",
        "1 FAILED.",
    ]
    assert complaint == f"{folder}/broken.jpg is a link to something that is not there.\n"


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--to", "../elsewhere"], ["--timeout", "soon"], ["--whatever"]])
def test_wrong_arguments_upload_nothing(running, folder, wrong, capsys):
    """The usage says what was meant."""
    with pytest.raises(SystemExit) as caught:
        main(["upload", str(folder), *wrong, *running])
    assert caught.value.code == USAGE
    assert "usage:" in capsys.readouterr().err


def test_an_upload_of_nothing_says_so(lines, folder):
    """An empty folder is no failure."""
    code, told = lines("upload", str(folder))
    assert code == OK
    assert [line["event"] for line in told] == ["left-out", "summary"]


def test_a_link_is_told_and_sent_only_on_request(pipeline, lines, folder):
    """A folder from elsewhere must not send what lies outside of it."""
    (folder / "beach.jpg").write_bytes(PICTURE)
    private = folder.parent / "id_private"
    private.write_text("secret")
    (folder / "link.jpg").symlink_to(private)
    code, printed = lines("upload", str(folder))
    assert (code, [each["event"] for each in printed]) == (0, ["left-out", "uploaded", "summary"])
    assert printed[0] == {
        "event": "left-out",
        "path": str(folder / "link.jpg"),
        "reason": "It is a link; --follow-links uploads what it leads to.",
    }
    code, printed = lines("upload", str(folder), "--follow-links")
    assert (code, [each["event"] for each in printed]) == (0, ["skipped", "uploaded", "summary"])
    code, printed = lines("upload", str(folder / "link.jpg"))
    assert (code, [each["event"] for each in printed]) == (1, ["failed", "summary"])
