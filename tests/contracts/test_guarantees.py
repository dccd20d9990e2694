"""Every promise in docs/guarantees.md has an existing test, and its figures come from the last full run."""

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
    """Each section has a promise, a mechanism and a test."""
    assert re.search(r"\*\*Promise\.\*\*.*\*\*By\.\*\*.*\*\*Tried by\.\*\*", section, re.DOTALL)
    assert re.search(r"`[\w/]*test_\w+\.py", section.partition("**Tried by.**")[2])


def test_every_test_in_the_document_exists():
    """Every test that the document names exists in the file that it names."""
    for file, function in set(re.findall(r"`([\w/]*test_\w+\.py)(?:::(\w+))?`", TEXT)):
        path = ROOT / "tests" / file
        assert path.exists(), file
        defined = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        assert not function or function in defined, f"{file}::{function}"


def test_the_figures_come_from_the_last_full_run():
    """The figures in the document equal those that the last full run wrote."""
    written = json.loads(figures.FIGURES.read_text())
    assert figures.table(written) in TEXT
