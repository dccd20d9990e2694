"""`python -m cli list` against a stack on AWS."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from cli.commands import main
from cli.exits import OK, USAGE
from image_pipeline.feeds import indexing, listing
from tests.conftest import LISTING_TABLE


@pytest.fixture
def listed(stack: list[str]) -> None:
    """Three uploads in the list."""
    for day, (status, label) in enumerate([("COMPLETED", "Dog"), ("FAILED", "Cat"), ("COMPLETED", "Cat")], 1):
        record = {
            "ImageKey": f"uploads/{day}.jpg",
            "status": status,
            "upload": {"uploadedAt": f"2026-11-0{day}T12:00:00Z"},
            "labels": [{"name": label}],
        }
        indexing.apply(boto3.client, table=LISTING_TABLE, image_key=record["ImageKey"], record=record, order="1")


@pytest.mark.parametrize(
    ("options", "days", "more"),
    [
        ([], "321", False),
        (["--limit", "2"], "32", True),
        (["--status", "FAILED"], "2", False),
        (["--label", "cat"], "32", False),
        (["--label", "cat", "--status", "COMPLETED"], "3", False),
        (["--from", "2026-11-02", "--to", "2026-11-03"], "2", False),
    ],
)
def test_uploads_are_listed_newest_first(stack, listed, options, days, more, capsys):
    """As many as are wanted, and whether there are more."""
    assert main(["list", *options, *stack, "--json"]) == OK
    found: Any = json.loads(capsys.readouterr().out)
    assert ["".join(image["imageKey"][8] for image in found["images"]), found["more"]] == [days, more]


def test_a_small_limit_makes_no_small_pages(stack, listed, capsys, monkeypatch):
    """A page is filtered after it was cut: the smaller the pages, the more of them have nothing that is wanted."""
    read_page, sizes = listing.read_page, []

    def noted(client, table, query):
        sizes.append(query.limit)
        return read_page(client, table, query)

    monkeypatch.setattr(listing, "read_page", noted)
    assert main(["list", "--label", "cat", "--status", "FAILED", "--limit", "1", *stack, "--json"]) == OK
    assert [image["imageKey"] for image in json.loads(capsys.readouterr().out)["images"]] == ["uploads/2.jpg"]
    assert sizes == [listing.MAX_IMAGES]


def test_people_read_a_line_for_each_upload(stack, listed, capsys):
    """With the time, the status, and labels."""
    assert main(["list", "--limit", "1", *stack]) == OK
    assert capsys.readouterr().out.splitlines() == [
        "2026-11-03 12:00:00  COMPLETED   uploads/3.jpg  Cat",
        "There are more than these 1: --limit shows them.",
    ]
    assert main(["list", "--status", "DELETED", *stack]) == OK
    assert capsys.readouterr().out == "There is no such upload.\n"


def test_a_date_that_cannot_be_is_a_wrong_argument(stack, capsys):
    """With what to write."""
    assert main(["list", "--from", "yesterday", *stack]) == USAGE
    assert "ISO 8601" in capsys.readouterr().err


def test_what_was_uploaded_here_is_listed(pipeline, lines, picture):
    """With its outcome, a moment later."""
    (label, *_) = pipeline.record(f"uploads/{picture}")["labels"]

    def found() -> list[Any]:
        code, (told,) = lines("list", "--label", label["name"], "--status", "COMPLETED")
        assert code == OK
        return [image for image in told["images"] if image["imageKey"] == f"uploads/{picture}"]

    pipeline.wait_until(lambda: bool(found()), "the list", seconds=60)
    assert label["name"] in found()[0]["labels"]
