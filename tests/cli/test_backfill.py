"""`image-pipeline backfill` against the local pipeline."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from image_pipeline.errors import SettingsError
from image_pipeline_cli import backfill
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import LEFT, OK, USAGE
from image_pipeline_cli.stack import Stack
from local.pipeline import Pipeline
from tests.conftest import THUMBNAILS_BUCKET
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

PHOTO = photo(64, 48)


@pytest.fixture
def prefix(pipeline: Pipeline) -> Iterator[str]:
    """A folder with five uploads that nobody has processed yet."""
    prefix = f"uploads/cli-backfill/{uuid.uuid4()}/"
    with silent_bucket(pipeline):
        for number in range(5):
            pipeline.upload(f"{prefix}{number}.jpg", PHOTO)
        yield prefix


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_LOOK_SECONDS", 0.1)


def ask(running: list[str], capsys: Any, *arguments: str) -> tuple[int, Any]:
    code = main(["backfill", *arguments, *running, "--json"])
    return code, json.loads(capsys.readouterr().out)


def processed(pipeline: Pipeline, prefix: str) -> int:
    records = [pipeline.record(f"{prefix}{number}.jpg") or {} for number in range(5)]
    return sum(record.get("status") == "COMPLETED" for record in records)


def test_a_dry_run_tells_and_does_nothing(pipeline, running, prefix, capsys):
    """How many, how large, how long, how much."""
    assert main(["backfill", prefix, "--dry-run", *running]) == OK
    out = capsys.readouterr().out
    size = f"{5 * len(PHOTO) / 1e6:,.1f} MB"
    assert f"5 of 5 uploads, {size}, would be processed again, in about 0 seconds and for about 0.01 dollars." in out
    assert "Results: s3://" in out
    assert processed(pipeline, prefix) == 0


def test_a_backfill_has_everything_processed_and_another_finds_nothing_to_do(pipeline, running, prefix, capsys):
    """With a filter that tells what is done, the same command goes on where the last one has ended."""
    code, facts = ask(running, capsys, prefix, "--recipe-changed", "--concurrency", "2")
    assert (code, facts["selected"], facts["selectedBytes"]) == (OK, 5, 5 * len(PHOTO))
    pipeline.wait_until(lambda: processed(pipeline, prefix) == 5, "the batch")
    code, facts = ask(running, capsys, prefix, "--recipe-changed")
    assert (code, facts["listed"], facts["selected"]) == (OK, 5, 0)


def test_a_budget_is_kept(pipeline, running, prefix, capsys):
    """What it does not pay for is left out and told, and the code says so."""
    two = str(2.5 * backfill._dollars_each())
    code, facts = ask(running, capsys, prefix, "--dry-run", "--budget", two)
    assert (code, facts["selected"]) == (OK, 5)
    assert main(["backfill", prefix, "--budget", two, *running]) == LEFT
    assert "3 more were left out: the budget pays for 2." in capsys.readouterr().out
    pipeline.wait_until(lambda: processed(pipeline, prefix) == 2, "the batch")
    assert main(["backfill", prefix, "--budget", "0.000001", *running]) == LEFT
    assert "more than the budget" in capsys.readouterr().err


def test_filters_reach_the_workflow(running, prefix, capsys):
    """Nothing has failed, and nothing comes from the future."""
    assert ask(running, capsys, prefix, "--failed-only", "--dry-run")[1]["selected"] == 0
    assert ask(running, capsys, prefix, "--changed-since", "2099-01-01", "--dry-run")[1]["selected"] == 0
    assert ask(running, capsys, prefix, "--changed-since", "2020-01-01T00:00:00+02:00", "--dry-run")[1]["selected"] == 5


def test_a_rejected_file_is_not_chosen_again_and_again(pipeline, running, prefix, capsys):
    """It would be rejected again and told of again; only who says so tries it once more."""
    pipeline.upload(f"{prefix}words.jpg", b"These are words.")
    assert ask(running, capsys, f"{prefix}words.jpg")[1]["selected"] == 1
    pipeline.wait_until(lambda: (pipeline.record(f"{prefix}words.jpg") or {}).get("status") == "FAILED", "the batch")
    assert ask(running, capsys, prefix, "--failed-only", "--dry-run")[1]["selected"] == 0
    assert ask(running, capsys, prefix, "--rejected-only", "--dry-run")[1]["selected"] == 1


def test_parts_that_fail_are_told(pipeline, running, prefix, capsys):
    """Tolerated or not, something was left undone."""
    pipeline.fault("dynamodb", "BatchGetItem", "AccessDeniedException", times=-1, containing=f"{prefix}3.jpg")
    assert main(["backfill", prefix, *running]) == LEFT
    err = capsys.readouterr().err
    assert "States.ExceedToleratedFailureThreshold" in err
    assert "SelectBackfillFunction" in err
    assert err.endswith("run it again\n")  # which the local engine can; it cannot redrive
    code, facts = ask(running, capsys, prefix, "--tolerate", "100")
    assert (code, facts["failedParts"], facts["selected"]) == (LEFT, 1, 0)


def test_broken_recipes_are_told_before_anything_is_chosen(pipeline, running, prefix, capsys):
    """In one line that says what to correct, for people and for programs."""

    def select(_):
        raise SettingsError("Recipe file recipes.toml, line 2: 'widht' is not an option.", "Allowed: width.")

    pipeline.replace("SelectBackfillFunction", select)
    assert main(["backfill", prefix, "--tolerate", "100", *running]) == LEFT
    err = capsys.readouterr().err
    assert "not begun" in err
    assert "line 2: 'widht' is not an option. Allowed: width." in err
    code, facts = ask(running, capsys, prefix)
    assert (code, facts["error"]) == (LEFT, "SettingsError")
    assert facts["cause"] == "Recipe file recipes.toml, line 2: 'widht' is not an option. Allowed: width."


@pytest.mark.parametrize(
    "arguments",
    [
        ["other/"],
        ["--recipe-changed", "--failed-only"],
        ["--rejected-only", "--failed-only"],
        ["--changed-since", "yesterday"],
        ["--budget", "-1"],
        ["--budget", "much"],
        ["--concurrency", "0"],
        ["--tolerate", "101"],
    ],
)
def test_what_makes_no_sense_is_refused(running, arguments, capsys):
    """Before anything is started."""
    with pytest.raises(SystemExit) as caught:
        main(["backfill", *arguments, *running])
    assert caught.value.code == USAGE
    assert capsys.readouterr().err


def test_recipes_without_effect_are_told_once(aws):
    """Each part of a backfill tells them."""
    s3 = boto3.client("s3")
    part = {"listed": 1, "selected": 1, "selectedBytes": 1, "overLimit": 0}
    warned = {**part, "recipeWarnings": ["No folder uses the recipe 'hero'."]}
    files = {"SUCCEEDED": [{"Key": "parts"}], "FAILED": []}
    for key, content in (("parts", [warned, part, warned]), ("manifest", {"ResultFiles": files})):
        s3.put_object(Bucket=THUMBNAILS_BUCKET, Key=key, Body=json.dumps(content))
    sums = backfill._sums(Stack({}, boto3.client), {"Bucket": THUMBNAILS_BUCKET, "Key": "manifest"})
    assert (sums.listed, sums.recipe_warnings) == (3, ["No folder uses the recipe 'hero'."])
