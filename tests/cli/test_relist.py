"""`image-pipeline relist` against a stack on AWS."""

from __future__ import annotations

import json
from typing import Any

from image_pipeline.feeds import listing
from image_pipeline_cli.commands import OK, main
from tests.conftest import IMAGE_TABLE, LISTING_TABLE, WITH_OUTCOME, aws_client, put_record

KEY = "uploads/a.jpg"


def entries() -> list[dict[str, Any]]:
    pages = aws_client("dynamodb").get_paginator("scan").paginate(TableName=LISTING_TABLE)
    return [item for page in pages for item in page["Items"]]


def listed(status: str) -> set[str]:
    query = listing.Query(listing.make_filter(status=status), 100)
    return {image["imageKey"] for image in listing.read_page(aws_client, LISTING_TABLE, query).images}


def test_a_lost_list_is_restored(stack, capsys):
    """Entries that exist are not changed, because they may be newer than the records that are read."""
    put_record(KEY, **{**WITH_OUTCOME, "status": "FAILED", "upload": {"uploadedAt": "2026-11-21T12:00:00Z"}})
    put_record("uploads/b.jpg", upload={"uploadedAt": "2026-11-21T12:00:00Z"})
    aws_client("dynamodb").put_item(TableName=IMAGE_TABLE, Item={"ImageKey": {"S": "uploads/no status"}})
    assert main(["relist", *stack, "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"listed": 2, "total": 2}
    assert (listed("FAILED"), listed("PROCESSING")) == ({KEY}, {"uploads/b.jpg"})
    before = entries()
    assert main(["relist", *stack, "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"listed": 0, "total": 2}
    assert entries() == before
