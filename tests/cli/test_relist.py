"""`image-pipeline relist` against the local pipeline."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from image_pipeline.feeds import listing
from image_pipeline_cli.commands import OK, main
from local.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline of its own: the shared one has thousands of records, and `relist` reads all."""
    with Pipeline(tmp_path_factory.mktemp("relist")) as own_pipeline:
        yield own_pipeline


def entries(pipeline: Pipeline) -> list[dict[str, Any]]:
    pages = pipeline.client("dynamodb").get_paginator("scan").paginate(TableName=pipeline.outputs["ListingTableName"])
    return [item for page in pages for item in page["Items"]]


def listed(pipeline: Pipeline, status: str) -> set[str]:
    image_filter, table = listing.make_filter(status=status), pipeline.outputs["ListingTableName"]
    return {
        image["imageKey"]
        for image in listing.read_page(pipeline.client, table, listing.Query(image_filter, 100)).images
    }


def test_a_lost_list_is_restored(pipeline, running, capsys):
    """Entries that exist are not changed, because they may be newer than the records that are read."""
    key = f"uploads/relist/{uuid.uuid4()}"
    pipeline.upload(key, b"words")
    pipeline.wait_for(key)
    pipeline.wait_until(lambda: key in listed(pipeline, "FAILED"), "the listing")
    for item in entries(pipeline):
        position = {name: item[name] for name in ("ViewShard", "ListPosition")}
        pipeline.client("dynamodb").delete_item(TableName=pipeline.outputs["ListingTableName"], Key=position)
    assert main(["relist", *running, "--json"]) == OK
    first = json.loads(capsys.readouterr().out)
    assert first["listed"] == first["total"] > 0
    assert key in listed(pipeline, "FAILED")
    before = entries(pipeline)
    assert main(["relist", *running, "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"listed": 0, "total": first["total"]}
    assert entries(pipeline) == before
