"""docs/performance.md shows the figures that bench/ measured."""

import json
import math
import re
import tomllib

import boto3
import pytest

from bench import cost, exposure, handlers, other_costs, page, report
from bench.batch import simulation as batch_simulation
from bench.engine import report as engine_report
from bench.focus import __main__ as focus
from image_pipeline import observability, settings
from image_pipeline.api import waiting
from image_pipeline.feeds import indexing
from image_pipeline.imaging import recipes
from image_pipeline.store import records, storage
from tests.conftest import LISTING_TABLE, ROOT, UPLOADS_BUCKET
from tests.contracts.test_quotas import item_size


def test_commands_use_the_price_of_the_document():
    """The command line uses the current price and the current simulation, whose seed is fixed."""
    assert measured("costs") == cost.for_commands()
    runs = measured("batch")["runs"]
    assert [run["batchConcurrency"] for run in runs] == list(batch_simulation.CONCURRENCIES)
    assert measured("batch")["stepSeconds"] == {
        name: round(seconds, 3) for name, seconds in batch_simulation.step_seconds().items()
    }
    assert all((run["lost"], run["deadLetters"], run["failed"]) == (0, 0, 0) for run in runs)
    assert all(run["messages"] == 100_000 for run in runs)


BURST = 2_000  # messages; `make test-all` simulates a larger burst


@pytest.mark.parametrize("concurrency", [2, 20])
def test_a_burst_drains_without_a_loss(concurrency):
    """A simulation under AWS's quotas loses nothing, is deterministic, and stays within the concurrency."""
    first, second = (batch_simulation.Simulation(BURST, concurrency).run() for _ in range(2))
    assert first == second
    assert (first["completed"] + first["partial"], first["lost"], first["deadLetters"]) == (BURST, 0, 0)
    assert first["mostUnderWay"] <= 10 * concurrency + 25  # of invocations that crashed, executions go on


def test_tight_quotas_slow_a_burst_without_a_loss():
    """The queue repeats throttled starts, and the workflow repeats throttled calls for labels."""
    tight = batch_simulation.Quotas(start_bucket=20, start_rate=2, lambda_concurrency=12, detect_labels_rate=2)
    run = batch_simulation.Simulation(300, 5, tight).run()
    assert min(run["startThrottles"], run["labelThrottles"], run["functionThrottles"]) > 0
    assert (run["completed"] + run["partial"] + run["deadLetters"], run["lost"]) == (300, 0)


@pytest.mark.parametrize("together", [False, True])
def test_the_cost_of_listing_counts_the_calls_that_are_made(aws, monkeypatch, together):
    """The cost of a claim and an image with ten labels and the default renditions equals the calls to DynamoDB."""
    (change,) = json.loads((ROOT / "events" / "index_images.json").read_text())["Records"]
    claim, picture = records.before_and_after(change)
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
    (rendition,) = picture["renditions"]
    files = {"100x100.jpg": 100, "640x480.jpg": 640, "web.jpg": 1600, "web.webp": 1600}
    picture["renditions"] = [
        {
            **rendition,
            "name": file.partition(".")[0],
            "key": rendition["key"].replace("100x100.jpg", file),
            "versionId": "3sL4kqtJlcpXroDTDmJrmSpXd3dIbrHY",
            "width": width,
        }
        for file, width in files.items()
    ]
    picture["summary"] = {"thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j2g"}
    counts = dict.fromkeys(cost.LISTING, 0)

    def note(params, model, **_):
        counts["calls"] += 1
        counts["waits"] += 1
        # A replaced item is not larger, and a removed item is an entry.
        counts["writes"] += model.name != "GetItem" and math.ceil(item_size({"M": params.get("Item", {})}) / 1024)
        counts["reads"] += model.name == "GetItem"

    def at_once(write, places):
        counts["waits"] -= len(places) - math.ceil(len(places) / indexing._PARALLEL_WRITES)
        for place in places:
            write(place)

    client = boto3.client("dynamodb")
    client.meta.events.register("provide-client-params.dynamodb", note)
    monkeypatch.setattr(indexing, "_in_parallel", at_once)
    assert {file.partition(".")[0] for file in files} == {
        recipe.name for recipe in recipes.load().for_key("uploads/x.jpg")
    }
    for order, record in enumerate((picture,) if together else (claim, picture)):
        indexing.apply(
            lambda _: client,
            table=LISTING_TABLE,
            image_key=picture["ImageKey"],
            record=record,
            order=f"2026-11-21T00:00:00.000/{order:0>40}",
        )
    assert counts == (cost.LISTING_TOGETHER if together else cost.LISTING)


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5, 4.0, 5.0, 60.0])
def test_the_price_assumes_the_right_share_of_claims_listed_with_their_outcome(seconds):
    """A claim is listed with its outcome if the outcome comes before the batch window ends."""
    window = 5.0
    moments = 10_000
    together = sum(moment / moments * window + seconds < window for moment in range(moments))
    assert cost.share_listed_together(seconds, window) == pytest.approx(together / moments, abs=2 / moments)


