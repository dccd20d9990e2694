"""functions/select_backfill"""

import dataclasses

import pytest

from image_pipeline.imaging import engine, recipes
from tests.conftest import put_record
from tests.functions.conftest import load_handler

TODAY = engine.recipe_id(recipes.load().for_key("uploads/a.jpg"))


def event(**request):
    filters = dict.fromkeys(("recipeChanged", "failedOnly", "rejectedOnly"), False)
    backfill = {"dryRun": False, "changedSince": 0, **filters, "maxImages": 0, **request}
    items = [{"Key": f"uploads/{name}.jpg", "Size": 10, "LastModified": 1000} for name in ("a", "b", "c")]
    return {"executionId": "e", "backfillId": "b", "request": backfill, "items": items}


@pytest.mark.parametrize(
    ("request_", "selected", "over"),
    [({}, 3, 0), ({"recipeChanged": True}, 2, 0), ({"failedOnly": True}, 1, 0), ({"maxImages": 1}, 1, 2)],
)
def test_the_output_has_the_chosen_and_the_total_count(handler, request_, selected, over):
    """The result counts the listed and the selected uploads."""
    put_record("uploads/a.jpg", status="COMPLETED", recipeId=TODAY)
    put_record("uploads/b.jpg", status="FAILED")
    put_record("uploads/c.jpg", status="COMPLETED", recipeId="another")
    if request_.get("recipeChanged"):
        put_record("uploads/b.jpg", status="PARTIAL", recipeId="another")
    result = handler(event(**request_))
    del result["milliseconds"]
    assert result == {"listed": 3, "selected": selected, "selectedBytes": 10 * selected, "overLimit": over}


def test_a_recipe_without_effect_is_reported_and_logged(monkeypatch, caplog):
    """A backfill often follows a change of the recipes."""
    book = dataclasses.replace(recipes.load(), warnings=("No folder uses the recipe 'hero'.",))
    monkeypatch.setattr(recipes, "load", lambda: book)
    assert tuple(load_handler("select_backfill")(event(dryRun=True))["recipeWarnings"]) == book.warnings
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == list(book.warnings)
