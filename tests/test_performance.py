"""docs/performance.md shows what bench/ has measured."""

import json
import math

import boto3
import pytest

from bench import batch_simulation, cost, handlers, report
from image_pipeline import listing, records
from tests.conftest import LISTING_TABLE, ROOT
from tests.test_quotas import item_size


def test_the_price_that_commands_tell_is_the_one_of_the_document():
    """And so are the figures of the simulation, whose seed is fixed."""
    assert measured("costs") == cost.for_commands()
    runs = measured("batch")["runs"]
    assert [run["batchConcurrency"] for run in runs] == list(batch_simulation.CONCURRENCIES)
    assert measured("batch")["stepSeconds"] == {
        name: round(seconds, 3) for name, seconds in batch_simulation.step_seconds().items()
    }
    assert all((run["lost"], run["deadLetters"], run["failed"]) == (0, 0, 0) for run in runs)
    assert all(run["messages"] == 100_000 for run in runs)


@pytest.mark.parametrize("concurrency", [2, 20])
def test_a_burst_drains_without_a_loss(concurrency):
    """Under AWS's quotas, by simulation; twice the same, and bounded by the queue."""
    first, second = (batch_simulation.Simulation(2_000, concurrency).run() for _ in range(2))
    assert first == second
    assert (first["completed"] + first["partial"], first["lost"], first["deadLetters"]) == (2_000, 0, 0)
    assert first["mostUnderWay"] <= 10 * concurrency + 25  # of invocations that crashed, executions go on


def test_a_quota_that_is_tight_slows_a_burst_and_loses_nothing():
    """Throttled starts come again by the queue, throttled labels by the workflow's own rule."""
    tight = batch_simulation.Quotas(start_bucket=20, start_rate=2, lambda_concurrency=12, detect_labels_rate=2)
    run = batch_simulation.Simulation(300, 5, tight).run()
    assert min(run["startThrottles"], run["labelThrottles"], run["functionThrottles"]) > 0
    assert (run["completed"] + run["partial"] + run["deadLetters"], run["lost"]) == (300, 0)


def test_listing_takes_what_its_cost_is_computed_from(aws, monkeypatch):
    """A claim and a picture with ten labels, each alone: counted in the calls that are made."""
    (change,) = json.loads((ROOT / "events" / "index_images.json").read_text())["Records"]
    claim, picture = records.changed(change)
    words = [
        "Coffee",
        "Cup",
        "Coffee Cup",
        "Beverage",
        "Saucer",
        "Tableware",
        "Pottery",
        "Espresso",
        "Dining Table",
        "Art",
    ]
    picture["labels"] = [{"name": word, "confidence": 98.7} for word in words]
    picture["summary"] = {"thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j2g"}
    seen = dict.fromkeys(cost.LISTING, 0)

    def note(params, model, **_):
        seen["calls"] += 1
        seen["waits"] += 1
        # What is replaced is no larger, and what is removed is an entry.
        seen["writes"] += model.name != "GetItem" and math.ceil(item_size({"M": params.get("Item", {})}) / 1024)
        seen["reads"] += model.name == "GetItem"

    def at_once(write, places):
        seen["waits"] -= len(places) - math.ceil(len(places) / listing._AT_ONCE)
        for place in places:
            write(place)

    client = boto3.client("dynamodb")
    client.meta.events.register("provide-client-params.dynamodb", note)
    monkeypatch.setattr(listing, "_at_once", at_once)
    for order, record in enumerate((claim, picture)):
        listing.apply(
            lambda _: client, LISTING_TABLE, picture["ImageKey"], record, f"2026-11-21T00:00:00.000/{order:0>40}"
        )
    assert seen == cost.LISTING


def measured(name: str) -> dict:
    return json.loads((ROOT / "bench" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("bench", lambda: report.tables(measured("results"))),
        ("handlers", lambda: handlers.tables(measured("handlers"))),
        ("cost", cost.table),
    ],
)
def test_the_document_shows_the_figures(section, text):
    """What stands between its marks is what its command writes there from the figures of the last run."""
    assert report.section(section) == text()
