"""`image-pipeline delete` against the local pipeline."""

from __future__ import annotations

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import LEFT, OK, USAGE
from tests.cli.conftest import PICTURE


def test_nothing_is_deleted_without_a_yes(pipeline, running, picture, capsys, monkeypatch):
    """At a terminal one is asked; elsewhere one must have said so."""
    there = {"Bucket": pipeline.uploads_bucket, "Key": f"uploads/{picture}"}
    assert main(["delete", picture, *running]) == USAGE
    assert "say --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer, code in (("no", LEFT), ("", LEFT), ("yes", OK)):
        pipeline.client("s3").head_object(**there)
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: f"{answer}\n")
        assert main(["delete", picture, *running]) == code
        assert f"Delete 'uploads/{picture}', with all renditions?" in capsys.readouterr().err
    with pytest.raises(pipeline.client("s3").exceptions.ClientError):
        pipeline.client("s3").head_object(**there)


def test_what_is_not_there_is_not_deleted_but_the_rest_is(lines, picture):
    """Each name by itself."""
    code, (found,) = lines("delete", "no such.jpg", picture, "--yes")
    assert (code, found["deleted"]) == (LEFT, [f"uploads/{picture}"])
    assert found["failed"][0]["key"] == "uploads/no such.jpg"


@pytest.fixture
def shop(pipeline, name):
    """A folder with uploads, a marker and hostile names, and a neighbour that is called alike."""
    folder = f"{name.partition('/')[0]}/shop"
    for rest in ("/", "/a.jpg", "/summer/b.jpg", "/*", "/[a].jpg", "2/c.jpg"):
        pipeline.upload(f"uploads/{folder}{rest}", b"" if rest == "/" else PICTURE)
    return folder


def left(pipeline, folder):
    answer = pipeline.client("s3").list_objects_v2(Bucket=pipeline.uploads_bucket, Prefix=f"uploads/{folder}")
    return sorted(entry["Key"].removeprefix(f"uploads/{folder}") for entry in answer.get("Contents", []))


def test_a_folder_is_deleted_after_a_yes(pipeline, running, shop, capsys, monkeypatch):
    """The question says how many there are; with its marker, and without a neighbour."""
    assert main(["delete", f"{shop}/", *running]) == USAGE
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    for answer, code in (("no", LEFT), ("yes", OK)):
        assert len(left(pipeline, shop)) == 6
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: f"{answer}\n")
        assert main(["delete", f"{shop}/", *running]) == code
        assert f"Delete 'uploads/{shop}/', 'uploads/{shop}/*', " in capsys.readouterr().err
    assert left(pipeline, shop) == ["2/c.jpg"]


def test_what_is_called_like_a_pattern_is_deleted_alone(pipeline, lines, shop):
    """Also when the same command is given again: it must not turn on the other uploads."""
    pipeline.wait_for(f"uploads/{shop}/*")
    before = left(pipeline, shop)
    for name, code in (("*", OK), ("[a].jpg", OK), ("*", LEFT), ("[a].jpg", LEFT)):
        assert lines("delete", f"{shop}/{name}", "--yes")[0] == code
    assert left(pipeline, shop) == [key for key in before if key not in ("/*", "/[a].jpg")]
    code, (found,) = lines("delete", f"{shop}/?.jpg", "--yes")
    assert (code, found) == (OK, {"deleted": [f"uploads/{shop}/a.jpg"], "failed": []})


def test_an_empty_folder_is_told(lines, name):
    """As a name that is not there is."""
    code, (found,) = lines("delete", f"{name}/", "--yes")
    assert (code, found["deleted"]) == (LEFT, [])
    assert found["failed"] == [
        {"key": f"uploads/{name}/", "reason": f"There is no upload in the folder 'uploads/{name}/'. Check the name."}
    ]
