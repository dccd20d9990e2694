"""docs/performance.md shows what bench/ has measured."""

import json

import pytest

from bench import cost, handlers, report
from tests.conftest import ROOT


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
