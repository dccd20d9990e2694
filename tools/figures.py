"""`python -m tools.figures REPORT`: write the figures of a full run to docs/guarantees.md.

REPORT is a file of `pytest --junitxml`.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from tests.local.test_hostile_names import NAMES
from tests.workflow.test_interleavings import EXAMPLES, STORIES

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "guarantees.md"
FIGURES = ROOT / "docs" / "guarantees.json"
LOAD = ROOT / "bench" / "results" / "load.json"
_MARKED = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def main(report: Path) -> None:
    """Read the report, save its figures, and update the document."""
    figures = read(report)
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    DOCUMENT.write_text(_MARKED.sub(lambda _: table(figures), DOCUMENT.read_text()))


def read(report: Path) -> dict[str, float]:
    """Count the tests and their cases.

    Raises:
        SystemExit: A test has failed.
    """
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    if failed := int(suite.attrib["failures"]) + int(suite.attrib["errors"]):
        sys.exit(f"{failed} tests failed; no figures were written.")
    load = json.loads(LOAD.read_text())
    files = Counter(case.attrib["classname"] for case in suite.iter("testcase"))
    return {
        "tests": int(suite.attrib["tests"]) - int(suite.attrib["skipped"]),
        "seconds": round(float(suite.attrib["time"])),
        "interleavings": EXAMPLES * STORIES,
        "faults": files["tests.workflow.test_faults"],
        "names": len(NAMES),
        **{name: load[name] for name in ("lost", "doubled", "wrong")},
        "uploads": load["uploads"]["count"],
    }


def table(figures: dict[str, float]) -> str:
    """Return the figures as a Markdown table."""
    rows = {
        "tests that passed": f"{figures['tests']:,}",
        "seconds": f"{figures['seconds']:,}",
        "interleaved stories": f"{figures['interleavings']:,}",
        "tests of faults, each of many": f"{figures['faults']:,}",
        "hostile names": f"{figures['names']:,}",
        "uploads at once, in the last `make load`": f"{figures['uploads']:,}",
        "of these lost, doubled, wrong": f"{figures['lost']}, {figures['doubled']}, {figures['wrong']}",
    }
    return "\n| what | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows.items()) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
