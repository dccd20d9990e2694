"""`python -m cli relist` against the local pipeline."""

from __future__ import annotations

import json
import uuid
from typing import Any

from cli.commands import OK, main
from image_pipeline.feeds import listing
from local.pipeline import Pipeline


def entries(pipeline: Pipeline) -> list[dict[str, Any]]:
    pages = pipeline.client("dynamodb").get_paginator("scan").paginate(TableName=pipeline.outputs["ListingTableName"])
    return [item for page in pages for item in page["Items"]]


def listed(pipeline: Pipeline, status: str) -> set[str]:
    wanted, table = listing.make_filter(status=status), pipeline.outputs["ListingTableName"]
    return {image["imageKey"] for image in listing.read_page(pipeline.client, table, listing.Query(wanted, 100)).images}


def test_a_listing_that_was_lost_is_there_again(pipeline, running, capsys):
    """And one that is there is left alone, as it may know more than the records that are read."""
    key = f"uploads/relist/{uuid.uuid4()}"
    pipeline.upload(key, b"words")
    pipeline.wait_for(key)
    pipeline.wait_until(lambda: key in listed(pipeline, "FAILED"), "the listing")
    for item in entries(pipeline):
        at = {name: item[name] for name in ("ViewShard", "ListPosition")}
        pipeline.client("dynamodb").delete_item(TableName=pipeline.outputs["ListingTableName"], Key=at)
    assert main(["relist", *running, "--json"]) == OK
    first = json.loads(capsys.readouterr().out)
    assert first["listed"] == first["total"] > 0
    assert key in listed(pipeline, "FAILED")
    before = entries(pipeline)
    assert main(["relist", *running]) == OK
    assert capsys.readouterr().out == f"0 of {first['total']} listed anew.\n"
    assert entries(pipeline) == before
