"""`image-pipeline focus`: the point that the crops of an upload must show."""

import pytest

from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INCOMPLETE, OK, USAGE


def test_a_point_is_set_and_removed(without_cooldown, lines, pipeline, image_name):
    """The command waits for the new renditions, and the record has their point."""
    for text, point in (("0.25,0.75", {"x": 0.25, "y": 0.75}), ("none", None)):  # equal to its decimals
        code, (document,) = lines("focus", image_name, text, "--wait")
        assert (code, document["failed"], document["open"]) == (OK, [], [])
        assert pipeline.record(f"uploads/{image_name}")["focus"] == point


def test_a_missing_upload_is_reported(lines):
    """The exit code and the message are those of `reprocess`."""
    code, (document,) = lines("focus", "no such.jpg", "0,0")
    assert (code, document["started"]) == (INCOMPLETE, {})


def test_an_invalid_point_is_rejected(running, name, capsys):
    """The message describes a valid point."""
    with pytest.raises(SystemExit) as caught:
        main(["focus", name, "2,0", *running])
    assert caught.value.code == USAGE
    assert "0 to 1" in capsys.readouterr().err
