"""`image-pipeline backfill` against the local pipeline."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from image_pipeline.errors import SettingsError
from image_pipeline_cli import backfill, prices
from image_pipeline_cli.commands import main
from image_pipeline_cli.exits import INCOMPLETE, OK, USAGE
from image_pipeline_cli.stack import Stack
from local.pipeline import Pipeline
from tests.conftest import THUMBNAILS_BUCKET, aws_client
from tests.pictures import photo
from tests.workflow.conftest import silent_bucket

PHOTO = photo(64, 48)


@pytest.fixture
def prefix(pipeline: Pipeline) -> Iterator[str]:
    """The prefix of five uploads that are not processed yet."""
    prefix = f"uploads/cli-backfill/{uuid.uuid4()}/"
    with silent_bucket(pipeline):
        for number in range(5):
            pipeline.upload(f"{prefix}{number}.jpg", PHOTO)
        yield prefix


def run_backfill(running: list[str], capsys: Any, *arguments: str) -> tuple[int, Any]:
    code = main(["backfill", *arguments, *running, "--json"])
    return code, json.loads(capsys.readouterr().out)


def processed(pipeline: Pipeline, prefix: str) -> int:
    records = [pipeline.record(f"{prefix}{number}.jpg") or {} for number in range(5)]
    return sum(record.get("status") == "COMPLETED" for record in records)


def test_a_dry_run_reports_and_processes_nothing(pipeline, running, prefix, capsys):
    """Its summary has the number and the size of the uploads, and where the results are."""
    assert main(["backfill", prefix, "--dry-run", *running]) == OK
    summary = capsys.readouterr().out
    assert "5 of 5 uploads" in summary
    assert f"{5 * len(PHOTO) / 1e6:,.1f} MB" in summary
    assert "s3://" in summary
    code, result = run_backfill(running, capsys, prefix, "--dry-run")
    assert (code, result["dryRun"], result["selected"], result["dollars"]) == (OK, True, 5, 0.01)
    assert processed(pipeline, prefix) == 0


def test_a_budget_limits_the_selection_and_a_second_backfill_continues(pipeline, running, prefix, capsys):
    """Uploads beyond the budget are counted, and the exit code reports them; a filter selects only these later."""
    two = str(2.5 * prices.dollars_per_image())
    code, result = run_backfill(running, capsys, prefix, "--dry-run", "--budget", two)
    assert (code, result["selected"]) == (OK, 5)
    code, result = run_backfill(running, capsys, prefix, "--budget", two)
    assert (code, result["selected"], result["overLimit"]) == (INCOMPLETE, 2, 3)
    pipeline.wait_until(lambda: processed(pipeline, prefix) == 2, "the batch")
    assert main(["backfill", prefix, "--budget", "0.000001", *running]) == INCOMPLETE
    assert "budget" in capsys.readouterr().err
    for selected in (3, 0):
        code, result = run_backfill(running, capsys, prefix, "--recipe-changed", "--concurrency", "2")
        assert (code, result["listed"], result["selected"]) == (OK, 5, selected)
        assert result["selectedBytes"] == selected * len(PHOTO)
        pipeline.wait_until(lambda: processed(pipeline, prefix) == 5, "the batch")


def test_filters_reach_the_workflow(running, prefix, capsys):
    """No upload failed, none is from the future, and all are from the past."""
    assert run_backfill(running, capsys, prefix, "--failed-only", "--dry-run")[1]["selected"] == 0
    assert run_backfill(running, capsys, prefix, "--changed-since", "2099-01-01", "--dry-run")[1]["selected"] == 0
    assert (
        run_backfill(running, capsys, prefix, "--changed-since", "2020-01-01T00:00:00+02:00", "--dry-run")[1][
            "selected"
        ]
        == 5
    )


def test_rejected_files_are_selected_only_on_request(pipeline, running, prefix, capsys):
    """They would be rejected and notified again, so only `--rejected-only` selects them."""
    pipeline.upload(f"{prefix}words.jpg", b"These are words.")
    assert run_backfill(running, capsys, f"{prefix}words.jpg")[1]["selected"] == 1
    pipeline.wait_until(lambda: (pipeline.record(f"{prefix}words.jpg") or {}).get("status") == "FAILED", "the batch")
    assert run_backfill(running, capsys, prefix, "--failed-only", "--dry-run")[1]["selected"] == 0
    assert run_backfill(running, capsys, prefix, "--rejected-only", "--dry-run")[1]["selected"] == 1


def test_failed_parts_are_reported(pipeline, running, prefix, capsys):
    """The exit code is 1, whether failures are tolerated or not."""
    pipeline.fault("dynamodb", "BatchGetItem", "AccessDeniedException", times=-1, containing=f"{prefix}2.jpg")
    assert main(["backfill", prefix, *running]) == INCOMPLETE
    err = capsys.readouterr().err
    assert "States.ExceedToleratedFailureThreshold" in err
    assert "SelectBackfillFunction" in err
    assert "redrive-execution" not in err  # the local engine cannot redrive
    code, result = run_backfill(running, capsys, prefix, "--tolerate", "100")
    assert (code, result["failedParts"], result["selected"]) == (INCOMPLETE, 1, 0)


def test_invalid_recipes_are_reported_before_anything_is_selected(pipeline, running, prefix, capsys):
    """One line says what to correct, in text and in JSON."""

    def select(_):
        raise SettingsError("Recipe file recipes.toml, line 2: 'widht' is not an option.", "Allowed: width.")

    pipeline.replace("SelectBackfillFunction", select)
    assert main(["backfill", prefix, "--tolerate", "100", *running]) == INCOMPLETE
    err = capsys.readouterr().err
    assert "line 2: 'widht' is not an option. Allowed: width." in err
    code, result = run_backfill(running, capsys, prefix)
    assert (code, result["error"]) == (INCOMPLETE, "SettingsError")
    assert result["cause"] == "Recipe file recipes.toml, line 2: 'widht' is not an option. Allowed: width."


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
def test_invalid_arguments_are_rejected(running, arguments, capsys):
    """The command fails before it starts anything."""
    with pytest.raises(SystemExit) as exit_info:
        main(["backfill", *arguments, *running])
    assert exit_info.value.code == USAGE
    assert capsys.readouterr().err


def test_recipe_warnings_are_reported_once(aws):
    """Each part of a backfill returns them."""
    s3 = aws_client("s3")
    part = {"listed": 1, "selected": 1, "selectedBytes": 1, "overLimit": 0}
    part_with_warning = {**part, "recipeWarnings": ["No folder uses the recipe 'hero'."]}
    files = {"SUCCEEDED": [{"Key": "parts"}], "FAILED": []}
    for key, content in (("parts", [part_with_warning, part, part_with_warning]), ("manifest", {"ResultFiles": files})):
        s3.put_object(Bucket=THUMBNAILS_BUCKET, Key=key, Body=json.dumps(content))
    totals = backfill._totals(Stack({}, aws_client), {"Bucket": THUMBNAILS_BUCKET, "Key": "manifest"})
    assert (totals.listed, totals.recipe_warnings) == (3, ["No folder uses the recipe 'hero'."])
