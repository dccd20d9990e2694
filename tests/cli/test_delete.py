"""`python -m cli delete` against the local pipeline."""

from __future__ import annotations

import pytest

from cli.commands import main
from cli.exits import LEFT, OK, USAGE


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