def test_monthly_costs_are_shared_by_all_images():
    """Only fixed monthly costs per image depend on the number of images: twice as many images halve them."""
    results = measured("handlers")
    prices = cost.dated_prices()
    picture = results["pictures"]["jpeg-12mp"]
    once, twice = (cost.other(results, picture, prices, images) for images in (1_000_000, 2_000_000))
    monthly = {name for name, dollars in once.items() if dollars != twice[name]}
    counts = other_costs.monitoring((ROOT / "monitoring" / "template.yml").read_text())
    assert monthly == other_costs.per_month(counts, prices, watch_gigabytes=1).keys()
    assert all(twice[name] == pytest.approx(once[name] / 2) for name in monthly)


def test_the_metrics_that_always_have_data_are_billed(capsys):
    """A processed image, and a look at the records, fill the metrics that the price contains, and no other."""
    observability.count_success(
        {
            "status": "COMPLETED",
            "execution": {"startedAt": "2026-11-21T00:00:00+00:00", "finishedAt": "2026-11-21T00:00:01+00:00"},
            "image": {"sizeBytes": 1},
            "renditions": [],
        }
    )
    observability.record_oldest_age(0)
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    metrics = [metric for line in lines for group in line["_aws"]["CloudWatchMetrics"] for metric in group["Metrics"]]
    assert {metric["Name"] for metric in metrics} == set(other_costs.PERMANENT_METRICS)


def test_alarm_metrics_are_counted_as_aws_bills_them():
    """AWS bills each metric of an alarm, and not the expression."""
    text = """
    Resources:
      One: {Type: AWS::CloudWatch::Alarm, Properties: {MetricName: x, Namespace: y}}
      Two:
        Type: AWS::CloudWatch::Alarm
        Properties: {Metrics: [{Id: a, Expression: b + c}, {Id: b, MetricStat: {}}, {Id: c, MetricStat: {}}]}
      Board: {Type: AWS::CloudWatch::Dashboard}
      Key: {Type: AWS::KMS::Key, Properties: {Description: !Ref Anything}}
    """
    assert other_costs.monitoring(text) == {"alarm_metrics": 3, "dashboards": 1, "keys": 1}


def test_every_price_has_its_source():
    """Each price has its date, unit and source."""
    prices = tomllib.loads((ROOT / "bench" / "prices.toml").read_text())
    for name, price in prices.items():
        assert price.keys() == {"usd", "as_of", "unit", "source"}, name
        assert price["source"].startswith("https://aws.amazon.com/"), name


def measured(name: str) -> dict:
    folder = "image_pipeline_cli/figures" if name in ("costs", "batch") else "bench/results"
    return json.loads((ROOT / folder / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("bench", lambda: engine_report.summary(measured("engine"))),
        ("bench-tables", lambda: engine_report.tables(measured("engine"))),
        ("handlers", lambda: handlers.tables(measured("handlers"))),
        ("page", lambda: page.table(measured("page"))),
        ("cost", cost.table),
    ],
)
def test_the_document_shows_the_figures(section, text):
    """Each generated section equals the output of its command for the figures of the last run."""
    assert report.section(section) == text()


def test_the_document_shows_how_often_a_crop_contains_the_subject():
    """The table is generated, and `smart` is at least as good as libvips' `attention` for each shape."""
    results = measured("focus")
    assert report.section("focus", focus.DOCUMENT) == focus.table(results)
    shapes = [counts for kind in ("scenes", "photographs") for counts in results[kind]["shapes"].values()]
    assert all(counts["smart"] >= counts["attention"] for counts in shapes)


def test_the_document_shows_the_load_of_anonymous_callers():
    """The table is computed from the limits in the template."""
    assert report.section(exposure.SECTION, exposure.DOCUMENT) == exposure.table()


def test_the_readme_shows_the_computed_cost():
    """The row has the last measured cost of 1,000 images for both kinds of workflow and for labels."""
    figures = cost.costs()["jpeg-12mp"]
    computed = [
        figures[name] / 1000 for name in ("**together, Standard**", "**together, Express**", "Rekognition, apart")
    ]
    (row,) = re.findall(r"^\| 1,000 JPEG images .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert re.findall(r"\$(\d+\.\d\d)", row) == [f"{dollars:.2f}" for dollars in computed]


@pytest.mark.parametrize("seconds", [0.1, 0.25, 0.3, 1, 2, 10])
def test_the_reads_of_a_wait_are_counted(aws, monkeypatch, seconds):
    """The cost of a wait uses the same number of reads as the function."""
    pauses, looks = [], []
    monkeypatch.setattr(waiting.time, "sleep", pauses.append)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: sum(pauses))
    monkeypatch.setattr(waiting.status, "find", lambda *_: looks.append(1))
    monkeypatch.setattr(waiting, "MAX_BLIND_WAIT_SECONDS", 10)
    waiting.find(
        boto3.client,
        bucket=UPLOADS_BUCKET,
        image_keys=("uploads/x",),
        settings=None,
        request=waiting.WaitRequest(seconds),
    )
    assert len(looks) == exposure.max_reads(seconds)


def test_the_handlers_can_be_measured():
    """The environment of the measurement has every setting that the functions need."""
    settings.load(handlers.ENVIRONMENT)
    settings.load_for_status(handlers.ENVIRONMENT)


def test_the_price_assumes_the_number_of_parallel_writes():
    """The price and the function use the same number."""
    assert cost.WRITTEN_AT_ONCE == storage.PARALLEL_WRITES
