"""docs/guarantees.md: every promise has a test that exists, and its figures are those of a run."""

import ast
import json
import re

import pytest

from tests.conftest import ROOT
from tools import figures

TEXT = figures.DOCUMENT.read_text()
SECTIONS = [part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:] if not part.startswith("The last")]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_every_promise_has_a_mechanism_and_a_test(section):
    """What is only promised is not on that page."""
    assert re.search(r"\*\*Promise\.\*\*.*\*\*By\.\*\*.*\*\*Tried by\.\*\*", section, re.DOTALL)
    assert re.search(r"`[\w/]*test_\w+\.py", section.partition("**Tried by.**")[2])


def test_every_test_that_is_named_exists():
    """A renamed test would leave a promise without its proof."""
    for file, function in set(re.findall(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`", TEXT)):
        path = ROOT / "tests" / file
        assert path.exists(), file
        defined = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        assert not function or function in defined, f"{file}::{function}"


def test_the_figures_are_those_that_a_run_has_written():
    """Nobody types a figure."""
    written = json.loads(figures.FIGURES.read_text())
    assert figures.table(written) in TEXT
