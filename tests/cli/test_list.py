"""`image-pipeline list` against a stack on AWS."""

from __future__ import annotations

import json
from typing import Any

import pytest

from image_pipeline.feeds import indexing, listing
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import OK, USAGE
from tests.conftest import LISTING_TABLE, aws_client


@pytest.fixture
def uploads(stack: list[str]) -> None:
    """Three uploads in the list."""
    for day, (status, label) in enumerate([("COMPLETED", "Dog"), ("FAILED", "Cat"), ("COMPLETED", "Cat")], 1):
        record = {
            "ImageKey": f"uploads/{day}.jpg",
            "status": status,
            "upload": {"uploadedAt": f"2026-11-0{day}T12:00:00Z"},
            "labels": [{"name": label}],
        }
        indexing.apply(aws_client, table=LISTING_TABLE, image_key=record["ImageKey"], record=record, order="1")


@pytest.mark.parametrize(
    ("options", "days", "more"),
    [
        ([], "321", False),
        (["--prefix", "uploads/"], "321", False),
        (["--prefix", "3.jpg"], "", False),
        (["--limit", "2"], "32", True),
        (["--status", "FAILED"], "2", False),
        (["--label", "cat"], "32", False),
        (["--label", "cat", "--status", "COMPLETED"], "3", False),
        (["--from", "2026-11-02", "--to", "2026-11-03"], "2", False),
    ],
)
def test_uploads_are_listed_newest_first(stack, uploads, options, days, more, capsys):
    """The document has the uploads up to the limit, and whether there are more."""
    assert main(["list", *options, *stack, "--json"]) == OK
    document: Any = json.loads(capsys.readouterr().out)
    assert ["".join(image["imageKey"][8] for image in document["images"]), document["more"]] == [days, more]


def test_a_small_limit_reads_full_pages(stack, uploads, capsys, monkeypatch):
    """DynamoDB filters a page after reading it, so small pages would often be empty."""
    read_page, sizes = listing.read_page, []

    def record_size(client, table, query):
        sizes.append(query.limit)
        return read_page(client, table, query)

    monkeypatch.setattr(listing, "read_page", record_size)
    assert main(["list", "--label", "cat", "--status", "FAILED", "--limit", "1", *stack, "--json"]) == OK
    assert [image["imageKey"] for image in json.loads(capsys.readouterr().out)["images"]] == ["uploads/2.jpg"]
    assert sizes == [listing.MAX_IMAGES]


def test_text_output_has_a_line_for_each_upload(stack, uploads, capsys):
    """A line has the time, the status, the key and the labels."""
    assert main(["list", "--limit", "1", *stack]) == OK
    line, hint = capsys.readouterr().out.splitlines()
    assert line == "2026-11-03 12:00:00  COMPLETED   uploads/3.jpg  Cat"
    assert "--limit" in hint
    assert main(["list", "--status", "DELETED", *stack]) == OK
    assert "uploads/" not in capsys.readouterr().out


def test_an_invalid_date_is_a_usage_error(stack, capsys):
    """The message names the expected format."""
    assert main(["list", "--from", "yesterday", *stack]) == USAGE
    assert "ISO 8601" in capsys.readouterr().err


def test_a_local_upload_is_listed(pipeline, lines, image_name):
    """Its outcome is listed a moment later."""
    (label, *_) = pipeline.record(f"uploads/{image_name}")["labels"]

    def listed() -> list[Any]:
        code, (document,) = lines("list", "--label", label["name"], "--status", "COMPLETED")
        assert code == OK
        return [image for image in document["images"] if image["imageKey"] == f"uploads/{image_name}"]

    pipeline.wait_until(lambda: bool(listed()), "the list", seconds=60)
    assert label["name"] in listed()[0]["labels"]
