"""`image-pipeline delete` against the local pipeline."""

from __future__ import annotations

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INCOMPLETE, OK, USAGE
from tests.cli.conftest import PICTURE

pytestmark = pytest.mark.usefixtures("unprocessed")  # the command deletes objects, and the workflow their renditions


@pytest.fixture
def stored_name(pipeline, name):
    """The name of an upload."""
    pipeline.upload(f"uploads/{name}", PICTURE)
    return name


def test_a_deletion_needs_confirmation(pipeline, running, stored_name, capsys, monkeypatch):
    """A terminal asks for confirmation; elsewhere `--yes` is required."""
    address = {"Bucket": pipeline.uploads_bucket, "Key": f"uploads/{stored_name}"}
    assert main(["delete", stored_name, *running]) == USAGE
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer, code in (("no", INCOMPLETE), ("", INCOMPLETE), ("yes", OK)):
        pipeline.client("s3").head_object(**address)
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: f"{answer}\n")
        assert main(["delete", stored_name, *running]) == code
        assert f"'uploads/{stored_name}'" in capsys.readouterr().err
    with pytest.raises(pipeline.client("s3").exceptions.ClientError):
        pipeline.client("s3").head_object(**address)


def test_a_missing_upload_does_not_stop_the_others(lines, stored_name):
    """Each name has its own result."""
    code, (document,) = lines("delete", "no such.jpg", stored_name, "--yes")
    assert (code, document["deleted"]) == (INCOMPLETE, [f"uploads/{stored_name}"])
    assert document["failed"][0]["key"] == "uploads/no such.jpg"


@pytest.fixture
def shop(pipeline, name):
    """A folder with uploads, a folder marker and hostile names, and a folder whose name has the same start."""
    folder = f"{name.partition('/')[0]}/shop"
    for suffix in ("/", "/a.jpg", "/summer/b.jpg", "/*", "/[a].jpg", "2/c.jpg"):
        pipeline.upload(f"uploads/{folder}{suffix}", b"" if suffix == "/" else PICTURE)
    return folder


def remaining(pipeline, folder):
    answer = pipeline.client("s3").list_objects_v2(Bucket=pipeline.uploads_bucket, Prefix=f"uploads/{folder}")
    return sorted(entry["Key"].removeprefix(f"uploads/{folder}") for entry in answer.get("Contents", []))


def test_a_folder_is_deleted_after_confirmation(pipeline, running, shop, capsys, monkeypatch):
    """Its marker is deleted, too; a folder whose name has the same start is not."""
    assert main(["delete", f"{shop}/", *running]) == USAGE
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer, code in (("no", INCOMPLETE), ("yes", OK)):
        assert len(remaining(pipeline, shop)) == 6
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: f"{answer}\n")
        assert main(["delete", f"{shop}/", *running]) == code
        assert f"'uploads/{shop}/', 'uploads/{shop}/*'" in capsys.readouterr().err
    assert remaining(pipeline, shop) == ["2/c.jpg"]


def test_an_upload_named_like_a_pattern_is_deleted_alone(pipeline, store_record, lines, shop):
    """Running the same command again must not delete other uploads."""
    store_record(f"uploads/{shop}/*")
    before = remaining(pipeline, shop)
    for name, code in (("*", OK), ("[a].jpg", OK), ("*", INCOMPLETE), ("[a].jpg", INCOMPLETE)):
        assert lines("delete", f"{shop}/{name}", "--yes")[0] == code
    assert remaining(pipeline, shop) == [key for key in before if key not in ("/*", "/[a].jpg")]
    code, (document,) = lines("delete", f"{shop}/?.jpg", "--yes")
    assert (code, document) == (OK, {"deleted": [f"uploads/{shop}/a.jpg"], "failed": []})


def test_an_empty_folder_is_reported(lines, name):
    """It is treated like a missing upload."""
    code, (document,) = lines("delete", f"{name}/", "--yes")
    assert (code, document["deleted"]) == (INCOMPLETE, [])
    assert [failure["key"] for failure in document["failed"]] == [f"uploads/{name}/"]
